"""Discriminators of StackGAN, StackGAN++ and AttnGAN: picture and sentence -> logits."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from mmzoo_text2image.blocks import (
    SMALLEST,
    ConvBlock,
    Kernel,
    Norm,
    activate,
    at_least_float32,
    doublings,
    initializer,
    run,
    run_all,
)
from mmzoo_text2image.joint import JointBlock
from mmzoo_text2image.spectral import SpectralConv2D, SpectralDense


class Discriminator(keras.layers.Layer):
    """Scores pictures of one size, or their feature maps: whether they are real, and whether they show what a sentence says.

    `features` encodes pictures once; `score` and `score_alone` read the features. The layer is built when it is made, so its
    methods are called directly; its call returns the score, and the score alone or None.

    Convolutions of stride 2 lead to 4 x 4; the first has `width` channels and no normalisation, and each next one twice as
    many. 3 x 3 convolutions halve what is more than `8 * width`. The conditional score joins the sentence to each place, by a
    3 x 3 convolution, before a 4 x 4 convolution gives the logit. Counts, with `text_dim` numbers per sentence:

    | | size | width | text_dim | weights |
    | --- | --- | --- | --- | --- |
    | StackGAN, stage I (not `alone`) | 64 | 96 / 64 | 128 | 12,407,425 / 5,715,713 |
    | StackGAN, stage II | 256 | 96 / 64 | 128 | 159,889,538 / 71,269,122 |
    | StackGAN++ | 64, 128, 256 | 64 | 128 | 5,723,906, 18,834,178, 71,269,122 |
    | AttnGAN (CUB) | 64, 128, 256 | 64 | 256 | 6,313,730, 19,424,002, 71,858,946 |
    | AttnGAN (COCO) | 64, 128, 256 | 96 | 256 | 13,304,450, 42,800,258, 160,774,274 |

    Source: Zhang et al. 2017, arXiv 1612.03242; 2018, arXiv 1710.10916; Xu et al. 2018, arXiv 1711.10485; the authors' code.

    Args:
        size: Height and width of the pictures or maps, a power of two from 4 on. A map of 4 x 4 is scored as it is.
        width: Channels of the first convolution.
        text_dim: Numbers of a sentence.
        input_channels: Channels of the pictures or maps.
        alone: Whether there is a score of the picture alone.
        compress: Numbers to which a dense layer with leaky ReLU reduces the sentence first (128 in StackGAN's TensorFlow code);
            None for no such layer.
        projection: Size of a space in which the picture and the sentence are compared by their inner product, which is added to
            the conditional logit (Miyato and Koyama 2018, arXiv 1802.05637, equation 5); None for no such term, as published.
        norm: The normalisation.
        spectral: Whether all kernels have the spectral norm 1.
        kernel: The initial weights.
    """

    def __init__(
        self,
        size: int,
        width: int,
        text_dim: int,
        *,
        input_channels: int = 3,
        alone: bool = True,
        compress: int | None = None,
        projection: int | None = None,
        norm: Norm = "batch",
        spectral: bool = False,
        kernel: Kernel = "orthogonal",
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # the blocks cast what they read
        self.text_dim, self.reads = text_dim, (None, size, size, input_channels)
        made: dict[str, Any] = {"activation": "leaky_relu", "kernel": kernel, "spectral": spectral}
        downs = doublings(size, SMALLEST, "the discriminator reads")
        channels = [width << down for down in range(downs)]
        self.channels = min(channels[-1], 8 * width) if downs else input_channels
        self.encoder = [
            *(ConvBlock(first, kind="down", norm="none", bias=norm == "none", **made) for first in channels[:1]),
            *(ConvBlock(more, kind="down", norm=norm, **made) for more in channels[1:]),
            *(ConvBlock(width << down, norm=norm, **made) for down in reversed(range(3, downs - 1))),
        ]
        self.compress = _dense(compress, kernel, spectral) if compress else None
        self.joint = JointBlock(self.channels, norm=norm, **made)
        self.head = _head(kernel, spectral)
        self.projections = [_dense(projection, kernel, spectral) for _ in range(2)] if projection else []
        self.head_alone = _head(kernel, spectral) if alone else None
        self.build()

    def build(self, *_: Any) -> None:
        shape = self.reads
        for block in self.encoder:
            block.build(shape)
            shape = block.conv.compute_output_shape(shape)
        if self.compress is not None:
            self.compress.build((None, self.text_dim))
        text = self.text_dim if self.compress is None else self.compress.units
        self.joint.build((*shape[:3], self.channels + text))
        for layer, size in zip(self.projections, (SMALLEST * SMALLEST * self.channels, text), strict=bool(self.projections)):
            layer.build((None, size))
        for head in filter(None, (self.head, self.head_alone)):
            head.build(shape)
        self.built = True

    def call(self, pictures: Any, sentence: Any, training: bool = False) -> tuple[Any, Any]:
        features = self.features(pictures, training)
        return self.score(features, sentence, training), self.score_alone(features, training)

    def features(self, pictures: Any, training: bool = False) -> Any:
        """Encodes pictures.

        Args:
            pictures: `(batch, size, size, input_channels)`; pixels are -1 to 1.
            training: Whether the state of the normalisations is updated.

        Returns:
            `(batch, 4, 4, channels)`.
        """
        return run_all(self.encoder, pictures, training)

    def score(self, features: Any, sentence: Any, training: bool = False) -> Any:
        """Returns the logit that the picture is real and shows what the sentence says, `(batch,)`; see `scores`."""
        return self.scores(features, [sentence], training)[0]

    def scores(self, features: Any, sentences: Sequence[Any], training: bool = False) -> list[Any]:
        """Returns the logit that the picture is real and shows what a sentence says, `(batch,)`, for each of several sentences.

        Args:
            features: What `features` returns, `(batch, 4, 4, channels)`.
            sentences: Each `(batch, text_dim)`.
            training: Whether the state of the normalisations is updated.
        """
        if self.compress is not None:
            sentences = [activate(run(self.compress, one, training), "leaky_relu") for one in sentences]
        compared = self._compared(features, sentences, training)
        joined = self.joint(features, sentences, training=training)
        return [_logit(self.head, one, training) + more for one, more in zip(joined, compared, strict=True)]

    def _compared(self, features: Any, sentences: Sequence[Any], training: bool) -> list[Any]:
        """Returns the scaled inner product of the picture and each sentence, `(batch,)`; 0 without projections."""
        if not self.projections:
            return [0.0] * len(sentences)
        of_picture, of_sentence = self.projections
        picture = run(of_picture, ops.reshape(features, (-1, SMALLEST * SMALLEST * self.channels)), training)
        vectors = [run(of_sentence, ops.cast(one, picture.dtype), training) for one in sentences]
        return [at_least_float32(ops.sum(picture * one, axis=1)) * of_picture.units**-0.5 for one in vectors]

    def score_alone(self, features: Any, training: bool = False) -> Any:
        """Returns the logit that the picture is real, `(batch,)`; None without such a head.

        Args:
            features: What `features` returns, `(batch, 4, 4, channels)`.
            training: Whether the state of the normalisations is updated.
        """
        return None if self.head_alone is None else _logit(self.head_alone, features, training)


def _logit(head: Any, features: Any, training: bool) -> Any:
    return at_least_float32(ops.reshape(run(head, features, training), (-1,)))


def _head(kernel: Kernel, spectral: bool) -> Any:
    layer = SpectralConv2D if spectral else keras.layers.Conv2D
    return layer(1, SMALLEST, kernel_initializer=initializer(kernel))


def _dense(units: int, kernel: Kernel, spectral: bool) -> Any:
    layer = SpectralDense if spectral else keras.layers.Dense
    return layer(units, kernel_initializer=initializer(kernel))
