"""Precomputed features, such as those of a video's frames, as tokens."""

from typing import Any

import keras

from mmzoo import FeatureSpec, PositiveInt, Rate, Stream, StreamError, make_stream


class GivenFeatures(keras.layers.Layer):
    """Encodes precomputed features with one linear layer: `W x + b`.

    Features `(batch, time, input_dim)` and a mask `(batch, time)` -> tokens `(batch, time, dim)` with that mask. Features
    `(batch, input_dim)` -> one token `(batch, 1, dim)`.

    Args:
        features: The `FeatureSpec` of the features.
        dim: Size of a token.
        dropout: Dropout rate of the input features.
    """

    def __init__(self, *, features: FeatureSpec, dim: PositiveInt = 256, dropout: Rate = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        shape = features["shape"]
        if features["vocabulary"] is not None or len(shape) not in (1, 2) or features.get("mask", []) != shape[:-1]:
            raise StreamError(
                f"features takes vectors, one or several with their mask, received {shape} {features['dtype']}. "
                "Read them by `vectors`, or choose another encoder."
            )
        self.dropout = keras.layers.Dropout(dropout)
        self.dense = keras.layers.Dense(dim)

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.built = True

    def call(self, vectors: Any, padding_mask: Any = None, training: bool = False) -> Stream:
        tokens = self.dense(self.dropout(vectors, training=training))
        return make_stream(tokens, padding_mask if len(tokens.shape) == 3 else None)
