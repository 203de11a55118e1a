"""The whole way on one screen: recipe -> plan -> task -> trained run -> scores -> SavedModel -> report."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmzoo.errors import MmzooError, RunError, late_faults
from mmzoo.planned import Planned, Work, check_devices, claimed_work, needed_processors, needed_weights, plan_build, plan_works
from mmzoo.recipe.plan import Plan
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.run.folder import Run
from mmzoo.run.log import RunLog, logged
from mmzoo.run.stages import fingerprint
from mmzoo.trained import Model, fill_gallery, load
from mmzoo.training.backend import backend_of, set_backend
from mmzoo.training.process import borrowed, prepare

if TYPE_CHECKING:
    from mmzoo.contracts.head import Signature
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.splits import Data
    from mmzoo.modeling.assemble import LayerSummary


@late_faults()
def build(
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    overrides: Iterable[str] = (),
    resume: bool = False,
    force: bool = False,
    catalog: Catalog | None = None,
    screen: "Screen | None" = None,
) -> Run:
    """Builds a recipe: trains, evaluates, exports and reports. Builds the recipes that it needs first.

    Only stages whose recipe, data or plugins have changed are run. An unfinished build goes on from its last checkpoint.

    Args:
        recipe: Path of the recipe.
        out: Folder of the run; `runs/<name>` by default. Needed runs are beside it.
        overrides: `key=value` pairs that replace or add values of the recipe.
        resume: Train the run in `out` on to another number of epochs.
        force: Replace the run in `out`.
        catalog: The components; those of the installed plugins by default.
        screen: Shows the progress; on the terminal by default.

    Returns:
        The finished run.

    Raises:
        RecipeError: The recipe is wrong; the message lists all of its faults.
        MmzooError: The data, the run's folder, the training or the export failed; the message says what to do.
    """
    from mmzoo.contracts.progress import Screen

    source, catalog, screen = read_recipe(recipe, tuple(overrides)), catalog or discover(), screen or Screen()
    with borrowed(backend_of(source)):
        planned = plan_build(source, catalog, Path(out) if out is not None else None)
        *needs, _ = works = plan_works(planned, resume, force)  # refuses what cannot be built before anything is
        check_devices(works)
        with claimed_work(planned, screen, resume, force) as work:
            for need, _ in needs:
                with claimed_work(need, screen) as its_work:
                    _build(need, its_work, catalog, screen)
            _build(planned, work, catalog, screen)
    return planned.run


@dataclass(frozen=True)
class Checked:
    """A checked recipe.

    Args:
        plan: The recipe with every default.
        layers: A summary of each part of the task.
        signatures: The signatures of the model, by name; the first is the default one.
    """

    plan: Plan
    layers: "list[LayerSummary]"
    signatures: "Mapping[str, Signature]"


def check(recipe: str | Path, *, overrides: Iterable[str] = (), catalog: Catalog | None = None) -> Checked:
    """Checks a recipe: resolves it and assembles its task on symbolic tensors. Trains nothing and writes nothing.

    Processors are adapted to the data if it is ready; else what they would learn, such as a vocabulary, is empty.

    Args:
        recipe: Path of the recipe.
        overrides: `key=value` pairs that replace or add values of the recipe.
        catalog: The components; those of the installed plugins by default.

    Raises:
        RecipeError: The recipe is wrong; the message lists all of its faults.
    """
    source = read_recipe(recipe, tuple(overrides))
    with borrowed(backend_of(source)):
        from mmzoo.data.open import features_of, learned_processors
        from mmzoo.modeling.assemble import assemble_without_values

        plan = plan_build(source, catalog or discover()).plan
        prepare(plan.train)
        task, layers = assemble_without_values(plan, features_of(learned_processors(plan)))
        return Checked(plan, layers, task.signatures())


def _build(planned: Planned, work: Work, catalog: Catalog, screen: "Screen") -> None:
    """Runs the stages of a build that are due."""
    run, backend = planned.run, planned.plan.train.backend
    if not work.due:
        screen.say(f"run       {run.folder} is complete and nothing has changed; nothing to do (--force builds it anew)")
        return
    if work.resume:
        screen.say(f"run       {run.folder} goes on: " + "; ".join(f"{stage}: {why}" for stage, why in work.due.items()))
    data = None
    with logged(run.log, begun=not work.trains) as log:
        if work.trains:
            set_backend(backend)  # a needed recipe may name another one
            data = _train(planned, run, screen, work.resume, catalog, log)
        else:
            run.begin(planned.plan, fingerprint(planned.stages), True, planned.trained_needs())
        if backend == "tensorflow":
            finish(run, screen, catalog, data, work.due)
        else:
            _finish_under_tensorflow(run, work.due)


def finish(
    run: Run,
    screen: "Screen",
    catalog: Catalog | None = None,
    data: "Data | None" = None,
    stages: Iterable[str] = ("evaluation", "export"),
) -> None:
    """Evaluates, reports and exports a trained run.

    Args:
        run: The trained run; its model is loaded from there.
        screen: Shows the progress.
        catalog: The components; those of the installed plugins by default.
        data: The run's data, if it is already open.
        stages: What to do of `evaluation`, `report` (which needs an evaluation) and `export`.
    """
    with logged(run.log):
        model = load(run, catalog)
        if {"evaluation", "report"} & set(stages):
            data = data or model.open_data(screen)
            if "evaluation" in stages:  # else neither the weights nor the gallery have changed
                model = fill_gallery(model, screen, data)
            evaluate(model, screen, data)
        if "export" in stages:
            export(model, screen, data)


@late_faults()
def evaluate(model: Model, screen: "Screen", data: "Data | None" = None, missing: float | None = None) -> dict[str, Any]:
    """Scores a trained run on its held-out split and writes its report.

    Args:
        model: The reopened run.
        screen: Shows the progress.
        data: The run's data, if it is already open.
        missing: Also score the model with each input missing, in this share of the examples, and write that to the run.

    Returns:
        The scores, metric -> number.
    """
    from mmzoo.evaluation.evaluate import evaluate as score
    from mmzoo.evaluation.evaluate import evaluate_missing
    from mmzoo.evaluation.needed import needed_by
    from mmzoo.reporting.report import report
    from mmzoo.run.atomic import write_json

    with logged(model.run.log), model.computing():
        data = data or model.open_data(screen)
        if model.served.index is None:
            model = fill_gallery(model, screen, data)
        needed = needed_by(model.run, model.plan.needs)
        if missing is not None:
            numbers = evaluate_missing(model.plan, model.served, data, screen, missing, needed)
            write_json(model.run.missing, {"split": data.held_out(), "share": missing, "scores": numbers})
        scores = score(model.plan, model.served, data, screen, needed)
        report(model.plan, model.run, model.served, data, scores)
        model.finish_stages(data, "evaluation", "report")
    return scores.flat()


@late_faults()
def export(model: Model, screen: "Screen", data: "Data | None" = None) -> Path:
    """Exports a trained run as a SavedModel; reads only what it asks, or embeds. Returns the folder of the version."""
    from mmzoo.serving.export import export as write

    with logged(model.run.log), model.computing():
        data = data or model.open_data(screen, model.plan.export.examples)
        if model.served.index is None:
            model = fill_gallery(model, screen, data)
        version = write(model.plan, model.run, model.served, data, screen)
        model.finish_stages(data, "export")
    return version


def _train(planned: Planned, run: Run, screen: "Screen", resume: bool, catalog: Catalog, log: RunLog) -> "Data":
    """Reads the data, assembles the task and trains it; returns the data for the evaluation."""
    from mmzoo.data.open import features_of, make_processors, open_data
    from mmzoo.modeling.assemble import assemble, assemble_without_values
    from mmzoo.modeling.devices import describe_devices, on_devices
    from mmzoo.modeling.parts import start_part
    from mmzoo.training.train import train

    # The data set is made anew: a needed build may have prepared the same data since the plan was made.
    plan = replace(planned.plan, dataset=planned.plan.data.make())
    has_checkpoint = resume and run.checkpoint.exists()
    backbone_configs = run.load_backbone_configs() if has_checkpoint else None
    prepare(plan.train)
    # Finds parts that do not fit before the data is downloaded or rendered, and before the weights fill the memory.
    assemble_without_values(plan, features_of(make_processors(plan)), backbone_configs)
    parts = {} if has_checkpoint else needed_weights(planned, catalog)
    prepare(plan.train)
    # A resumed run keeps its processors: if the data has changed, the same ids would mean other words.
    learned = run.load_processors(make_processors(plan)) if has_checkpoint else needed_processors(planned, screen)
    data = open_data(plan, screen, learned)
    with on_devices(plan.train):
        task, layers = assemble(plan, features_of(data.processors), backbone_configs)
        for place, weights in parts.items():
            start_part(task, place, plan.starts()[place], weights)
            screen.say(f"start     {place} from {plan.starts()[place].start}")
        _rehearse(planned, task, data)
        screen.say(f"data      {', '.join(f'{size:,} {split}' for split, size in data.sizes.items())}")
        screen.say(f"task      {sum(layer.weights for layer in layers):,} weights")
        for layer in filter(lambda one: one.note, layers):
            screen.say(f"warning   {layer.part}: {layer.note}")
        run.begin(plan, fingerprint(planned.stages), resume, planned.trained_needs())
        screen.say(trains_on := describe_devices(plan.train))
        log.begin(trains_on)
        run.save_processors(data.processors)
        run.save_backbone_configs(task.encoders)
        run.finish_stage("data", planned.stages["data"])
        train(task, data, run, screen, resume)
    run.finish_stage("training", planned.stages["training"])
    return data


def _rehearse(planned: Planned, task: Any, data: "Data") -> None:
    """Answers, scores and audits the untrained model, so that a recipe that cannot be served fails before hours of training."""
    import keras

    if keras.backend.backend() != "tensorflow":  # which alone serves
        return
    from mmzoo.contracts.progress import Screen
    from mmzoo.evaluation.evaluate import rehearse
    from mmzoo.evaluation.needed import Needed
    from mmzoo.serving.audit import audit
    from mmzoo.serving.gallery import collect
    from mmzoo.serving.served import Served

    plan, served = data.plan, Served(task, data.processors)
    if (gallery := task.head.gallery) is not None:
        served = Served(task, data.processors, collect(plan, served, gallery, data, Screen(quiet=True), most=4))
    needed = {name: Needed(name, partial(getattr, need, "run")) for name, need in planned.needs.items()}
    rehearse(plan, served, data, needed)
    audit(served)


def _finish_under_tensorflow(run: Run, stages: Iterable[str]) -> None:
    """Evaluates and exports a run that another backend trained, in a process of its own with the TensorFlow backend."""
    code = "import sys; from mmzoo.build import finish_alone; sys.exit(finish_alone(*sys.argv[1:]))"
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code, str(run.folder), *stages], check=False, env=environment)
    if done.returncode != 0:
        raise RunError(f"{run.folder}: the run is trained, but could not be evaluated and exported; see the error above.")


def finish_alone(folder: str, *stages: str) -> int:
    """Finishes the run in a folder, as the only work of a process; returns its exit code."""
    from mmzoo.contracts.progress import Screen

    try:
        finish(Run(Path(folder)), Screen(), stages=stages)
    except MmzooError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130  # the parent process prints how to continue
    return 0
