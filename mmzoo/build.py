"""The whole way on one screen: recipe -> plan -> task -> trained run -> scores -> SavedModel -> report."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmzoo.errors import MmzooError, RunError
from mmzoo.recipe.plan import Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.trained import Model, fill_gallery, load
from mmzoo.training.backend import choose_backend

if TYPE_CHECKING:
    from mmzoo.contracts.head import Signature
    from mmzoo.contracts.processor import Processor
    from mmzoo.contracts.progress import Screen
    from mmzoo.contracts.streams import FeatureSpec
    from mmzoo.data.splits import Data
    from mmzoo.modeling.assemble import LayerSummary
    from mmzoo.modeling.task import Task
    from mmzoo.run.folder import Run

LIBRARIES = ("mmzoo", "keras", "tensorflow", "keras-hub", "tensorflow-datasets", "jax")
"""Libraries whose versions a run records."""


def build(
    recipe: str | Path,
    *,
    out: str | Path | None = None,
    overrides: Iterable[str] = (),
    resume: bool = False,
    force: bool = False,
    catalog: Catalog | None = None,
    screen: "Screen | None" = None,
) -> "Run":
    """Builds a recipe: trains, evaluates, exports and reports.

    Args:
        recipe: Path of the recipe.
        out: Folder of the run; `runs/<name>` by default.
        overrides: `key=value` pairs that replace or add values of the recipe.
        resume: Continue the run in `out` from its last checkpoint.
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
    from mmzoo.run.folder import Run

    source = read_recipe(recipe, tuple(overrides))
    backend: Any = choose_backend(source)
    plan = resolve(source, catalog or discover())
    plan = replace(plan, train=replace(plan.train, backend=backend))  # the run records the backend that trained it
    screen, run = screen or Screen(), Run(Path(out or Path("runs") / plan.name))
    data = _train(plan, run, screen, resume, force)
    if backend == "tensorflow":
        finish(run, screen, catalog, data)
    else:
        _finish_under_tensorflow(run)
    return run


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
    choose_backend(source)
    plan = resolve(source, catalog or discover())
    task, layers = _assemble_before_data(plan)
    return Checked(plan, layers, task.signatures())


def finish(run: "Run", screen: "Screen", catalog: Catalog | None = None, data: "Data | None" = None) -> None:
    """Evaluates, reports and exports a trained run.

    Args:
        run: The trained run; its model is loaded from there.
        screen: Shows the progress.
        catalog: The components; those of the installed plugins by default.
        data: The run's data, if it is already open.
    """
    model = load(run, catalog)
    data = data or model.open_data(screen)
    model = fill_gallery(model, screen, data)
    evaluate(model, screen, data)
    export(model, screen, data)


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
    from mmzoo.reporting.report import report
    from mmzoo.run.atomic import write_json

    data = data or model.open_data(screen)
    if model.served.index is None:
        model = fill_gallery(model, screen, data)
    if missing is not None:
        numbers = evaluate_missing(model.plan, model.served, data, screen, missing)
        write_json(model.run.missing, {"split": data.held_out(), "share": missing, "scores": numbers})
    scores = score(model.plan, model.served, data, screen)
    report(model.plan, model.run, model.served, data, scores)
    return scores.flat()


def export(model: Model, screen: "Screen", data: "Data | None" = None) -> Path:
    """Exports a trained run as a SavedModel; returns the folder of the version."""
    from mmzoo.serving.export import export as write

    data = data or model.open_data(screen)
    if model.served.index is None:
        model = fill_gallery(model, screen, data)
    return write(model.plan, model.run, model.served, data, screen)


def _train(plan: Plan, run: "Run", screen: "Screen", resume: bool, force: bool) -> "Data":
    """Reads the data, assembles the task and trains it; returns the data for the evaluation."""
    from mmzoo.data.open import make_processors, open_data
    from mmzoo.modeling.assemble import assemble
    from mmzoo.modeling.devices import on_devices
    from mmzoo.training.train import prepare, train

    resume = _check_folder(plan, run, screen, resume, force)
    has_checkpoint = resume and run.checkpoint.exists()
    backbone_configs = run.load_backbone_configs() if has_checkpoint else None
    if plan.dataset.card.needs:
        _assemble_before_data(plan, backbone_configs)  # finds parts that do not fit before the data is downloaded or rendered
    prepare(plan.train)
    # A resumed run keeps its processors: if the data has changed, the same ids would mean other words.
    data = open_data(plan, screen, run.load_processors(make_processors(plan)) if has_checkpoint else None)
    with on_devices(plan.train):
        task, layers = assemble(plan, _features(data.processors), backbone_configs)
        _rehearse(plan, task, data)
        screen.say(f"data      {', '.join(f'{size:,} {split}' for split, size in data.sizes.items())}")
        screen.say(f"task      {sum(layer.weights for layer in layers):,} weights")
        run.begin(plan, _versions(plan), resume)
        run.save_processors(data.processors)
        run.save_backbone_configs(task.encoders)
        train(task, data, run, screen, resume)
    return data


