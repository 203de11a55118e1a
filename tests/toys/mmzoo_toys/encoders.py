"""Encoders that several toys use."""

from typing import Any

import keras
from keras import ops

from mmzoo import PAD, FeatureSpec, PositiveInt, Rate, Stream, make_stream


class Flat(keras.layers.Layer):
    """Encodes pixels `(batch, height, width, 3)` with one dense layer as one token.

    Args:
        features: The `FeatureSpec` of the pixels.
        dim: Size of the token.
        dropout: Dropout rate of the token.
    """

    def __init__(self, *, features: FeatureSpec, dim: PositiveInt = 16, dropout: Rate = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.flatten, self.dense = keras.layers.Flatten(), keras.layers.Dense(dim, activation="gelu", name="dense")
        self.dropout = keras.layers.Dropout(dropout)

    def call(self, pixels: Any, training: bool = False) -> Stream:
        token = self.dense(self.flatten(ops.cast(pixels, self.compute_dtype) / 255))
        return make_stream(self.dropout(token, training=training))


class Embedding(keras.layers.Layer):
    """Encodes ids `(batch, sequence_length)` with an embedding: one token per id, masked at PAD.

    Args:
        features: The `FeatureSpec` of the ids.
        dim: Size of a token.
    """

    def __init__(self, *, features: FeatureSpec, dim: PositiveInt = 16, **kwargs: Any):
        super().__init__(**kwargs)
        self.embedding = keras.layers.Embedding(features["vocabulary"], dim, name="embedding")

    def call(self, ids: Any) -> Stream:
        return make_stream(self.embedding(ids), ops.not_equal(ids, PAD))
