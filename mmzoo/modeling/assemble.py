"""Plan -> `Task`, built on symbolic tensors, so that parts that do not fit are found before any data is read."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras

from mmzoo.contracts.head import Head, with_aliases
from mmzoo.contracts.streams import FeatureSpec, Stream, check_stream, describe, mask_of, without_absent
from mmzoo.errors import RecipeError, StreamError, suggest
from mmzoo.modeling.memory import (
    fault_of_example,
    fault_of_memory,
    fault_of_size,
    is_out_of_memory,
    own_variables,
    without_values,
)
from mmzoo.modeling.parts import inner_layer
from mmzoo.modeling.task import Task, WeightedLoss, encode
from mmzoo.recipe.options import tensors_of
from mmzoo.recipe.plan import BoundComponent, BoundLoss, Plan
from mmzoo.recipe.source import Node


@dataclass(frozen=True)
class LayerSummary:
    """One line of the summary of a task, as in `keras.Model.summary`.

    Args:
        part: `encoders.image`, `fusion`, `head`.
        name: Name of the component.
        takes: Names, shapes and dtypes of its inputs.
        gives: The same of its outputs.
        weights: Number of its parameters.
        note: How its input is read otherwise than its weights were trained with; empty if it is not.
    """

    part: str
    name: str
    takes: str
    gives: str
    weights: int
    note: str = ""


def assemble(
    plan: Plan, features: Mapping[str, FeatureSpec], backbone_configs: Mapping[str, Any] | None = None
) -> tuple[Task, list[LayerSummary]]:
    """Makes and builds the task of a plan.

    Args:
        plan: A resolved recipe.
        features: The feature spec of each input's processor.
        backbone_configs: The `backbone_config` of encoders, by name, when a run is reopened.

    Returns:
        The built task, and a summary of its layers.

    Raises:
        RecipeError: Parts do not fit each other, or into the memory; the message names the place in the recipe.
    """
    with own_variables():
        try:
            return _assemble(plan, features, backbone_configs or {})
        except Exception as error:
            if not is_out_of_memory(error):
                raise
    _, layers = assemble_without_values(plan, features, backbone_configs)
    largest = max(layers, key=lambda layer: layer.weights)
    raise RecipeError([fault_of_memory(plan.layers()[largest.part].node, sum(layer.weights for layer in layers))])


def assemble_without_values(
    plan: Plan, features: Mapping[str, FeatureSpec], backbone_configs: Mapping[str, Any] | None = None
) -> tuple[Task, list[LayerSummary]]:
    """Makes a task whose weights have no values: what is checked of it is checked before a value takes memory.

    Args and results are those of `assemble`.
    """
    with without_values():
        return _assemble(plan, features, backbone_configs or {})


def _assemble(
    plan: Plan, features: Mapping[str, FeatureSpec], backbone_configs: Mapping[str, Any]
) -> tuple[Task, list[LayerSummary]]:
    if large := [fault for name in features if (fault := fault_of_example(plan.inputs[name].node, features[name]["shape"]))]:
        raise RecipeError(large)
    inputs = symbols_of(plan, features)
    symbols = {name: inputs[name] for name in features}
    layers: list[LayerSummary] = []
    encoded = {name: _encoder(plan, name, features, inputs, layers, backbone_configs.get(name)) for name in plan.encoders}
    encoders = {name: encoder for name, (encoder, _) in encoded.items()}
    streams = {name: without_absent(stream, inputs[mask_of(name)]) for name, (_, stream) in encoded.items()}
    fusion = None
    if plan.fusion is not None:
        fusion, streams = _fusion(plan.fusion, streams, layers)
    head, outputs = _head(plan, features, symbols, streams, layers)
    _check_inputs(plan, head)
    _check_names(plan, head, outputs)
    _check_optimizers(plan, head)
    step = keras.KerasTensor((), dtype="int32", name="step")
    losses = [_loss(loss, {"step": step, **symbols, **with_aliases(outputs, head.aliases)}) for loss in plan.losses]
    task = Task(encoders, fusion, head, losses, plan.train.modality_dropout)
    task.built = True  # each of its parts was called as it calls them
    return task, layers


def symbols_of(plan: Plan, features: Mapping[str, FeatureSpec]) -> dict[str, Any]:
    """Makes the symbolic inputs of a task: the features of each input, and the mask of each input that is encoded."""
    symbols = {name: keras.KerasTensor((None, *spec["shape"]), spec["dtype"], name=name) for name, spec in features.items()}
    masks = {mask_of(name): (None, *features[name].get("mask", [])) for name in plan.encoders}
    return symbols | {name: keras.KerasTensor(shape, "bool", name=name) for name, shape in masks.items()}


def _encoder(
    plan: Plan, name: str, features: Mapping[str, FeatureSpec], symbols: Any, layers: list[LayerSummary], backbone_config: Any
) -> tuple[Any, Stream]:
    """Makes and calls an encoder; returns it and its stream, and appends its summary to `layers`."""
    bound = plan.encoders[name]
    with _faults_at(bound.node):
        encoder = bound.make(features=dict(features[name]), backbone_config=backbone_config)
        if plan.trainable[name] is False:
            encoder.trainable = False
        stream = encode(encoder, symbols[name], symbols[mask_of(name)])
        check_stream(stream, f"the encoder '{bound.component.name}'")
    summary = _summary(f"encoders.{name}", bound, encoder, symbols[name], stream)
    layers.append(replace(summary, note=_preprocessing_note(encoder, name, plan.inputs[name].processor)))
    return encoder, stream


def _preprocessing_note(encoder: Any, name: str, processor: BoundComponent) -> str:
    """Says which options of an input's processor are other than `expects` of its encoder, which a preset may have set."""
    expected = {option: value for option, value in getattr(encoder, "expects", {}).items() if option in processor.options}
    other = {option: value for option, value in expected.items() if processor.options[option] != value}
    written = ", ".join(f"{option}: {value}" for option, value in other.items())
    found = ", ".join(f"{option}: {processor.options[option]}" for option in other)
    return f"its weights were trained with {written}; inputs.{name} has {found}" if other else ""


