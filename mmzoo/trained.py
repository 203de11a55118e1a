"""Run -> `Model`: a trained run, reopened by assembling its plan and loading its weights. Light until it is."""

from collections.abc import Iterable
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
from mmzoo.training.backend import set_backend

if TYPE_CHECKING:
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.splits import Data
    from mmzoo.run.folder import Run


@dataclass(frozen=True)
class Model:
    """A trained run, reopened: its plan assembled and its weights loaded."""

    plan: Plan
    run: "Run"
    task: Any
    served: Any

    def predict(self, signature: str | None = None, **raw: Any) -> dict[str, Any]:
        """Answers a batch of raw values, as the exported model does.

        Args:
            signature: Which one; the default one if not given.
            raw: For each of its inputs a list of encoded bytes or strings; of lists of them, which may differ in length, for an
                input such as the frames of a clip. One that is encoded, and not among those that the signature needs, may be
                left out if another such is there.

        Returns:
            Output name -> array whose first axis is the batch.

        Raises:
            MmzooError: There is no such signature; it takes other inputs, or of another form; they differ in number.
        """
        from mmzoo.serving.raw_values import SignatureInputs

        name, known = signature or self.served.default, self.served.answers
        if name not in known:
            raise MmzooError(f"the model has no signature '{name}'. {suggest(name, known)}")
        asked = known[name]
        specs = dict(zip(asked.inputs, self.served.specs(name), strict=True))
        spared = self.plan.encoders.keys() - {*asked.needs, *asked.reads}
        inputs = SignatureInputs(f"the signature '{name}'", specs, spared)
        return self.served.predict(name, *inputs.complete(raw).values())

    def open_data(self, screen: "Screen") -> "Data":
        """Reads the run's data, from where the build read it, through the run's own processors.

        Raises:
            DataError: It is not there any more, or cannot be read.
        """
        from mmzoo.data.open import open_data

        return open_data(replace(self.plan, dataset=self.plan.data.make()), screen, self.served.processors)


def load(run: "str | Path | Run", catalog: Catalog | None = None, overrides: Iterable[str] = ()) -> Model:
    """Reopens a trained run by assembling its plan and loading its weights; under the TensorFlow backend alone.

    Its data need not be there; `Model.open_data` looks for it.

    Args:
        run: The run, or its folder.
        catalog: The components; those of the installed plugins by default.
        overrides: `key=value` pairs that replace or add values of the recipe, of those that leave the weights as they are: what
            stands under `export`, and the gallery of the head and the field that names its entries.

    Raises:
        RunError: The folder holds no trained run.
        RecipeError: The installed plugins do not fit the run's plan any more, or an override is wrong.
    """
    set_backend("tensorflow")
    from mmzoo.data.open import make_processors
    from mmzoo.modeling.assemble import assemble
    from mmzoo.run.folder import Run
    from mmzoo.serving.entries import load_entries
    from mmzoo.serving.served import Served
    from mmzoo.training.checkpoint import load_weights
    from mmzoo.training.train import prepare

    run = run if isinstance(run, Run) else Run(Path(run))
    saved, known = _saved_recipe(run), catalog or discover()
    plan = resolve(override(saved, overrides), known, with_data=False)
    _check_weights_stay(resolve(saved, known, with_data=False), plan, run)
    prepare(plan.train)
    processors = run.load_processors(make_processors(plan))
    task, _ = assemble(plan, {name: processor.features for name, processor in processors.items()}, run.load_backbone_configs())
    load_weights(task, run)
    return Model(plan, run, task, Served(task, processors, load_entries(run)))


def fill_gallery(model: "Model", screen: "Screen", data: "Data") -> "Model":
    """Embeds what the model searches and keeps it in the run; gives the model that searches it."""
    from mmzoo.run.atomic import write_json
    from mmzoo.serving.gallery import collect
    from mmzoo.serving.served import Served

    wanted = model.task.head.gallery
    if wanted is None:
        return model
    entries = collect(model.plan, model.served, wanted, data, screen)
    entries.save(model.run)
    write_json(model.run.plan, model.run.load_json(model.run.plan) | {"recipe": model.plan.plain()})
    return replace(model, served=Served(model.task, model.served.processors, entries))


def _saved_recipe(run: "Run") -> Recipe:
    if not run.weights.exists():
        there = ", ".join(run.contents()) or "no run"
        raise RunError(f"{run.folder}: expected a trained run, found {there}. `mmzoo build RECIPE` makes one.")
    saved = run.load_plan()
    return Recipe(run.recipe.read_text("utf-8"), to_node(saved, str(run.plan)), str(run.plan))


def _check_weights_stay(trained: Plan, plan: Plan, run: "Run") -> None:
    saved, now = trained.plain(), plan.plain()
    free = {option.name for option in options_of(plan.head.component.load()) if option.refers_to in ("examples", "field")}
    for recipe in (saved, now):
        recipe["head"] = {name: value for name, value in recipe["head"].items() if name not in free}
    changed = [key for key in now if key != "export" and now[key] != saved[key]]
    if changed:
        named = ", ".join(["export", *(f"head.{name}" for name in sorted(free))])
        raise RunError(f"{run.folder}: {', '.join(changed)} cannot be changed after training; expected a key of {named}.")
