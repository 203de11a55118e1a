"""Recurrent text encoder: word embeddings and a GRU."""

from typing import Any, Literal

import keras
from keras import ops

from mmzoo import PAD, FeatureSpec, PositiveInt, Rate, Stream, make_stream


class GRU(keras.layers.Layer):
    """Reads a text word by word with a gated recurrent unit and gives its last state.

    Ids `(batch, length)` -> one token `(batch, 1, units)`, the state after the last id that is not PAD; or a token per id.
    Padding follows the text and changes no state. A text without an id gives an absent stream. Training may use cuDNN; answers
    do not, so that a model trained on a GPU is served anywhere.

    Source: Faghri et al. 2018, arXiv 1707.05612 (VSE++), section 3.2, whose embeddings start in -0.1 to 0.1; its `dim` is 300
    and its `units` are 1024.

    Args:
        features: What is known of the ids.
        dim: Of the word embeddings.
        units: Of the states.
        depth: Recurrent layers, each reading the states of the one before it.
        bidirectional: Whether each layer reads the text from both sides; the two states are averaged.
        pool: `last` for the state after the last id; `none` for the states after each.
        dropout: Share of the numbers that is zeroed in training, of the embeddings and of each layer's states.
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
        whole = [True] * (depth - 1) + [pool == "none"]
        self.layers = [self._layer(units, each, bidirectional) for each in whole]
        self.dropout = keras.layers.Dropout(dropout)

    def _layer(self, units: int, whole: bool, bidirectional: bool) -> keras.layers.Layer:
        layer = keras.layers.GRU(units, return_sequences=whole)
        return keras.layers.Bidirectional(layer, merge_mode="ave") if bidirectional else layer

    def call(self, ids: Any, training: bool = False) -> Stream:
        mask = ids != PAD
        read = ops.logical_or(mask, ops.arange(ids.shape[1]) == 0)  # cuDNN takes no text of length 0
        states = self.dropout(self.embedding(ids), training=training)  # (batch, length, dim)
        for layer in self.layers:
            _allow_cudnn(layer, training)
            states = self.dropout(layer(states, mask=read, training=training), training=training)
        return make_stream(states, mask if self.pool == "none" else ops.any(mask, axis=1, keepdims=True))


def _allow_cudnn(layer: Any, allowed: bool) -> None:
    for one in (layer.forward_layer, layer.backward_layer) if isinstance(layer, keras.layers.Bidirectional) else (layer,):
        one.use_cudnn = "auto" if allowed else False
