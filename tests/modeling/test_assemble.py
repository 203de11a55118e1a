"""Every join of a task is checked on symbolic tensors, and a part that does not fit is named at its place in the recipe."""

import warnings
from functools import wraps
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mmzoo import (
    FeatureSpec,
    Head,
    InputName,
    PositiveInt,
    Signature,
    StreamError,
    global_batch,
    hookimpl,
    make_stream,
    only_stream,
)
from mmzoo.errors import RecipeError
from mmzoo.modeling.assemble import assemble, assemble_without_values
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.discovery import catalog_of

RECIPE = """\
name: toy
data: {type: nothing}
inputs:
  image: {type: reader, field: a}
  label: {type: reader, field: a}
encoders:
  image: {type: look, dim: 4}
fusion: {type: join}
head: {type: guess, target: label}
loss:
  - {type: gap, left: logits, right: label, weight: 2}
  - {type: size, of: tokens}
"""
FEATURES = {
    "image": FeatureSpec(shape=[5], dtype="float32", vocabulary=None),
    "label": FeatureSpec(shape=[], dtype="int32", vocabulary=3),
}


class Nothing:
    """Has no data."""

    card = SimpleNamespace(fields={"a": "anything"})


class Reader:
    """Is never made.

    Args:
        fit: What an encoder may expect.
    """

    def __init__(self, *, fit: str = "pad"):
        raise NotImplementedError


class Look(keras.layers.Layer):
    """Reads numbers.

    Args:
        features: What is known of them.
        dim: Size of the token.
        give: What it makes of the token.
    """

    def __init__(self, *, features: FeatureSpec, dim: PositiveInt, give: str = "", **kwargs: Any):
        super().__init__(**kwargs)
        self.features, self.give = features, give
        self.dense = keras.layers.Dense(dim)

    def call(self, numbers):
        stream = make_stream(self.dense(numbers))
        return BROKEN[self.give](stream)


