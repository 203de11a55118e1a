"""What the conformance kit says of broken layers."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from one_component import catalog_with, said

from mmzoo import make_stream
from mmzoo.testing import EncoderCase, FusionCase, check, features, properties

IDS = features(6, dtype="int32", vocabulary=11)
FRAMES = features(3, 2, mask=[3])
STREAMS = {"image": (5, 4), "text": (6, 4)}


class Plain(keras.layers.Layer):
    """Passes tokens through a dense layer."""

    def __init__(self, *, features: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(4)

    def call(self, streams: Any, training: bool = False) -> Any:
        return {name: make_stream(self.treat(stream, training), stream["mask"]) for name, stream in streams.items()}

    def treat(self, stream: Any, training: bool) -> Any:
        return self.dense(stream["tokens"])


class Undescribed(Plain):
    """Has an option that is not described."""

    def __init__(self, *, features: Any = None, rate: float = 0.0, **kwargs: Any):
        super().__init__(features=features, **kwargs)


class Unannotated(Plain):
    """Has an option without a type.

    Args:
        rate: Of something.
    """

    def __init__(self, *, features=None, rate=0.0, **kwargs):
        super().__init__(features=features, **kwargs)


class Positional(Plain):
    """Has an option before the star.

    Args:
        rate: Of something.
    """

    def __init__(self, rate: float = 0.0, *, features: Any = None, **kwargs: Any):
        super().__init__(features=features, **kwargs)


class Forgetful(Plain):
    """Leaves an option out of its config.

    Args:
        rate: Of something.
    """

    def __init__(self, *, rate: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class Shapeless(Plain):
    """Promises another shape than it gives."""

    def compute_output_spec(self, streams: Any, training: bool = False) -> Any:
        return {
            name: {"tokens": keras.KerasTensor((None, 5, 9)), "mask": keras.KerasTensor((None, 5), "bool")} for name in streams
        }


class Bare(keras.layers.Layer):
    """Has no constructor, hence no options."""

    def call(self, streams: Any) -> Any:
        return streams


def test_options_of_keras_are_none_of_ours():
    check(FusionCase("broken", STREAMS), "options", catalog_with(fusion=Bare))


class NoStream(Plain):
    """Gives tokens without a mask."""

    def call(self, streams: Any, training: bool = False) -> Any:
        return {name: self.dense(stream["tokens"]) for name, stream in streams.items()}


class Unmasked(Plain):
    """Averages masked tokens too."""

    def treat(self, stream: Any, training: bool) -> Any:
        return self.dense(stream["tokens"] + ops.mean(stream["tokens"], axis=1, keepdims=True))


class Fragile(Plain):
    """Divides by the number of real tokens."""

    def treat(self, stream: Any, training: bool) -> Any:
        real = ops.cast(stream["mask"], stream["tokens"].dtype)[..., None]
        return self.dense(ops.sum(stream["tokens"] * real, axis=1) / ops.sum(real, axis=1))[:, None] + 0 * stream["tokens"]


class Sociable(Plain):
    """Takes the mean of the batch away."""

    def treat(self, stream: Any, training: bool) -> Any:
        return self.dense(stream["tokens"] - ops.mean(stream["tokens"], axis=0, keepdims=True))


class Random(Plain):
    """Drops out in inference too."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(3)

    def treat(self, stream: Any, training: bool) -> Any:
        return keras.random.dropout(self.dense(stream["tokens"]), 0.5, seed=self.seeds)


class Idle(Plain):
    """Has a weight that nothing uses."""

    def build(self, shape: Any) -> None:
        self.idle = self.add_weight(shape=(2,), name="idle")


class Exploding(Plain):
    """Has a gradient that is no number."""

    def treat(self, stream: Any, training: bool) -> Any:
        tokens = self.dense(stream["tokens"])
        return tokens + ops.sqrt(tokens * 0)


class Untracked(Plain):
    """Hides numbers that it draws when it is made from every file."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.hidden = [np.random.default_rng().normal(size=4).astype("float32")].copy()

    def treat(self, stream: Any, training: bool) -> Any:
        return self.dense(stream["tokens"]) + self.hidden[0]


class Pythonic(Plain):
    """Computes in Python what a graph keeps as it was when it was traced."""

    def treat(self, stream: Any, training: bool) -> Any:
        first = stream["tokens"]
        return self.dense(first) + (1.0 if tf.executing_eagerly() else 0.0)


class FullPrecision(Plain):
    """Carries float32 through a loop whose body gives the layer's own type."""

    def treat(self, stream: Any, training: bool) -> Any:
        tokens = self.dense(stream["tokens"])
        start = ops.zeros_like(tokens[:, 0], dtype="float32")
        _, last = ops.while_loop(lambda step, _: step < 2, lambda step, _: (step + 1, tokens[:, 0] * 1), (ops.array(0), start))
        return tokens + ops.cast(last, tokens.dtype)[:, None]


