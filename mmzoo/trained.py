"""Run -> `Model`: reopens a trained run. Imports neither Keras nor TensorFlow until then."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmzoo.errors import MmzooError, RunError, suggest
from mmzoo.recipe.options import options_of
from mmzoo.recipe.plan import Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import Recipe, override, to_node
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.run.stages import data_changes, dependencies
from mmzoo.training.process import borrowed, prepare

if TYPE_CHECKING:
    from mmzoo.contracts.processor import Processor
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.splits import Data
    from mmzoo.modeling.parts import Weights
    from mmzoo.modeling.task import Task
    from mmzoo.run.folder import Run


FREE = ("data", "evaluate", "export")
"""Top-level keys of a recipe whose change leaves the weights of a trained run as they are."""


@dataclass(frozen=True)
class Model:
    """A reopened run: its task is assembled from its plan, and its weights are loaded.

    Args:
        plan: The plan of the run.
        run: The folder of the run.
        task: The trained task.
        served: The task with the run's processors and gallery.
    """

    plan: Plan
    run: "Run"
    task: Any
    served: Any

    def predict(self, signature: str | None = None, **raw: Any) -> dict[str, Any]:
        """Answers a batch of raw values, as the exported model does.

        Args:
            signature: Name of the signature; the default one if None.
            raw: For each input of the signature a list with a raw value for each example: encoded bytes or a string; for an
                input such as the frames of a clip, a list of them, of any length. An input that has an encoder and is not
                among the signature's `needs` may be left out if another such input is given.

        Returns:
            Output name -> array whose first axis is the batch.

        Raises:
            MmzooError: The signature or an input does not exist; an input is missing or has another type; or the inputs differ
                in the number of values.
        """
        from mmzoo.serving.raw_values import SignatureInputs

        name, signatures = signature or self.served.default, self.served.answers
        if name not in signatures:
            raise MmzooError(f"the model has no signature '{name}'. {suggest(name, signatures)}")
        chosen = signatures[name]
        optional = self.plan.encoders.keys() - {*chosen.needs, *chosen.reads}
        inputs = SignatureInputs(f"the signature '{name}'", self.served.specs(name), optional)
        return self.served.predict(name, *inputs.complete(raw).values())

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Lets a call compute as its run is evaluated and served, whatever its caller has set; puts back what that was."""
        with borrowed("tensorflow"):
            _prepare(self.plan)
            yield

    def open_data(self, screen: "Screen", most: int | None = None) -> "Data":
        """Reads the data of the run again, from the same source, with the run's own processors. Says if they have changed.

        Whether they have is told from the options, the versions of plugins and `Card.fingerprint`, not from examples.

        Args:
            screen: Shows the progress.
            most: Read only the first so many examples of the held-out split.

        Raises:
            DataError: The data is missing or cannot be read.
        """
        from mmzoo.data.open import open_data

        with self.computing():
            data = open_data(replace(self.plan, dataset=self.plan.data.make()), screen, self.served.processors, most)
        if changes := self.data_changes(data):
            screen.say(
                f"warning   the run was trained on other data (changed: {', '.join(changes)}). The splits may hold other "
                "examples, so the model may be asked what it was trained on."
            )
        return data

    def data_changes(self, data: "Data") -> list[str]:
        """Returns what is other in data than in those that the run was trained on."""
        return data_changes(data.plan, self.run.load_stages())

    def finish_stages(self, data: "Data", *stages: str) -> None:
        """Records that stages of the run are done, unless other data than its own were read."""
        if not self.data_changes(data):
            found = dependencies(self.plan, self.run.load_needs())
            for stage in stages:
                self.run.finish_stage(stage, found[stage])


@borrowed("tensorflow")
def load(run: "str | Path | Run", catalog: Catalog | None = None, overrides: Iterable[str] = ()) -> Model:
    """Reopens a trained run: assembles its plan and loads its weights, under the TensorFlow backend.

    It computes in `export.precision`, whatever it was trained with. Its gallery is that of the run, unless an override asks for
    another one: then it has none, until `fill_gallery`.

    The data of the run need not be present; only `Model.open_data` reads it.

    Args:
        run: The run, or its folder.
        catalog: The components; those of the installed plugins by default.
        overrides: `key=value` pairs that replace or add values of the recipe. Only values that do not change the weights are
            allowed: those under `data`, `evaluate` and `export`, the gallery of the head, and the field that names its entries.

    Raises:
        RunError: The folder holds no trained run, or an override would change the weights.
        RecipeError: The installed plugins do not fit the run's plan any more, or an override is wrong.
    """
    from mmzoo.run.folder import Run
    from mmzoo.serving.entries import load_entries
    from mmzoo.serving.served import Served

    run = run if isinstance(run, Run) else Run(Path(run))
    saved, catalog = _saved_recipe(run), catalog or discover()
    plan = resolve(override(saved, overrides), catalog, with_data=False)
    trained = resolve(saved, catalog, with_data=False)
    _check_weights_unchanged(trained, plan, run)
    task, processors = _reopened(plan, run)
    embedded = all(trained.plain()[key] == plan.plain()[key] for key in ("head", "data"))
    same = embedded and trained.export.precision == plan.export.precision
    return Model(plan, run, task, Served(task, processors, load_entries(run) if same else None))