class LayerSummary(keras.layers.Layer):
    """Passes streams on.

    Args:
        give: What it makes of each.
        whole: Give the last stream itself.
    """

    def __init__(self, *, give: str = "", whole: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.give, self.whole = give, whole

    def call(self, streams):
        given = {name: BROKEN[self.give](stream) for name, stream in streams.items()}
        return list(given.values()) if self.whole else given


class Guess(Head):
    """Gives three scores.

    Args:
        inputs: What is known of each input.
        target: What it learns.
        give: What it makes of its outputs.
    """

    def __init__(self, *, inputs: dict[str, FeatureSpec], target: InputName = "label", give: str = "", **kwargs: Any):
        super().__init__(**kwargs)
        self.inputs, self.target, self.give = inputs, target, give
        self.dense = keras.layers.Dense(3)

    @property
    def targets(self):
        return {"elsewhere": ("labels",), "nothing": ()}.get(self.give, (self.target,))

    def call(self, streams, targets=None, training=False):
        stream = only_stream(streams, "the head 'guess'")
        logits = self.dense(stream["tokens"][:, 0])
        shadow = {"label": logits} if self.give == "shadow" else {}
        return logits if self.give == "alone" else {"logits": logits, "tokens": stream["tokens"]} | shadow

    @property
    def players(self):
        return {"first": [self.dense], "second": []} if self.give == "players" else {}

    def signatures(self):
        reads = {"label": "image"} if self.give == "list" else {}
        return {"guess": Signature(dict, seed="label" if self.give == "seed" else "", reads=reads)}


class Judge:
    """Scores by what the examples' labels are."""

    def update(self, label: list[int]) -> None:
        """Takes in an example."""


BROKEN = {
    "": lambda stream: stream,
    "alone": lambda stream: stream["tokens"],
    "vector": lambda stream: {"tokens": stream["tokens"][:, 0], "mask": stream["mask"]},
    "ids": lambda stream: {"tokens": ops.cast(stream["tokens"], "int32"), "mask": stream["mask"]},
    "weights": lambda stream: {"tokens": stream["tokens"], "mask": ops.cast(stream["mask"], "float32")},
    "more": lambda stream: stream | {"extra": stream["mask"]},
}


def gap(left, right, *, give: str = "") -> Any:
    """Compares."""
    made = {"": ops.sum(left, -1), "scalar": ops.sum(left), "matrix": left, "classes": ops.sum(left, 0), "nothing": None}
    return made[give]


def size(of) -> Any:
    """Measures."""
    return ops.sum(of, axis=(1, 2))


def complain(left, right) -> Any:
    """Raises."""
    warnings.warn("this will fail", stacklevel=1)
    raise ValueError("no way.\nThis is a long story.")


def mutter(left, right) -> Any:
    """Warns."""
    warnings.warn("this is slow", stacklevel=1)
    return ops.sum(left, -1)


def refuse(left, right) -> Any:
    """Refuses."""
    raise StreamError("the loss 'refuse' takes two dims alike.")


@global_batch
def maybe(logits, step, id=None, image=None) -> Any:
    """Uses what there is, in a loop, which has no fixed shape."""
    assert id is None
    total = ops.fori_loop(0, step, lambda number, total: total + 1.0, ops.zeros_like(logits[:, 0]))
    return total if image is None else total + ops.cast(image[:, 0], "float32")


def offer(**components: str) -> dict[str, str]:
    return {name: f"{__name__}:{attribute}" for name, attribute in components.items()}


class Hooks:
    mmzoo_datasets = hookimpl(lambda self: offer(nothing="Nothing"), specname="mmzoo_datasets")
    mmzoo_processors = hookimpl(lambda self: offer(reader="Reader"), specname="mmzoo_processors")
    mmzoo_encoders = hookimpl(lambda self: offer(look="Look"), specname="mmzoo_encoders")
    mmzoo_fusions = hookimpl(lambda self: offer(join="LayerSummary"), specname="mmzoo_fusions")
    mmzoo_heads = hookimpl(lambda self: offer(guess="Guess"), specname="mmzoo_heads")
    mmzoo_metrics = hookimpl(lambda self: offer(judge="Judge"), specname="mmzoo_metrics")
    mmzoo_losses = hookimpl(
        lambda self: offer(gap="gap", size="size", complain="complain", mutter="mutter", refuse="refuse", maybe="maybe"),
        specname="mmzoo_losses",
    )
    __name__ = "toys"


CATALOG = catalog_of({"toys": Hooks()})


def assembled(*overrides: str):
    return assemble(resolve(parse_recipe(RECIPE, "r.yaml", overrides), CATALOG), FEATURES)


def said(*overrides: str) -> str:
    with pytest.raises(RecipeError) as raised:
        assembled(*overrides)
    return str(raised.value)


def test_joins_say_what_each_part_takes_gives_and_weighs():
    _, layers = assembled()
    stream = "{tokens: (batch, 1, 4) float32, mask: (batch, 1) bool}"
    assert [(join.part, join.name, join.takes, join.gives, join.weights) for join in layers] == [
        ("encoders.image", "look", "(batch, 5) float32", stream, 5 * 4 + 4),
        ("fusion", "join", f"{{image: {stream}}}", f"{{image: {stream}}}", 0),
        ("head", "guess", f"{{image: {stream}}}", "{logits: (batch, 3) float32, tokens: (batch, 1, 4) float32}", 4 * 3 + 3),
    ]


def test_no_part_is_called_again_for_the_task_which_is_built_all_the_same(monkeypatch):
    called, call = [], keras.layers.Dense.call

    @wraps(call)
    def counted(self, *given, **options):
        called.append(self.units)
        return call(self, *given, **options)

    monkeypatch.setattr(keras.layers.Dense, "call", counted)
    task, _ = assembled()
    assert called == [4, 4, 3, 3]  # once to build the encoder and once for its stream; so the head
    assert all(layer.built for layer in task._flatten_layers())


def test_a_processor_that_reads_otherwise_than_weights_were_trained_is_noted(monkeypatch):
    monkeypatch.setattr(Look, "expects", {"fit": "crop", "what the reader does not have": 1}, raising=False)
    note = "its weights were trained with fit: crop; inputs.image has fit: pad"
    assert [layer.note for layer in assembled()[1]] == [note, "", ""]
    assert [layer.note for layer in assembled("inputs.image.fit=crop")[1]] == ["", "", ""]


def test_a_task_is_its_parts_one_after_the_other():
    task, _ = assembled()
    images = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    kernel, bias, dense, second = (np.asarray(variable.value, "float64") for variable in task.trainable_variables)
    tokens = images @ kernel + bias
    outputs = task({"image": images, "label": np.array([0, 1], "int32")})
    np.testing.assert_allclose(outputs["tokens"][:, 0], tokens, rtol=1e-5)
    np.testing.assert_allclose(outputs["logits"], tokens @ dense + second, rtol=1e-5)


TOO_LARGE = "r.yaml:7:10  encoders.image: with it the model has {} weights, {} GiB, which this machine's memory of"


@pytest.mark.parametrize(
    ("dim", "weights", "gib"),
    [
        (10**12, "6,000,000,000,000", "22,352"),
        (10**18, "6,000,000,000,000,000,000", "22,351,741,791"),  # more than TensorFlow counts
    ],
)
def test_weights_that_no_memory_holds_are_refused_before_one_is_drawn(dim, weights, gib):
    plan = resolve(parse_recipe(RECIPE, "r.yaml", [f"encoders.image.dim={dim}"]), CATALOG)
    with pytest.raises(RecipeError) as raised:
        assemble_without_values(plan, FEATURES)
    place, _, advice = str(raised.value).partition("\n")
    assert place.startswith(TOO_LARGE.format(weights, gib))
    assert place.endswith("GiB cannot hold.")
    assert advice == "  Make its sizes smaller, or build it on a machine with more memory."


def test_an_example_that_no_memory_holds_is_a_fault_of_its_input():
    plan = resolve(parse_recipe(RECIPE, "r.yaml"), CATALOG)
    with pytest.raises(RecipeError) as raised:
        assemble_without_values(plan, FEATURES | {"image": FeatureSpec(shape=[10**12, 5], dtype="float32", vocabulary=None)})
    assert str(raised.value).startswith(
        "r.yaml:4:10  inputs.image: one example of it has 5,000,000,000,000 values, 18,626 GiB, which this machine's memory of"
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),
    ],
    ids=["python", "tensorflow", "jax"],
)
def test_memory_that_does_not_suffice_is_a_fault_and_none_of_the_next_task(monkeypatch, error):
    def exhaust(*_, **__):
        raise error

    made = without_values()
    with monkeypatch.context() as full:
        full.setattr(keras.initializers.GlorotUniform, "__call__", exhaust)
        full.setattr("mmzoo.modeling.assemble.assemble_without_values", lambda *_: made)
        assert said().startswith(TOO_LARGE.format(39, 0))
    assert assembled()[1] == made[1]


