"""A part of a task is found by its place in the recipe, also inside a head, where it starts from a needed run and is frozen."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from mmzoo import EncoderPart, FeatureSpec, Head, HeadPart, Signature, hookimpl, make_stream
from mmzoo.errors import PluginError, RecipeError
from mmzoo.modeling.assemble import assemble
from mmzoo.modeling.parts import part_of, start_part, weights_of
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.discovery import catalog_of

RECIPE = """\
name: toy
needs: {base: base.yaml}
data: {type: nothing}
inputs:
  image: {type: reader, field: a}
encoders:
  image: {type: look, dim: 4}
head:
  type: over
  under: {type: plain, weights: base/head.dense}
  eye: {type: look, dim: 3, weights: base/encoders.image}
loss: size
"""
FEATURES = {"image": FeatureSpec(shape=[5], dtype="float32", vocabulary=None)}


class Nothing:
    """Has no data."""

    card = SimpleNamespace(fields={"a": "anything"})


class Reader:
    """Is never made."""


class Look(keras.layers.Layer):
    """Makes one token of numbers.

    Args:
        features: What is known of them.
        dim: Size of the token.
    """

    def __init__(self, *, features: FeatureSpec, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(dim)

    def call(self, numbers: Any) -> Any:
        return make_stream(self.dense(numbers))


class Plain(Head):
    """Gives two numbers."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(2)

    def call(self, streams: Any, targets: Any = None, training: bool = False) -> Any:
        return {"of": self.dense(streams["image"]["tokens"])}

    def signatures(self) -> dict[str, Signature]:
        return {"give": Signature(dict)}


class Over(Plain):
    """Adds what a layer of another head gives, and an encoder.

    Args:
        inputs: What is known of each input.
        under: The other head.
        eye: The encoder.
        forgets: Whether to keep the layer elsewhere.
    """

    def __init__(self, *, inputs: Any, under: HeadPart, eye: EncoderPart, forgets: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        made: Any = under
        self.under: Any = made(inputs=inputs).dense
        made = eye
        self.eye: Any = made(features=inputs["image"])
        if forgets:
            self.under, self.other = None, self.under

    def call(self, streams: Any, targets: Any = None, training: bool = False) -> Any:
        tokens = streams["image"]["tokens"]
        outputs = {"of": self.dense(tokens) + self.under(tokens)}
        self.eye(keras.ops.ones((1, 5)))
        return outputs


def size(of: Any) -> Any:
    """Measures."""
    return keras.ops.sum(of, axis=(1, 2))


def offer(**components: str) -> dict[str, str]:
    return {name: f"{__name__}:{attribute}" for name, attribute in components.items()}


class Hooks:
    mmzoo_datasets = hookimpl(lambda self: offer(nothing="Nothing"), specname="mmzoo_datasets")
    mmzoo_processors = hookimpl(lambda self: offer(reader="Reader"), specname="mmzoo_processors")
    mmzoo_encoders = hookimpl(lambda self: offer(look="Look"), specname="mmzoo_encoders")
    mmzoo_heads = hookimpl(lambda self: offer(over="Over", plain="Plain"), specname="mmzoo_heads")
    mmzoo_losses = hookimpl(lambda self: offer(size="size"), specname="mmzoo_losses")
    __name__ = "toys"


PLAN = resolve(parse_recipe(RECIPE, "r.yaml"), catalog_of({"toys": Hooks()}))


@pytest.fixture(scope="module")
def task() -> Any:
    return assemble(PLAN, FEATURES)[0]


def test_a_part_is_found_by_its_place(task):
    assert part_of(task, "encoders.image") is task.encoders["image"]
    assert part_of(task, "head") is task.head
    assert part_of(task, "head.under") is task.head.under
    assert part_of(task, "encoders.image.dense") is task.encoders["image"].dense


@pytest.mark.parametrize("part", ["head.no", "head.trainable"])
def test_what_is_no_layer_of_a_part_is_said_to_the_plugins_authors(task, part):
    with pytest.raises(PluginError) as raised:
        part_of(task, part)
    name = part.partition(".")[2]
    assert str(raised.value) == (
        f"'{part}': the layer 'over' has no layer '{name}'. A component keeps a layer that is one of its options in "
        "an attribute with the option's name.\nReport this to the authors of the plugin."
    )


def test_what_starts_from_a_needed_run_inside_a_head_is_frozen(task):
    assert list(PLAN.starts()) == ["head.under", "head.eye"]
    assert [layer.name for layer in (task.head.under, task.head.eye) if layer.trainable_variables] == []
    learned = {id(one) for one in task.trainable_variables}
    assert learned == {id(one) for layer in (task.encoders["image"], task.head.dense) for one in layer.weights}


def test_its_weights_are_those_of_the_needed_part(task):
    needed = keras.layers.Dense(2)
    needed.build((None, 1, 4))
    needed.bias.assign([3.0, 4.0])
    given = weights_of(SimpleNamespace(head=SimpleNamespace(dense=needed), fusion=None), "head.dense")
    start_part(task, "head.under", PLAN.starts()["head.under"], given)
    np.testing.assert_array_equal(task.head.under.kernel, needed.kernel)
    np.testing.assert_array_equal(task.head.under.bias, [3.0, 4.0])


def test_weights_that_do_not_fit_are_a_fault_of_the_part(task):
    bound = PLAN.starts()["head.under"]
    with pytest.raises(RecipeError) as raised:
        start_part(task, "head.under", bound, [("a/kernel", np.zeros((4, 3))), ("a/bias", np.zeros(3))])
    assert "head.under.weights: 'base/head.dense' does not fit head.under: it has 'a/kernel' of shape (4, 3)" in str(
        raised.value
    )


def test_a_head_that_keeps_a_part_elsewhere_is_said_to_the_plugins_authors():
    plan = resolve(parse_recipe(RECIPE, "r.yaml", ["head.forgets=true"]), catalog_of({"toys": Hooks()}))
    with pytest.raises(PluginError, match=r"'head\.under': the layer 'over.*' has no layer 'under'"):
        assemble(plan, FEATURES)
