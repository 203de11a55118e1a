"""The parts of a task by their names in a recipe, and how one starts from the trained weights of another task's."""

from itertools import zip_longest
from typing import Any

import keras
import numpy as np

from mmzoo.errors import PluginError, RecipeError
from mmzoo.modeling.task import Task
from mmzoo.recipe.plan import BoundComponent

Weights = list[tuple[str, Any]]
"""The path and the value of each weight of a part, in the order in which Keras lists them."""


def part_of(task: Task, part: str) -> Any:
    """Returns a part of a task: `encoders.INPUT`, `fusion`, `head`, or a layer that is an attribute of one of them.

    Raises:
        PluginError: The layer has no such attribute.
    """
    kind, *names = part.split(".")
    layer: Any = task.encoders[names.pop(0)] if kind == "encoders" else {"fusion": task.fusion, "head": task.head}[kind]
    for name in names:
        layer = inner_layer(layer, name, part)
    return layer


def inner_layer(layer: Any, name: str, part: str) -> Any:
    """Returns the layer that another layer keeps in the attribute `name`; `part` is the place of the whole, for the message.

    Raises:
        PluginError: There is no such layer.
    """
    inner = getattr(layer, name, None)
    if not isinstance(inner, keras.layers.Layer):
        raise PluginError(
            f"'{part}': the layer '{layer.name}' has no layer '{name}'. A component keeps a layer that is one of its "
            "options in an attribute with the option's name.\nReport this to the authors of the plugin."
        )
    return inner


def weights_of(task: Task, part: str) -> Weights:
    """Reads the weights of a part: what is trained, and state such as the running means of batch normalisation."""
    return [(weight.path, np.asarray(keras.ops.convert_to_numpy(weight))) for weight in part_of(task, part).weights]


def start_part(task: Task, part: str, bound: BoundComponent, given: Weights) -> None:
    """Gives the weights of a part the values of the same part of another task.

    Args:
        task: The built task.
        part: The part to change.
        bound: Its component, which says what it starts from.
        given: The weights to start from.

    Raises:
        RecipeError: The two differ in number, name or shape of their weights; the message names the first difference.
    """
    own = part_of(task, part).weights
    here, there = [(one.path, tuple(one.shape)) for one in own], [(path, value.shape) for path, value in given]
    for mine, theirs in zip_longest(here, there):
        if mine is None or theirs is None or (_leaf(mine), mine[1]) != (_leaf(theirs), theirs[1]):
            what = f"'{bound.start}' does not fit {part}: it has {_describe(theirs)} where {part} has {_describe(mine)}."
            node = dict(bound.node.items())["weights"]
            raise RecipeError([node.fault(what, "Give both components the same options, and their inputs the same shapes.")])
    for weight, (_, value) in zip(own, given, strict=True):
        weight.assign(value)


def _leaf(weight: tuple[str, Any]) -> str:
    """Returns the last name of a weight's path; the others are numbered by Keras as layers are made."""
    return weight[0].rpartition("/")[2]


def _describe(weight: tuple[str, Any] | None) -> str:
    return f"'{weight[0]}' of shape {weight[1]}" if weight is not None else "no further weight"
