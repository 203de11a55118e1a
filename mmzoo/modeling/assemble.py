"""Plan -> `Task`, built on symbolic tensors: every join is checked before any data is read."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from mmzoo.contracts.head import Head, with_aliases
from mmzoo.contracts.streams import FeatureSpec, check_stream, describe, mask_of
from mmzoo.errors import RecipeError, StreamError, suggest
from mmzoo.modeling.task import Task, WeightedLoss
from mmzoo.recipe.options import tensors_of
from mmzoo.recipe.plan import BoundComponent, Loss, Plan
from mmzoo.recipe.source import Node


@dataclass(frozen=True)
class LayerSummary:
    """What one part of a task takes and gives, for people to look at.

    Args:
        part: `encoders.image`, `fusion`, `head`.
        name: The component's name.
        takes: Names, shapes and dtypes.
        gives: The same.
        weights: How many numbers it holds.
    """

    part: str
    name: str
    takes: str
    gives: str
    weights: int


def assemble(
    plan: Plan, features: Mapping[str, FeatureSpec], backbone_configs: Mapping[str, Any] | None = None
) -> tuple[Task, list[LayerSummary]]:
    """Makes the task of a plan.

    Args:
        plan: A resolved recipe.
        features: What each input's processor gives.
        backbone_configs: The `backbone_config` of encoders, by name, when a run is reopened.

    Raises:
        RecipeError: Parts that do not fit each other, with the place in the recipe.
    """
    given = symbols_of(plan, features)
    symbols = {name: given[name] for name in features}
    layers: list[LayerSummary] = []
    encoders = {
        name: _encoder(plan, name, features, symbols, layers, (backbone_configs or {}).get(name)) for name in plan.encoders
    }
    streams = {name: encoder(symbols[name]) for name, encoder in encoders.items()}
    fusion = None
    if plan.fusion is not None:
        fusion, streams = _fusion(plan.fusion, streams, layers)
    head, outputs = _head(plan, features, symbols, streams, layers)
    _check_inputs(plan, head)
    step = keras.KerasTensor((), dtype="int32", name="step")
    losses = [_loss(loss, {"step": step, **symbols, **with_aliases(outputs, head.aliases)}) for loss in plan.losses]
    task = Task(encoders, fusion, head, losses, plan.train.modality_dropout)
    task(given)
    return task, layers


def symbols_of(plan: Plan, features: Mapping[str, FeatureSpec]) -> dict[str, Any]:
    """Makes symbols of what the data gives a task: the features of each input, and what is there of those that are encoded."""
    given = {name: keras.KerasTensor((None, *known["shape"]), known["dtype"], name=name) for name, known in features.items()}
    masks = {mask_of(name): (None, *features[name].get("mask", [])) for name in plan.encoders}
    return given | {name: keras.KerasTensor(shape, "bool", name=name) for name, shape in masks.items()}


def _encoder(
    plan: Plan, name: str, features: Mapping[str, FeatureSpec], symbols: Any, layers: list[LayerSummary], backbone_config: Any
) -> Any:
    bound = plan.encoders[name]
    with _blamed_on(bound.node):
        encoder = bound.make(features=dict(features[name]), backbone_config=backbone_config)
        if plan.trainable[name] is False:
            encoder.trainable = False
        gives = encoder(symbols[name])
        check_stream(gives, f"the encoder '{bound.component.name}'")
    layers.append(_summary(f"encoders.{name}", bound, encoder, symbols[name], gives))
    return encoder


def _fusion(bound: BoundComponent, streams: Any, layers: list[LayerSummary]) -> tuple[Any, Any]:
    with _blamed_on(bound.node):
        fusion = bound.make()
        gives = fusion(streams)
        if not isinstance(gives, Mapping):
            raise StreamError(f"the fusion '{bound.component.name}' must give streams by name, received {describe(gives)}.")
        for name, stream in gives.items():
            check_stream(stream, f"the fusion '{bound.component.name}', for '{name}',")
    layers.append(_summary("fusion", bound, fusion, streams, gives))
    return fusion, gives


def _head(plan: Plan, features: Any, symbols: Any, streams: Any, layers: list[LayerSummary]) -> tuple[Head, Any]:
    with _blamed_on(plan.head.node):
        head = plan.head.make(inputs={name: dict(known) for name, known in features.items()})
        _check_targets(plan.head, head, symbols)
        outputs = head(streams, targets={name: symbols[name] for name in head.targets})
        if not isinstance(outputs, Mapping):
            raise StreamError(f"the head '{plan.head.component.name}' must give outputs by name, received {describe(outputs)}.")
    layers.append(_summary("head", plan.head, head, streams, outputs))
    return head, outputs


def _summary(part: str, bound: BoundComponent, layer: Any, takes: Any, gives: Any) -> LayerSummary:
    return LayerSummary(part, bound.component.name, describe(takes), describe(gives), layer.count_params())


def _check_targets(bound: BoundComponent, head: Head, inputs: Mapping[str, Any]) -> None:
    for name in head.targets:
        if name not in inputs:
            what = f"the head '{bound.component.name}' learns '{name}', which is no input of the recipe."
            raise RecipeError([bound.node.fault(what, suggest(name, inputs))])


def _check_inputs(plan: Plan, head: Head) -> None:
    named = {name for loss in plan.losses for name in loss.tensors.values()}
    scored = {name for metric in plan.metrics for name in metric.values.values()}
    used = {*plan.encoders, *head.targets, *named, *scored}
    idle = [column for name, column in plan.inputs.items() if name not in used]
    if idle:
        advice = "Give it an encoder, make it the head's target, or remove it."
        raise RecipeError([column.node.misnamed("nothing uses this input.", advice) for column in idle])


def _loss(loss: Loss, found: Mapping[str, Any]) -> WeightedLoss:
    name = loss.bound.component.name
    function = loss.bound.component.load()
    needed = tensors_of(function)
    for parameter, tensor in loss.tensors.items():
        if tensor not in found and (needed[parameter] or tensor != parameter):
            what = f"the loss '{name}' needs '{tensor}' (its '{parameter}'), which neither the head nor the inputs give."
            raise RecipeError([loss.bound.node.fault(what, suggest(tensor, found))])
    tensors = {parameter: tensor for parameter, tensor in loss.tensors.items() if tensor in found}
    global_batch = getattr(function, "global_batch", False)
    weighted = WeightedLoss(name, partial(function, **loss.bound.options), tensors, loss.weight, global_batch)
    with _blamed_on(loss.bound.node):
        value = _Computed(weighted).compute_output_spec(found)
        if tuple(getattr(value, "shape", ())) != (None,):
            raise StreamError(f"the loss '{name}' must give one value per example, (batch,), received {describe(value)}.")
    return weighted


class _Computed(keras.Operation):
    """Computes a function's shape on symbols from its code, whatever loops and gradients of its own it has."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def call(self, found: Mapping[str, Any]) -> Any:
        return self.function(found)


@contextmanager
def _blamed_on(node: Node) -> Iterator[None]:
    """Turns what a component raises while it is built on symbolic tensors into a fault at its place in the recipe."""
    try:
        with warnings.catch_warnings(record=True, action="always") as warned:
            yield
    except StreamError as error:
        raise RecipeError([node.fault(str(_origin(error)))]) from error
    except (ValueError, TypeError) as error:
        lines = [line.strip() for line in str(_origin(error)).splitlines() if line.strip()] or [type(error).__name__]
        raise RecipeError([node.fault(f"it cannot be built: {lines[0]}")]) from error
    for one in warned:  # those of a failure only say again, at length, what the fault says
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _origin(error: BaseException) -> BaseException:
    """Finds what a component raised: Keras raises it again with its own text around it."""
    while isinstance(error.__context__, type(error)):
        error = error.__context__
    return error