def _fusion(bound: BoundComponent, streams: Any, layers: list[LayerSummary]) -> tuple[Any, Any]:
    """Makes and calls the fusion; returns it and its streams."""
    with _faults_at(bound.node):
        fusion = bound.make()
        fused = fusion(streams)
        if not isinstance(fused, Mapping):
            raise StreamError(f"the fusion '{bound.component.name}' must give streams by name, received {describe(fused)}.")
        for name, stream in fused.items():
            check_stream(stream, f"the fusion '{bound.component.name}', for '{name}',")
    layers.append(_summary("fusion", bound, fusion, streams, fused))
    return fusion, fused


def _head(plan: Plan, features: Any, symbols: Any, streams: Any, layers: list[LayerSummary]) -> tuple[Head, Any]:
    """Makes and calls the head; returns it and its outputs."""
    with _faults_at(plan.head.node):
        head = plan.head.make(inputs={name: dict(spec) for name, spec in features.items()})
        for place in plan.starts():
            if place.startswith("head."):  # a part of another run that the head uses is no part of what it learns
                inner_layer(head, place.removeprefix("head."), place).trainable = False
        _check_targets(plan.head, head, symbols)
        outputs = head(streams, targets={name: symbols[name] for name in head.targets})
        if not isinstance(outputs, Mapping):
            raise StreamError(f"the head '{plan.head.component.name}' must give outputs by name, received {describe(outputs)}.")
    layers.append(_summary("head", plan.head, head, streams, outputs))
    return head, outputs


def _summary(part: str, bound: BoundComponent, layer: Any, inputs: Any, outputs: Any) -> LayerSummary:
    return LayerSummary(part, bound.component.name, describe(inputs), describe(outputs), layer.count_params())


def _check_targets(bound: BoundComponent, head: Head, inputs: Mapping[str, Any]) -> None:
    for name in head.targets:
        if name not in inputs:
            what = f"the head '{bound.component.name}' learns '{name}', which is not an input of the recipe."
            raise RecipeError([bound.node.fault(what, suggest(name, inputs))])