def without_values():
    return assemble_without_values(resolve(parse_recipe(RECIPE, "r.yaml"), CATALOG), FEATURES)


def test_a_task_without_values_has_the_same_layers_and_leaves_nothing_to_initialize():
    task, layers = without_values()
    assert layers == assembled()[1]
    assert [weight._value for weight in task.weights] == [None] * len(task.weights)


def test_each_part_is_told_what_the_processors_know():
    task, _ = assembled()
    assert task.encoders["image"].features == FEATURES["image"]
    assert task.head.inputs == FEATURES
    assert task.head.inputs["label"] is not FEATURES["label"]  # a layer may keep and change what it is given


def test_losses_have_their_tensors_options_and_weights():
    task, _ = assembled()
    first, second = task.weighted_losses
    assert (first.name, dict(first.tensors), first.weight) == ("gap", {"left": "logits", "right": "label"}, 2.0)
    assert (second.name, dict(second.tensors), second.weight) == ("size", {"of": "tokens"}, 1.0)
    assert first.function.keywords == {"give": ""}


def test_without_a_fusion_streams_go_to_the_head_as_they_are():
    task, layers = assembled("fusion=null")
    assert task.fusion is None
    assert [join.part for join in layers] == ["encoders.image", "head"]


TOKENS = "floating-point tokens (batch, tokens, dim) and a boolean mask (batch, tokens)"
RECEIVED = {
    "alone": "a stream of 'tokens' and 'mask', received (batch, 1, 4) float32.",
    "more": "a stream of 'tokens' and 'mask', received "
    "{tokens: (batch, 1, 4) float32, mask: (batch, 1) bool, extra: (batch, 1) bool}.",
    "vector": f"{TOKENS}, received tokens (batch, 4) float32 and mask (batch, 1) bool.",
    "ids": f"{TOKENS}, received tokens (batch, 1, 4) int32 and mask (batch, 1) bool.",
    "weights": f"{TOKENS}, received tokens (batch, 1, 4) float32 and mask (batch, 1) float32.",
}


