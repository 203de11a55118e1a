"""The feature map of pictures, as a discriminator reads it."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from mmzoo import FeatureSpec, StreamError
from mmzoo_text2image.blocks import SMALLEST, at_least_float32, pixels

LARGEST = 8
"""How many times pictures are enlarged at most."""


class FeatureMap:
    """Reads the feature map of pictures by a frozen encoder: `(batch, size, size, 3)`, -1 to 1 -> `(batch, side, side, dim)`.

    The map is the encoder's tokens, row by row. Pictures are enlarged 2, 4 or 8 times where it would be smaller than 4 x 4.

    Source: Sauer et al. 2021, arXiv 2111.01007, section 3: a discriminator of pre-trained features learns from fewer pictures
    and in fewer steps than one of pixels. There four maps are mixed with fixed random weights; here the last one is read as it
    is, beside the discriminators of pixels.

    Args:
        make_encoder: Makes the encoder for the `features` of its pixels.
        features: The `FeatureSpec` of the pictures.
        who: The head, for messages.

    Attributes:
        encoder: The encoder.
        shape: `(side, side, dim)`.

    Raises:
        StreamError: The tokens are not a square map of at least 4 x 4, a power of two wide.
    """

    def __init__(self, make_encoder: Callable[..., Any], features: FeatureSpec, who: str):
        size = features["shape"][0]
        for factor in (1, 2, 4, LARGEST):
            self.size = size * factor
            enlarged = features | {"shape": [self.size, self.size, 3]}
            self.encoder = make_encoder(features=enlarged)
            tokens = self.encoder(keras.Input((self.size, self.size, 3)))["tokens"]
            side = math.isqrt(tokens.shape[1])
            if side >= SMALLEST:
                break
        if side < SMALLEST or side & (side - 1) or side * side != tokens.shape[1]:
            raise StreamError(
                f"{who}: the encoder `feature_network` returns {tokens.shape[1]} tokens of a picture of {self.size} pixels; "
                f"expected a square map of at least {SMALLEST} x {SMALLEST}, a power of two wide. Give it other strides, or "
                "take another encoder."
            )
        self.encoder.trainable = False
        self.shape = (side, side, tokens.shape[2])

    def __call__(self, pictures: Any) -> Any:
        if self.size > pictures.shape[1]:
            pictures = ops.image.resize(pictures, (self.size, self.size), interpolation="bilinear")
        tokens = self.encoder(pixels(pictures), training=False)["tokens"]
        return at_least_float32(ops.reshape(tokens, (-1, *self.shape)))
