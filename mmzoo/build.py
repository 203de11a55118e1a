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

from mmzoo.errors import RunError
from mmzoo.recipe.plan import Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.trained import Model, fill_gallery, load
from mmzoo.training.backend import choose_backend

if TYPE_CHECKING:
    from mmzoo.contracts.head import Signature
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.splits import Data
    from mmzoo.modeling.assemble import LayerSummary
    from mmzoo.modeling.task import Task
    from mmzoo.run.folder import Run

LIBRARIES = ("mmzoo", "keras", "tensorflow", "keras-hub", "tensorflow-datasets", "jax")
"""The libraries whose versions a run records."""


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
        screen: Where progress goes; the terminal by default.

    Returns:
        The finished run.

    Raises:
        RecipeError: Everything that is wrong with the recipe.
        MmzooError: The data, the run's folder, the training or the export is at fault; the message says what to do.
    """
    read = read_recipe(recipe, tuple(overrides))
    backend: Any = choose_backend(read)
    plan = resolve(read, catalog or discover())
    plan = replace(plan, train=replace(plan.train, backend=backend))  # the run says what it was trained on
    from mmzoo.contracts.progress import Screen
    from mmzoo.run.folder import Run

    screen, run = screen or Screen(), Run(Path(out or Path("runs") / plan.name))
    data = _train(plan, run, screen, resume, force)
    if backend == "tensorflow":
        finish(run, screen, catalog, data)
    else:
        _finish_under_tensorflow(run)
    return run


@dataclass(frozen=True)
class Checked:
    """What a recipe would build.

    Args:
        plan: The recipe with every default.
        layers: What each part of the task takes and gives.
        signatures: What the model will answer, by name; the first is the default one.
    """

    plan: Plan
    layers: "list[LayerSummary]"
    signatures: "Mapping[str, Signature]"


def check(recipe: str | Path, *, overrides: Iterable[str] = (), catalog: Catalog | None = None) -> Checked:
    """Resolves a recipe and assembles it on symbolic tensors; trains nothing and writes nothing.

    What a processor learns from the data, such as a vocabulary, is learned if the data is ready, and else left empty.

    Raises:
        RecipeError: Everything that is wrong with the recipe.
    """
    read = read_recipe(recipe, tuple(overrides))
    choose_backend(read)
    plan = resolve(read, catalog or discover())
    task, layers = _assemble_ahead(plan)
    return Checked(plan, layers, task.signatures())


def finish(run: "Run", screen: "Screen", catalog: Catalog | None = None, data: "Data | None" = None) -> None:
    """Evaluates, exports and reports a trained run, from its folder; `data` saves opening it again."""
    model = load(run, catalog)
    data = data or model.open_data(screen)
    model = fill_gallery(model, screen, data)
    evaluate(model, screen, data)
    export(model, screen, data)


def evaluate(model: Model, screen: "Screen", data: "Data | None" = None, missing: float | None = None) -> dict[str, Any]:
    """Scores a trained run on its held-out split, writes its report, and gives the flat scores.

    Args:
        model: What is scored.
        screen: Where progress goes.
        data: Saves opening it again.
        missing: Score it also without each of its inputs, in this share of the examples, and keep that in the run.
    """
    from mmzoo.evaluation.evaluate import evaluate as score
    from mmzoo.evaluation.evaluate import evaluate_missing
    from mmzoo.reporting.report import report
    from mmzoo.run.atomic import write_json

    data = data or model.open_data(screen)
    if model.served.searched is None:
        model = fill_gallery(model, screen, data)
    if missing is not None:
        numbers = evaluate_missing(model.plan, model.served, data, screen, missing)
        write_json(model.run.missing, {"split": data.held_out(), "share": missing, "scores": numbers})
    scores = score(model.plan, model.served, data, screen)
    report(model.plan, model.run, model.served, data, scores)
    return scores.flat()


def export(model: Model, screen: "Screen", data: "Data | None" = None) -> Path:
    """Exports a trained run and gives the folder of the version."""
    from mmzoo.serving.export import export as write

    data = data or model.open_data(screen)
    if model.served.searched is None:
        model = fill_gallery(model, screen, data)
    return write(model.plan, model.run, model.served, data, screen)


def _train(plan: Plan, run: "Run", screen: "Screen", resume: bool, force: bool) -> "Data":
    from mmzoo.data.open import make_processors, open_data
    from mmzoo.modeling.assemble import assemble
    from mmzoo.modeling.devices import on_devices
    from mmzoo.training.train import prepare, train

    if resume and force:
        raise RunError(f"{run.folder}: --resume continues the run and --force replaces it; give one of the two.")
    if resume and not run.plan.exists():
        resume = False
        run.check_free()
        screen.say(f"run       there is nothing to resume in {run.folder}; it begins anew")
    elif resume:
        _check_same(plan, run)
    else:
        run.check_free(force)
    begun = resume and run.checkpoint.exists()
    backbone_configs = run.load_backbone_configs() if begun else None
    if plan.dataset.card.needs:
        _assemble_ahead(plan, backbone_configs)  # parts that do not fit are found before the data is made
    prepare(plan.train)
    # What the run has learned in is kept: of data that has changed since, the same ids would mean other words.
    data = open_data(plan, screen, run.load_processors(make_processors(plan)) if begun else None)
    with on_devices(plan.train):
        features = {name: processor.features for name, processor in data.processors.items()}
        task, layers = assemble(plan, features, backbone_configs)
        _rehearse(plan, task, data)
        sizes = ", ".join(f"{data.sizes[split]:,} {split}" for split in data.sizes)
        screen.say(f"data      {sizes}")
        screen.say(f"task      {sum(layer.weights for layer in layers):,} weights")
        run.begin(plan, _versions(plan), resume)
        run.save_processors(data.processors)
        run.save_backbone_configs(task.encoders)
        train(task, data, run, screen, resume)
    return data


def _assemble_ahead(plan: Plan, backbone_configs: Mapping[str, Any] | None = None) -> "tuple[Task, list[LayerSummary]]":
    """Assembles a plan on what is known of its data by now; prepares no data."""
    from mmzoo.data.open import learned_processors
    from mmzoo.modeling.assemble import assemble
    from mmzoo.training.train import prepare

    prepare(plan.train)
    return assemble(plan, {name: processor.features for name, processor in learned_processors(plan).items()}, backbone_configs)


def _rehearse(plan: Plan, task: Any, data: "Data") -> None:
    """Answers, scores and audits before hours of training find out that the model cannot be served; TensorFlow alone can."""
    import keras

    if keras.backend.backend() == "tensorflow":
        from mmzoo.contracts.progress import Screen
        from mmzoo.evaluation.evaluate import rehearse
        from mmzoo.serving.audit import audit
        from mmzoo.serving.gallery import collect
        from mmzoo.serving.served import Served

        served = Served(task, data.processors)
        if (wanted := task.head.gallery) is not None:
            served = Served(task, data.processors, collect(plan, served, wanted, data, Screen(quiet=True), most=4))
        rehearse(plan, served, data)
        audit(served)


def _finish_under_tensorflow(run: "Run") -> None:
    """Evaluates and exports a run that another backend trained, in a process of its own."""
    code = "import sys; from mmzoo.cli.verbs import finish_run; sys.exit(finish_run(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.folder)], check=False, env=os.environ | {"KERAS_BACKEND": "tensorflow"}
    )
    if done.returncode != 0:
        raise RunError(f"{run.folder}: the run is trained, but could not be evaluated and exported; the reason stands above.")


def _check_same(plan: Plan, run: "Run") -> None:
    saved, now = run.load_plan(), json.loads(json.dumps(plan.plain()))  # which makes lists of tuples
    changed = [key for key in now if key not in ("train", "export") and now[key] != saved.get(key)]
    changed += [f"train.{key}" for key, value in now["train"].items() if key != "epochs" and saved["train"].get(key) != value]
    if changed:
        raise RunError(
            f"{run.folder}: the recipe is not the one that this run began with; changed: {', '.join(changed)}.\n"
            "Undo the change to resume, replace the run with --force, or choose another folder with --out."
        )


def _versions(plan: Plan) -> dict[str, str]:
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue  # an optional one that is not installed
    return plan.versions() | versions
