"""Recurrent text encoder: word embeddings and a GRU."""

from typing import Any, Literal

import keras
from keras import ops

from mmzoo import PAD, FeatureSpec, PositiveInt, Rate, Stream, make_stream


class GRU(keras.layers.Layer):
    """Encodes a text with word embeddings and a GRU; returns the last state.

    Ids `(batch, sequence_length)` -> one token `(batch, 1, units)`, the state after the last id that is not PAD; or one token
    per id. Padding follows the text and does not change the state. A text with no id other than PAD is an absent stream.
    Training may use cuDNN. Inference does not, so that a model trained on a GPU can be served anywhere.

    Source: Faghri et al. 2018, arXiv 1707.05612 (VSE++), section 3.2. As there, embeddings are initialised uniformly in -0.1 to
    0.1; the defaults of `dim` and `units` are the paper's.

    Args:
        features: The `FeatureSpec` of the ids.
        dim: Size of the word embeddings.
        units: Size of the states.
        depth: Number of stacked GRU layers.
        bidirectional: Whether each layer is bidirectional; the states of both directions are averaged.
        pool: `last` returns the state after the last id; `none` returns the state after every id.
        dropout: Dropout rate of the embeddings and of each layer's states.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        dim: PositiveInt = 300,
        units: PositiveInt = 1024,
        depth: PositiveInt = 1,
        bidirectional: bool = False,
        pool: Literal["last", "none"] = "last",
        dropout: Rate = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pool = pool
        spread = keras.initializers.RandomUniform(-0.1, 0.1)
        self.embedding = keras.layers.Embedding(features["vocabulary"], dim, spread)
        return_sequences = [True] * (depth - 1) + [pool == "none"]
        self.layers = [self._layer(units, each, bidirectional) for each in return_sequences]
        self.dropout = keras.layers.Dropout(dropout)

    def _layer(self, units: int, return_sequences: bool, bidirectional: bool) -> keras.layers.Layer:
        layer = keras.layers.GRU(units, return_sequences=return_sequences)
        return keras.layers.Bidirectional(layer, merge_mode="ave") if bidirectional else layer

    def call(self, ids: Any, training: bool = False) -> Stream:
        mask = ids != PAD
        gru_mask = ops.logical_or(mask, ops.arange(ids.shape[1]) == 0)  # cuDNN does not accept a text of length 0
        states = self.dropout(self.embedding(ids), training=training)  # (batch, sequence_length, dim)
        for layer in self.layers:
            _allow_cudnn(layer, training)
            states = self.dropout(layer(states, mask=gru_mask, training=training), training=training)
        return make_stream(states, mask if self.pool == "none" else ops.any(mask, axis=1, keepdims=True))


def _allow_cudnn(layer: Any, allowed: bool) -> None:
    bidirectional = isinstance(layer, keras.layers.Bidirectional)
    for gru in (layer.forward_layer, layer.backward_layer) if bidirectional else (layer,):
        gru.use_cudnn = "auto" if allowed else False