@pytest.mark.parametrize("give", RECEIVED)
def test_an_encoder_must_give_a_stream(give):
    assert said(f"encoders.image.give={give}") == (
        f"r.yaml:7:10  encoders.image: the encoder 'look' must give {RECEIVED[give]}"
    )


@pytest.mark.parametrize("give", RECEIVED)
def test_a_fusion_must_give_streams(give):
    assert said(f"fusion.give={give}") == f"r.yaml:8:9  fusion: the fusion 'join', for 'image', must give {RECEIVED[give]}"


def test_a_fusion_must_name_its_streams():
    assert said("fusion.whole=true") == (
        "r.yaml:8:9  fusion: the fusion 'join' must give streams by name, "
        "received [{tokens: (batch, 1, 4) float32, mask: (batch, 1) bool}]."
    )


def test_a_head_must_name_its_outputs():
    assert said("head.give=alone") == (
        "r.yaml:9:7  head: the head 'guess' must give outputs by name, received (batch, 3) float32."
    )


def test_a_head_may_learn_only_inputs_of_the_recipe():
    assert said("head.give=elsewhere") == (
        "r.yaml:9:7  head: the head 'guess' learns 'labels', which is not an input of the recipe.\n"
        "  Nearest: label. Known: image, label."
    )


def test_streams_that_do_not_fit_the_head_are_a_fault_of_the_head():
    recipe = RECIPE.replace("head:", "  label: {type: look, dim: 4}\nhead:").replace("fusion: {type: join}\n", "")
    features = dict.fromkeys(FEATURES, FEATURES["image"])
    with pytest.raises(RecipeError) as raised:
        assemble(resolve(parse_recipe(recipe, "r.yaml"), CATALOG), features)
    assert str(raised.value) == (
        "r.yaml:9:7  head: the head 'guess' takes one stream, received 2 (image, label). Add a fusion that joins them."
    )


@pytest.mark.parametrize(
    ("give", "received"),
    [("scalar", "() float32"), ("matrix", "(batch, 3) float32"), ("classes", "(3) float32"), ("nothing", "None")],
)
def test_a_loss_must_give_a_value_for_each_example(give, received):
    assert said(f"loss=[{{type: gap, left: logits, right: label, give: {give}}}]") == (
        f"--set loss  loss[0]: the loss 'gap' must give one value per example, (batch,), received {received}."
    )