def load_parts(run: "Run", parts: Iterable[str], catalog: Catalog) -> "dict[str, Weights]":
    """Loads the trained weights of parts of a run, under the backend that is set.

    Args:
        run: A trained run.
        parts: `encoders.INPUT`, `fusion` or `head`.
        catalog: The components.

    Returns:
        Part -> its weights in their order.

    Raises:
        RunError: The folder holds no trained run.
    """
    from mmzoo.modeling.parts import weights_of

    task, _ = _reopened(resolve(_saved_recipe(run), catalog, with_data=False), run)
    return {part: weights_of(task, part) for part in parts}


def _reopened(plan: Plan, run: "Run") -> "tuple[Task, dict[str, Processor]]":
    """Assembles the task of a run's plan in the precision of the export, with the run's processors, and loads its weights."""
    from mmzoo.data.open import features_of, make_processors
    from mmzoo.modeling.assemble import assemble
    from mmzoo.training.checkpoint import load_weights

    _prepare(plan)
    processors = run.load_processors(make_processors(plan))
    configs = _in_precision(run.load_backbone_configs(), plan.train.precision, plan.export.precision)
    task, _ = assemble(plan, features_of(processors), configs)
    load_weights(task, run)
    return task, processors


def _prepare(plan: Plan) -> None:
    """Sets what a trained model computes with: the precision of the export."""
    prepare(replace(plan.train, precision=plan.export.precision))


def _in_precision(config: Any, trained: str, precision: str) -> Any:
    """Replaces the dtype policy of the training in Keras configs, which name the policy of each layer."""
    if isinstance(config, list):
        return [_in_precision(part, trained, precision) for part in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"] == {"name": trained}:
        return config | {"config": {"name": precision}}
    return {key: _in_precision(part, trained, precision) for key, part in config.items()}


def fill_gallery(model: "Model", screen: "Screen", data: "Data") -> "Model":
    """Embeds the gallery of the model's head and writes it to the run.

    Returns:
        The model with the signatures that search the gallery; the same model if its head has none.
    """
    from mmzoo.run.atomic import write_json
    from mmzoo.serving.gallery import collect
    from mmzoo.serving.served import Served

    gallery = model.task.head.gallery
    if gallery is None:
        return model
    with model.computing():
        entries = collect(model.plan, model.served, gallery, data, screen)
    entries.save(model.run)
    saved = model.run.load_json(model.run.plan)
    own = {"data": saved["recipe"]["data"]}  # what it was trained on, wherever the data lie today
    write_json(model.run.plan, saved | {"recipe": model.plan.plain() | own})
    return replace(model, served=Served(model.task, model.served.processors, entries))


def _saved_recipe(run: "Run") -> Recipe:
    """Reads the plan of a run as a recipe."""
    if not run.weights.exists():
        contents = ", ".join(run.contents()) or "no run"
        raise RunError(f"{run.folder}: expected a trained run, found {contents}. `mmzoo build RECIPE` makes one.")
    saved = run.load_plan()
    return Recipe(run.recipe.read_text("utf-8"), to_node(saved, str(run.plan)), str(run.plan), run.load_origin())


def _check_weights_unchanged(trained: Plan, plan: Plan, run: "Run") -> None:
    """Checks that two plans differ only in values that leave the weights as they are."""
    saved, now = trained.plain(), plan.plain()
    head_options = options_of(plan.head.component.load())
    allowed = {option.name for option in head_options if option.refers_to in ("examples", "field")}
    for recipe in (saved, now):
        recipe["head"] = {name: value for name, value in recipe["head"].items() if name not in allowed}
    changed = [key for key in now if key not in FREE and now[key] != saved[key]]
    if changed:
        names = ", ".join([*FREE, *(f"head.{name}" for name in sorted(allowed))])
        raise RunError(f"{run.folder}: {', '.join(changed)} cannot be changed after training; expected a key of {names}.")