FUSION = FusionCase("broken", STREAMS)
RATED = FusionCase("broken", STREAMS, options={"rate": 0.5})


@pytest.mark.parametrize(
    ("name", "case", "component", "text"),
    [
        (
            "options",
            FUSION,
            Undescribed,
            "the option 'rate' is not described. Say under `Args:` what it means, with its unit and range.",
        ),
        ("options", FUSION, Unannotated, "the option 'rate' has no annotation. Recipes are checked against it."),
        ("options", FUSION, Positional, "a recipe cannot set 'rate'. Put '*' before the options: they are keyword-only."),
        (
            "config",
            RATED,
            Forgetful,
            "get_config leaves out the option 'rate'. Leave get_config to Keras, or give all options.",
        ),
        (
            "shapes",
            FUSION,
            Shapeless,
            "'image.tokens' is (batch, 5, 9) float32 on symbolic tensors and (4, 5, 4) float32 on real ones.",
        ),
        ("mask", FUSION, Unmasked, "the values of masked tokens change 'call.image.tokens'. Mask attention, means and sums; "),
        (
            "absent",
            FUSION,
            Fragile,
            "'call.image.tokens' is not finite for examples without the stream 'image'. Divide by at least 1; ",
        ),
        ("batch", FUSION, Sociable, "'image.tokens' of an example depends on the other examples of its batch. Normalise over "),
        ("deterministic", FUSION, Random, "'image.tokens' differs from one call to the next in inference. Heed `training`; "),
        ("gradients", FUSION, Idle, "the weight 'idle/idle' gets no gradient. Remove it, or set it not trainable."),
        ("gradients", FUSION, Exploding, "the gradient of the weight 'exploding/dense/kernel' is not finite."),
        (
            "keras_file",
            FUSION,
            Untracked,
            "'image.tokens' is another after reloading from a .keras file. Make every weight in ",
        ),
        (
            "saved_model",
            FUSION,
            Pythonic,
            "'image.tokens' is another after reloading from a SavedModel. Use `keras.ops` alone.",
        ),
        ("mixed_precision", FUSION, FullPrecision, "it raises TypeError: "),
    ],
)
def test_broken_layer(name, case, component, text):
    assert said(case, name, **{case.kind: component}).startswith(text)


def test_a_fusion_gives_streams():
    text = "it raises StreamError: the fusion 'broken', for 'image', must give a stream of 'tokens' and 'mask', received "
    assert said(FUSION, "shapes", fusion=NoStream) == text + "(4, 5, 4) float32."


class Padded(keras.layers.Layer):
    """Averages over the padding of a text."""

    def __init__(self, *, features: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(features["vocabulary"], 4)

    def call(self, ids: Any) -> Any:
        return make_stream(ops.mean(self.embedding(ids), axis=1))


class AllReal(Padded):
    """Says that padding is real."""

    def call(self, ids: Any) -> Any:
        return make_stream(self.embedding(ids))


def test_broken_padding():
    text = "'tokens' depends on how much padding follows a text. Mask attention, means and sums."
    assert said(EncoderCase("broken", IDS), "mask", encoder=Padded) == text
    assert (
        said(EncoderCase("broken", IDS), "mask", encoder=AllReal)
        == "the mask says that padding is real; it must be ids != PAD."
    )


class Gaps(keras.layers.Layer):
    """Averages over missing frames too."""

    def __init__(self, *, features: Any, **kwargs: Any):
        super().__init__(**kwargs)

    def call(self, frames: Any, padding_mask: Any = None) -> Any:
        return make_stream(ops.mean(frames, axis=1))


class Unsafe(Gaps):
    """Divides by the number of frames that are padding_mask."""

    def call(self, frames: Any, padding_mask: Any = None) -> Any:
        padding_mask = ops.ones(frames.shape[:2], "bool") if padding_mask is None else padding_mask
        known = ops.where(padding_mask[..., None], frames, 0.0)
        return make_stream(ops.sum(known, axis=1) / ops.sum(ops.cast(padding_mask, "float32"), axis=1, keepdims=True))


class Untold(Gaps):
    """Is not told which frames are padding_mask."""

    def call(self, frames: Any) -> Any:
        return make_stream(frames)


@pytest.mark.parametrize(
    ("component", "text"),
    [
        (Gaps, "'tokens' depends on what stands in the place of a missing part. Put zeros there, and mask it."),
        (Unsafe, "'tokens' is not finite for an example of which nothing is there. Divide by at least 1."),
        (Untold, "its call takes no `padding_mask`, which says what is missing."),
    ],
)
def test_missing_frames(component, text):
    assert said(EncoderCase("broken", FRAMES), "mask", encoder=component) == text


@pytest.mark.parametrize("name", properties(FUSION))
def test_sound_fusion(name):
    check(FUSION, name, catalog_with(fusion=Plain))