def _check_folder(plan: Plan, run: "Run", screen: "Screen", resume: bool, force: bool) -> bool:
    """Checks that the run's folder may be written; returns whether there is a run to resume.

    Raises:
        RunError: A run is present and is neither resumed nor replaced, or the recipe is not that of the resumed run.
    """
    if resume and force:
        raise RunError(f"{run.folder}: --resume continues the run and --force replaces it; give one of the two.")
    if not resume:
        run.check_free(force)
    elif run.plan.exists():
        _check_same(plan, run)
    else:
        run.check_free()
        screen.say(f"run       nothing to resume in {run.folder}; training from the first epoch")
    return resume and run.plan.exists()


def _check_same(plan: Plan, run: "Run") -> None:
    """Checks that a run is resumed with its own recipe; only the number of epochs and the export may differ."""
    saved, now = run.load_plan(), json.loads(json.dumps(plan.plain()))  # JSON turns tuples into lists, as in the saved plan
    changed = [key for key in now if key not in ("train", "export") and now[key] != saved.get(key)]
    changed += [f"train.{key}" for key, value in now["train"].items() if key != "epochs" and saved["train"].get(key) != value]
    if changed:
        raise RunError(
            f"{run.folder}: the recipe is not the one that this run began with; changed: {', '.join(changed)}.\n"
            "Undo the change to resume, replace the run with --force, or choose another folder with --out."
        )


def _assemble_before_data(plan: Plan, backbone_configs: Mapping[str, Any] | None = None) -> "tuple[Task, list[LayerSummary]]":
    """Assembles a plan on what is known of its data so far; prepares no data."""
    from mmzoo.data.open import learned_processors
    from mmzoo.modeling.assemble import assemble
    from mmzoo.training.train import prepare

    prepare(plan.train)
    return assemble(plan, _features(learned_processors(plan)), backbone_configs)


def _features(processors: "Mapping[str, Processor]") -> "dict[str, FeatureSpec]":
    return {name: processor.features for name, processor in processors.items()}


def _rehearse(plan: Plan, task: Any, data: "Data") -> None:
    """Answers, scores and audits the untrained model, so that a recipe that cannot be served fails before hours of training.

    Only under the TensorFlow backend, which serves.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    from mmzoo.contracts.progress import Screen
    from mmzoo.evaluation.evaluate import rehearse
    from mmzoo.serving.audit import audit
    from mmzoo.serving.gallery import collect
    from mmzoo.serving.served import Served

    served = Served(task, data.processors)
    if (gallery := task.head.gallery) is not None:
        served = Served(task, data.processors, collect(plan, served, gallery, data, Screen(quiet=True), most=4))
    rehearse(plan, served, data)
    audit(served)


def _finish_under_tensorflow(run: "Run") -> None:
    """Evaluates and exports a run that another backend trained, in a process of its own with the TensorFlow backend."""
    code = "import sys; from mmzoo.build import finish_alone; sys.exit(finish_alone(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.folder)], check=False, env=os.environ | {"KERAS_BACKEND": "tensorflow"}
    )
    if done.returncode != 0:
        raise RunError(f"{run.folder}: the run is trained, but could not be evaluated and exported; see the error above.")


def finish_alone(folder: str) -> int:
    """Finishes the run in a folder, as the only work of a process; returns its exit code."""
    from mmzoo.contracts.progress import Screen
    from mmzoo.run.folder import Run

    try:
        finish(Run(Path(folder)), Screen())
    except MmzooError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130  # the parent process prints how to continue
    return 0


def _versions(plan: Plan) -> dict[str, str]:
    """Returns the versions of plugins and libraries, which the run records."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue  # an optional library that is not installed
    return plan.versions() | versions
