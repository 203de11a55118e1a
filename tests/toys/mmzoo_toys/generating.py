"""A generator and its discriminator trained by plain `fit`, as in StackGAN (Zhang et al. 2017, arXiv 1612.03242)."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mmzoo import FeatureSpec, Head, InputName, PositiveInt, Signature, Stream, only_stream, pool


class GAN(Head):
    """Generates a picture from a text; its discriminator scores pictures together with texts.

    Outputs in training are discriminator scores `(batch,)`, high for real pictures that match their text: `real`, pictures with
    their own text; `mismatched`, pictures with another text; `generated`, generated pictures, with gradients for the
    discriminator only; `fooling`, the same, with gradients for the generator and the encoders only. Answers: `draw` takes a
    text and `seed` and returns `picture_bytes`, PNG.

    Args:
        inputs: The `FeatureSpec` of each input.
        target: The input with the pictures, `(height, width, 3)`, 0 to 255.
        units: Size of the hidden layers.
        noise: Number of random inputs of the generator.
    """

    def __init__(
        self,
        *,
        inputs: dict[str, FeatureSpec],
        target: InputName,
        units: PositiveInt = 32,
        noise: PositiveInt = 4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.target, self.noise, self.shape = target, noise, tuple(inputs[target]["shape"])
        dense, activation = keras.layers.Dense, keras.layers.LeakyReLU
        self.generator = keras.Sequential(
            [dense(units), activation(), dense(int(np.prod(self.shape)), activation="tanh", dtype="float32")], name="generator"
        )
        self.discriminator = keras.Sequential([dense(units), activation(), dense(1, dtype="float32")], name="discriminator")
        self.seeds = keras.random.SeedGenerator(0)

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def call(self, streams: dict[str, Stream], targets: dict[str, Any] | None = None) -> dict[str, Any]:
        text = pool(only_stream(streams, "the head 'toy_gan'"))
        pictures = ops.reshape(ops.cast(targets[self.target], "float32") / 127.5 - 1, (-1, int(np.prod(self.shape))))
        drawn = self._draw(text, keras.random.normal((ops.shape(text)[0], self.noise), seed=self.seeds))
        text = ops.stop_gradient(text)
        return {
            "real": self._score(pictures, text),
            "mismatched": self._score(ops.roll(pictures, 1, axis=0), text),
            "generated": self._score(ops.stop_gradient(drawn), text),
            "fooling": self._score_frozen(drawn, text),
        }

    @property
    def players(self) -> dict[str, tuple[Any, ...]]:
        return {"generator": (self.generator,), "discriminator": (self.discriminator,)}

    def signatures(self) -> dict[str, Signature]:
        return {"draw": Signature(self._answer, decode={"picture_bytes": self.target}, seed="seed")}

    def _answer(self, streams: dict[str, Stream], seed: Any) -> dict[str, Any]:
        text = pool(only_stream(streams, "the head 'toy_gan'"))
        # Each example's noise comes from its seed alone, so that an answer depends neither on the batch nor on chance.
        noise = 2 * ops.sin(ops.cast(seed % 1000, "float32")[:, None] * (1 + ops.arange(self.noise, dtype="float32")))
        return {"picture_bytes": (ops.reshape(self._draw(text, noise), (-1, *self.shape)) + 1) * 127.5}

    def watch(self, streams: dict[str, Stream], targets: dict[str, Any]) -> dict[str, Any]:
        rows = ops.shape(targets[self.target])[0]
        drawn = [self._answer(streams, ops.full((rows,), seed, dtype="int32"))["picture_bytes"] for seed in range(3)]
        pictures = ops.stack(drawn, axis=1)
        return {"pictures": pictures, "toy_spread": ops.std(pictures, axis=1)}

    def _draw(self, text: Any, noise: Any) -> Any:
        return self.generator(ops.concatenate([text, ops.cast(noise, text.dtype)], axis=-1))

    def _score(self, pictures: Any, text: Any) -> Any:
        return ops.squeeze(self.discriminator(ops.concatenate([ops.cast(pictures, text.dtype), text], axis=-1)), -1)

    def _score_frozen(self, pictures: Any, text: Any) -> Any:
        frozen = [(variable, ops.stop_gradient(variable.value)) for variable in self.discriminator.variables]
        with keras.StatelessScope(state_mapping=frozen):
            return self._score(pictures, text)


def believe(scores: Any) -> Any:
    """Loss that rewards high scores: `log(1 + exp(-score))`.

    Args:
        scores: `(batch,)`.

    Returns:
        `(batch,)`.
    """
    return ops.softplus(-scores)


def doubt(scores: Any) -> Any:
    """Loss that rewards low scores: `log(1 + exp(score))`.

    Args:
        scores: `(batch,)`.

    Returns:
        `(batch,)`.
    """
    return ops.softplus(scores)


class ColourDistance:
    """Mean distance between the mean colours of a generated picture and its reference, divided by the largest possible one."""

    def __init__(self) -> None:
        self.distances: list[float] = []

    def update(self, picture_bytes: bytes, image: list[bytes]) -> None:
        drawn, real = (tf.io.decode_image(data, channels=3).numpy().mean(axis=(0, 1)) for data in (picture_bytes, image[0]))
        self.distances.append(float(np.linalg.norm(drawn - real) / (255 * np.sqrt(3))))

    def result(self) -> dict[str, float]:
        return {"toy_colour_distance": float(np.mean(self.distances)) if self.distances else 1.0}