def _check_inputs(plan: Plan, head: Head) -> None:
    """Checks that each input of the recipe is used: encoded, a target, or named by a loss or a metric."""
    named = {name for loss in plan.losses for name in loss.tensors.values()}
    scored = {name for metric in plan.metrics for name in metric.values.values()}
    used = {*plan.encoders, *head.targets, *named, *scored}
    unused = [column for name, column in plan.inputs.items() if name not in used]
    if unused:
        advice = "Give it an encoder, make it the head's target, or remove it."
        raise RecipeError([column.node.key_fault("nothing uses this input.", advice) for column in unused])


def _check_names(plan: Plan, head: Head, outputs: Mapping[str, Any]) -> None:
    """Checks that no input of the recipe has a name under which losses find something of the head, or a signature takes it."""
    taken = dict.fromkeys([*outputs, *head.aliases], "gives an output")
    for signature in head.signatures().values():
        taken |= dict.fromkeys(signature.reads, "takes several values") | {signature.seed: "takes its seed"}
    what = "the head '{}' {} under this name. Give the input another name."
    faults = [
        plan.inputs[name].node.key_fault(what.format(plan.head.component.name, does))
        for name, does in taken.items()
        if name in plan.inputs
    ]
    if faults:
        raise RecipeError(faults)


def _check_optimizers(plan: Plan, head: Head) -> None:
    """Checks that several optimizers are those of the parts of the head that are trained against each other."""
    given, players = set(plan.train.optimizers), list(head.players)
    if given and given != set(players):
        node = dict(dict(plan.recipe.root.items())["train"].items())["optimizers"]
        expected = f"expected {' and '.join(players)}" if players else "it has one optimizer: write it under `optimizer`"
        what = f"the head '{plan.head.component.name}' has other parts than {', '.join(sorted(given))}; {expected}."
        raise RecipeError([node.fault(what)])


def _loss(loss: BoundLoss, symbols: Mapping[str, Any]) -> WeightedLoss:
    """Binds a loss to its options and tensors, and checks on symbols that it returns one value per example."""
    name = loss.bound.component.name
    function = loss.bound.component.load()
    required = tensors_of(function)
    for parameter, tensor in loss.tensors.items():
        if tensor not in symbols and (required[parameter] or tensor != parameter):
            what = f"the loss '{name}' needs '{tensor}' (its '{parameter}'), which neither the head nor the inputs give."
            raise RecipeError([loss.bound.node.fault(what, suggest(tensor, symbols))])
    tensors = {parameter: tensor for parameter, tensor in loss.tensors.items() if tensor in symbols}
    global_batch = getattr(function, "global_batch", False)
    weighted = WeightedLoss(name, partial(function, **loss.bound.options), tensors, loss.weight, global_batch)
    with _faults_at(loss.bound.node):
        value = _Computation(weighted).compute_output_spec(symbols)
        if tuple(getattr(value, "shape", ())) != (None,):
            raise StreamError(f"the loss '{name}' must give one value per example, (batch,), received {describe(value)}.")
    return weighted


class _Computation(keras.Operation):
    """A function as a Keras operation, whose output spec is found by tracing it, even if it has loops or gradients inside."""

    def __init__(self, function: Any):
        super().__init__()
        self.function = function

    def call(self, tensors: Mapping[str, Any]) -> Any:
        return self.function(tensors)


@contextmanager
def _faults_at(node: Node) -> Iterator[None]:
    """Turns what a component raises while it is built on symbolic tensors into a fault at its place in the recipe."""
    try:
        with warnings.catch_warnings(record=True, action="always") as caught:
            yield
        _check_size(node)
    except StreamError as error:
        raise RecipeError([node.fault(str(_origin(error)))]) from error
    except (ValueError, TypeError, OverflowError) as error:
        _check_size(node)  # sizes that a library cannot count fail in its words
        lines = [line.strip() for line in str(_origin(error)).splitlines() if line.strip()] or [type(error).__name__]
        raise RecipeError([node.fault(f"it cannot be built: {lines[0]}")]) from error
    for warning in caught:  # warnings of a failed build are dropped: they only repeat the fault, at length
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _check_size(node: Node) -> None:
    if fault := fault_of_size(node):
        raise RecipeError([fault])


def _origin(error: BaseException) -> BaseException:
    """Returns the error that a component raised; Keras raises it again with its own text around it."""
    while isinstance(error.__context__, type(error)):
        error = error.__context__
    return error