def test_a_loss_must_find_its_tensors():
    assert said("loss={type: gap, left: logit, right: label}") == (
        "--set loss: the loss 'gap' needs 'logit' (its 'left'), which neither the head nor the inputs give.\n"
        "  Nearest: logits. Known: step, image, label, logits, tokens."
    )


def test_a_loss_is_given_what_there_is_and_the_number_of_updates():
    (gap, *_), (maybe,) = (assembled(*loss)[0].weighted_losses for loss in ((), ("loss={type: maybe}",)))
    assert (gap.global_batch, maybe.global_batch) == (False, True)
    assert maybe.tensors == {name: name for name in ("logits", "step", "image")}
    assert said("loss={type: maybe, id: picture}").partition("\n")[0] == (
        "--set loss: the loss 'maybe' needs 'picture' (its 'id'), which neither the head nor the inputs give."
    )


@pytest.mark.parametrize(("given", "trained"), [("true", True), ("false", False), ("3", True)])
def test_an_encoder_that_is_not_trained_has_no_trainable_weights(given, trained):
    task, _ = assembled(f"encoders.image.trainable={given}")
    assert bool(task.encoders["image"].trainable_variables) == trained
    assert task.head.trainable_variables


def test_what_a_component_raises_is_said_in_its_first_line_and_its_warnings_are_not():
    assert said("loss={type: complain, left: logits, right: label}") == "--set loss: it cannot be built: no way."
    assert said("loss={type: refuse, left: logits, right: label}") == "--set loss: the loss 'refuse' takes two dims alike."


def test_what_a_component_warns_of_is_heard():
    with pytest.warns(UserWarning, match="this is slow"):
        assembled("loss={type: mutter, left: logits, right: label}")


@pytest.mark.parametrize(
    ("give", "does"), [("seed", "takes its seed"), ("list", "takes several values"), ("shadow", "gives an output")]
)
def test_an_input_with_a_name_that_the_head_uses_is_a_fault(give, does):
    expected = f"r.yaml:5:3  inputs.label: the head 'guess' {does} under this name. Give the input another name."
    assert said(f"head.give={give}") == expected


@pytest.mark.parametrize(
    ("give", "optimizers", "text"),
    [
        ("none", "{first: sgd}", "has other parts than first; it has one optimizer: write it under `optimizer`."),
        ("players", "{first: sgd}", "has other parts than first; expected first and second."),
        (
            "players",
            "{first: sgd, second: sgd, third: sgd}",
            "has other parts than first, second, third; expected first and second.",
        ),
    ],
)
def test_several_optimizers_are_those_of_the_parts_of_the_head(give, optimizers, text):
    override = f"train={{optimizers: {optimizers}}}"
    assert said(f"head.give={give}", override) == f"--set train  train.optimizers: the head 'guess' {text}"


@pytest.mark.parametrize("train", ["{optimizer: sgd}", "{optimizers: {first: sgd, second: adam}}"])
def test_a_head_with_parts_takes_one_optimizer_or_one_for_each(train):
    assembled("head.give=players", f"train={train}")


def test_a_head_hears_nothing_of_the_masks_of_keras():
    task, _ = assembled()
    stream = task.encoders["image"](ops.ones((2, 5)))
    keras.src.backend.set_keras_mask(stream["tokens"], stream["mask"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs = task.head({"image": stream})
    assert keras.src.backend.get_keras_mask(outputs["logits"]) is None


def test_an_input_that_nothing_uses_is_a_fault():
    assert said("head.give=nothing", "loss={type: size, of: tokens}") == (
        "r.yaml:5:3  inputs.label: nothing uses this input.\n  Give it an encoder, make it the head's target, or remove it."
    )


def test_an_input_that_only_a_metric_reads_is_used():
    assembled("head.give=nothing", "loss={type: size, of: tokens}", "metrics=judge")


def test_an_input_that_only_a_loss_reads_is_used():
    task, _ = assembled("head.give=nothing")
    assert task.weighted_losses[0].tensors["right"] == "label"
