"""What a build will do, with every default filled in: the value between a recipe and a model. Light."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmzoo.recipe.options import supplied_of
from mmzoo.recipe.settings import Export, Train
from mmzoo.recipe.source import Node, Recipe
from mmzoo.registry.catalog import Component


@dataclass(frozen=True)
class BoundComponent:
    """A component with the value of each of its options.

    Args:
        component: Which one.
        options: Every option's value.
        node: Where the recipe names it.
    """

    component: Component
    options: Mapping[str, Any]
    node: Node

    def make(self, **supplied: Any) -> Any:
        """Makes the object; of `supplied`, the parameters that the core fills in, it gets those that it asks for."""
        options = {name: value.make if isinstance(value, BoundComponent) else value for name, value in self.options.items()}
        component = self.component.load()
        wanted = supplied_of(component)
        return component(**options, **{name: value for name, value in supplied.items() if name in wanted})

    def parts(self) -> list["BoundComponent"]:
        """Lists it and the components inside it."""
        inside = [value for value in self.options.values() if isinstance(value, BoundComponent)]
        return [self, *(part for one in inside for part in one.parts())]

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it, with every option."""
        options = {name: value.plain() if isinstance(value, BoundComponent) else value for name, value in self.options.items()}
        return {"type": f"{self.component.plugin.name}/{self.component.name}", **options}


@dataclass(frozen=True)
class Input:
    """A named column: a field of the data set read through a processor.

    Args:
        name: What the recipe calls it.
        field: Of the data set.
        processor: What reads it.
        node: Where the recipe names it.
        optional: Whether an example may lack it.
    """

    name: str
    field: str
    processor: BoundComponent
    node: Node
    optional: bool = False

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it."""
        return self.processor.plain() | {"field": self.field, "optional": self.optional}


@dataclass(frozen=True)
class Loss:
    """A loss, its weight in the sum, and which output or input each of its tensors is.

    Args:
        bound: The loss function with its options.
        tensors: Parameter name -> name of a head's output or of an input. One that the loss can do without is left out where
            there is neither.
        weight: Its factor in the total.
    """

    bound: BoundComponent
    tensors: Mapping[str, str]
    weight: float = 1.0

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it."""
        return self.bound.plain() | dict(self.tensors) | {"weight": self.weight}


@dataclass(frozen=True)
class Metric:
    """A metric, and which answer or input each of the values that it sees is.

    Args:
        bound: The metric with its options.
        values: Parameter of `update` -> name of an answer or of an input.
    """

    bound: BoundComponent
    values: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe would write it."""
        return self.bound.plain() | dict(self.values)


@dataclass(frozen=True)
class Plan:
    """A resolved recipe: every name looked up and every option bound.

    Args:
        recipe: What it was resolved from.
        name: The run's name.
        about: What the recipe is for.
        data: The data set.
        on_error: What an unreadable example does: `stop` the build or be skipped and counted.
        dataset: The data set's object; None in a run that is reopened, whose data need not be there.
        inputs: By name, in the recipe's order.
        encoders: By the name of the input that each reads.
        trainable: Which encoders are trained: True, False, or the number of the epoch from which on.
        fusion: None leaves the streams as they are.
        head: What answers.
        gallery: What the head searches, if it is a data set of its own.
        losses: Summed with their weights.
        metrics: What scores the answers.
        train: How to train.
        export: How to export.
    """

    recipe: Recipe
    name: str
    about: str
    data: BoundComponent
    on_error: str
    dataset: Any
    inputs: Mapping[str, Input]
    encoders: Mapping[str, BoundComponent]
    trainable: Mapping[str, bool | int]
    fusion: BoundComponent | None
    head: BoundComponent
    gallery: BoundComponent | None
    losses: tuple[Loss, ...]
    metrics: tuple[Metric, ...]
    train: Train
    export: Export

    def components(self) -> list[BoundComponent]:
        """Lists every component in it."""
        inputs = [i.processor for i in self.inputs.values()]
        fusion = [self.fusion] if self.fusion is not None else []
        gallery = [self.gallery] if self.gallery is not None else []
        losses, metrics = [loss.bound for loss in self.losses], [metric.bound for metric in self.metrics]
        whole = [self.data, *inputs, *self.encoders.values(), *fusion, self.head, *gallery, *losses, *metrics]
        return [part for one in whole for part in one.parts()]

    def plain(self) -> dict[str, Any]:
        """Gives it as a recipe with every default written out; resolving that gives this plan again."""
        plain: dict[str, Any] = {"name": self.name, "about": self.about}
        plain["data"] = self.data.plain() | {"on_error": self.on_error}
        plain["inputs"] = {name: column.plain() for name, column in self.inputs.items()}
        plain["encoders"] = {name: bound.plain() | {"trainable": self.trainable[name]} for name, bound in self.encoders.items()}
        plain["fusion"] = self.fusion.plain() if self.fusion is not None else None
        plain["head"] = self.head.plain()
        plain["loss"] = [loss.plain() for loss in self.losses]
        plain["train"] = vars(self.train)
        plain["metrics"] = [metric.plain() for metric in self.metrics]
        plain["export"] = vars(self.export)
        return plain

    def versions(self) -> dict[str, str]:
        """Gives the version of each plugin in use."""
        return {b.component.plugin.name: b.component.plugin.version for b in self.components()}
