"""The plan of a build: a recipe with every component looked up and every option filled in. Light."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmzoo.recipe.options import core_parameters_of, options_of
from mmzoo.recipe.settings import Evaluate, Export, Train
from mmzoo.recipe.source import Node, Recipe
from mmzoo.registry.catalog import Component


@dataclass(frozen=True)
class BoundComponent:
    """A component with a value for each of its options.

    Args:
        component: The component.
        options: The value of every option. An option that is a component itself is a `BoundComponent`.
        node: Its place in the recipe.
        start: The part of a needed run whose weights it starts from, `late/encoders.video`; empty for none.
        folder: Where its relative files are named from.
    """

    component: Component
    options: Mapping[str, Any]
    node: Node
    start: str = ""
    folder: Path = Path()

    @property
    def start_of(self) -> tuple[str, str]:
        """The need and its part in `start`: `late`, `encoders.video`."""
        need, _, part = self.start.partition("/")
        return need, part

    @property
    def preset(self) -> str:
        """What others have trained and it starts from; empty for nothing."""
        kinds = {option.name: option.refers_to for option in options_of(self.component.load())} if self.options else {}
        return next((value for name, value in self.options.items() if kinds[name] == "preset" and value is not None), "")

    def make(self, **supplied: Any) -> Any:
        """Makes the object. Of `supplied`, the parameters that the core fills in, it receives those that it takes.

        An option that names a needed recipe becomes the value of that name in `supplied["needed"]`, where that is given.
        """
        options = {name: value.make if isinstance(value, BoundComponent) else value for name, value in self.options.items()}
        component, needed = self.component.load(), supplied.pop("needed", {})
        for option in options_of(component):
            value: Any = options[option.name]
            if option.refers_to == "needs" and value in needed:
                options[option.name] = needed[value]
            if option.refers_to == "file" and value is not None:
                options[option.name] = _absolute(value, self.folder)
        wanted = core_parameters_of(component)
        return component(**options, **{name: value for name, value in supplied.items() if name in wanted})

    def parts(self) -> list["BoundComponent"]:
        """Returns this component and the components inside it."""
        inside = [value for value in self.options.values() if isinstance(value, BoundComponent)]
        return [self, *(part for inner in inside for part in inner.parts())]

    def plain(self) -> dict[str, Any]:
        """Returns it as plain data, written as in a recipe, with every option."""
        options = {name: value.plain() if isinstance(value, BoundComponent) else value for name, value in self.options.items()}
        start = {"weights": self.start} if self.start else {}
        return {"type": f"{self.component.plugin.name}/{self.component.name}", **options} | start


@dataclass(frozen=True)
class Input:
    """An input: a field of the data set, read by a processor.

    Args:
        name: Its name in the recipe.
        field: Field of the data set.
        processor: The processor that reads it.
        node: Its place in the recipe.
        optional: Whether an example may lack it.
    """

    name: str
    field: str
    processor: BoundComponent
    node: Node
    optional: bool = False

    def plain(self) -> dict[str, Any]:
        """Returns it as plain data, written as in a recipe."""
        return self.processor.plain() | {"field": self.field, "optional": self.optional}


@dataclass(frozen=True)
class BoundLoss:
    """A loss, the tensors that it takes, and its weight in the sum.

    Args:
        bound: The loss function with its options.
        tensors: Parameter -> name of an output of the head or of an input. A name that neither has is an error when the task
            is assembled, unless the parameter has a default.
        weight: Its factor in the sum of the losses.
    """

    bound: BoundComponent
    tensors: Mapping[str, str]
    weight: float = 1.0

    def plain(self) -> dict[str, Any]:
        """Returns it as plain data, written as in a recipe."""
        return self.bound.plain() | dict(self.tensors) | {"weight": self.weight}


@dataclass(frozen=True)
class BoundMetric:
    """A metric and the values that it takes.

    Args:
        bound: The metric with its options.
        values: Parameter of `update` -> name of an answer or of an input.
    """

    bound: BoundComponent
    values: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """Returns it as plain data, written as in a recipe."""
        return self.bound.plain() | dict(self.values)


@dataclass(frozen=True)
class Plan:
    """A resolved recipe: every component looked up and every option filled in.

    Args:
        recipe: The recipe that it was resolved from.
        name: Name of the run.
        about: What the recipe shows, for people.
        needs: Name -> the recipe that must be built first, as a path from this recipe's folder.
        data: The data set as a component.
        on_error: What happens to an unreadable example: `stop` ends the build; `skip` leaves it out and counts it.
        dataset: The data set object. None in a reopened run, which needs no data.
        inputs: The inputs by name, in the recipe's order.
        encoders: The encoders by the name of their input.
        trainable: Encoder -> whether it is trained: True, False, or the number of the first epoch in which it is, from 1.
        fusion: The fusion; None leaves the streams as they are.
        head: The head.
        gallery: The data set that the head searches, if it is not a split of `data`.
        losses: The losses, summed with their weights.
        metrics: The metrics that score the answers.
        train: Settings of the training.
        evaluate: Settings of the evaluation.
        export: Settings of the export.
    """

    recipe: Recipe
    name: str
    about: str
    needs: Mapping[str, str]
    data: BoundComponent
    on_error: str
    dataset: Any
    inputs: Mapping[str, Input]
    encoders: Mapping[str, BoundComponent]
    trainable: Mapping[str, bool | int]
    fusion: BoundComponent | None
    head: BoundComponent
    gallery: BoundComponent | None
    losses: tuple[BoundLoss, ...]
    metrics: tuple[BoundMetric, ...]
    train: Train
    evaluate: Evaluate
    export: Export

    def components(self) -> list[BoundComponent]:
        """Returns every component of the plan, and the components inside them."""
        inputs = [column.processor for column in self.inputs.values()]
        gallery = [self.gallery] if self.gallery is not None else []
        losses, metrics = [loss.bound for loss in self.losses], [metric.bound for metric in self.metrics]
        whole = [self.data, *inputs, *self.layers().values(), *gallery, *losses, *metrics]
        return [part for bound in whole for part in bound.parts()]

    def layers(self) -> dict[str, BoundComponent]:
        """Returns the parts of the task by their place in the recipe: `encoders.image`, `fusion`, `head`."""
        fusion = {"fusion": self.fusion} if self.fusion is not None else {}
        return {f"encoders.{name}": bound for name, bound in self.encoders.items()} | fusion | {"head": self.head}

    def starts(self) -> dict[str, BoundComponent]:
        """Returns the layers that start from a part of a needed run, by their place in the recipe.

        One that is an option of a layer has its name after that layer's: `head.stage1`.
        """
        layers = self.layers()
        inside = {f"{place}.{name}": part for place, bound in layers.items() for name, part in bound.options.items()}
        return {place: bound for place, bound in (layers | inside).items() if isinstance(bound, BoundComponent) and bound.start}

    def presets(self) -> dict[str, str]:
        """Returns what others have trained and the model starts from, by its place in the recipe, as `starts` names it."""
        places, found = {f"inputs.{name}": one.processor for name, one in self.inputs.items()} | self.layers(), {}
        while places:
            place, bound = places.popitem()
            places |= {f"{place}.{name}": one for name, one in bound.options.items() if isinstance(one, BoundComponent)}
            if given := bound.preset:
                found[place] = given
        return dict(sorted(found.items()))

    def plain(self) -> dict[str, Any]:
        """Returns the plan as a recipe with every default written out. Resolving that recipe returns the same plan."""
        plain: dict[str, Any] = {"name": self.name, "about": self.about, "needs": dict(self.needs)}
        plain["data"] = self.data.plain() | {"on_error": self.on_error}
        plain["inputs"] = {name: column.plain() for name, column in self.inputs.items()}
        plain["encoders"] = {name: bound.plain() | {"trainable": self.trainable[name]} for name, bound in self.encoders.items()}
        plain["fusion"] = self.fusion.plain() if self.fusion is not None else None
        plain["head"] = self.head.plain()
        plain["loss"] = [loss.plain() for loss in self.losses]
        plain["train"] = vars(self.train)
        plain["metrics"] = [metric.plain() for metric in self.metrics]
        plain["evaluate"] = vars(self.evaluate)
        plain["export"] = vars(self.export)
        return plain

    def versions(self) -> dict[str, str]:
        """Returns the version of each plugin in use, by name."""
        return versions_of(self.components())


def _absolute(path: str, folder: Path) -> str:
    with suppress(RuntimeError):  # an unknown home, of which the component says so
        return path if "://" in path else str((folder / Path(path).expanduser()).absolute())
    return path


def versions_of(components: Iterable[BoundComponent]) -> dict[str, str]:
    """Returns the version of each plugin of some components and of the components inside them, by name."""
    plugins = [part.component.plugin for bound in components for part in bound.parts()]
    return {plugin.name: plugin.version for plugin in plugins}
