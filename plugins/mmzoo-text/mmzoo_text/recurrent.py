"""Recurrent text encoders: word embeddings, and a GRU or an LSTM."""

from collections.abc import Callable
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import PAD, FeatureSpec, PositiveInt, Rate, Stream, StreamError, make_stream

KERAS_MERGE = {"average": "ave", "concatenate": "concat"}
"""How two directions are merged -> Keras' name for it."""


class RecurrentEncoder(keras.layers.Layer):
    """Base class: word embeddings, then recurrent layers. Returns the last state, or the state after every id.

    Args:
        layer: Makes a recurrent Keras layer: `layer(return_sequences=...)`.
        features: The `FeatureSpec` of the ids.
        dim: Size of the word embeddings.
        depth: Number of stacked layers.
        bidirectional: Whether each layer is bidirectional.
        merge: How the states of both directions are merged.
        pool: `last` for the state after the last id, `none` for the state after every id.
        dropout: Dropout rate of what the layers read.
        drops_last: Whether dropout also applies to the last layer's states.

    Raises:
        StreamError: The states of two directions are to be concatenated, but there is one direction.
    """

    def __init__(
        self,
        layer: Callable[..., keras.layers.Layer],
        *,
        features: FeatureSpec,
        dim: int,
        depth: int,
        bidirectional: bool,
        merge: str,
        pool: str,
        dropout: float,
        drops_last: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if merge == "concatenate" and not bidirectional:
            raise StreamError("`merge: concatenate` joins two directions, received one; set `bidirectional: true`.")
        self.pool, self.drops_last = pool, drops_last
        spread = keras.initializers.RandomUniform(-0.1, 0.1)
        self.embedding = keras.layers.Embedding(features["vocabulary"], dim, spread)
        layers = [layer(return_sequences=each) for each in [True] * (depth - 1) + [pool == "none"]]
        if bidirectional:
            layers = [keras.layers.Bidirectional(one, merge_mode=KERAS_MERGE[merge]) for one in layers]
        self.layers = layers
        self.dropout = keras.layers.Dropout(dropout)

    def call(self, ids: Any, training: bool = False) -> Stream:
        mask = ids != PAD
        layer_mask = ops.logical_or(mask, ops.arange(ids.shape[1]) == 0)  # cuDNN does not accept a text of length 0
        states = self.embedding(ids)  # (batch, sequence_length, dim)
        for layer in self.layers:
            _allow_cudnn(layer, training)
            states = layer(self.dropout(states, training=training), mask=layer_mask, training=training)
        if self.drops_last:
            states = self.dropout(states, training=training)
        return make_stream(states, mask if self.pool == "none" else ops.any(mask, axis=1, keepdims=True))


class GRU(RecurrentEncoder):
    """Encodes a text with word embeddings and a GRU; returns the last state.

    Ids `(batch, sequence_length)` -> one token `(batch, 1, units)`, the state after the last id that is not PAD; or one token
    per id. Padding follows the text and does not change the state. A text with no id other than PAD is an absent stream.
    Training may use cuDNN. Inference does not, so that a model trained on a GPU can be served anywhere.

    Source: Faghri et al. 2018, arXiv 1707.05612 (VSE++), section 3.2. As there, embeddings are initialised uniformly in -0.1 to
    0.1; the defaults of `dim` and `units` are the paper's.

    Args:
        features: The `FeatureSpec` of the ids.
        dim: Size of the word embeddings.
        units: Size of the states, in each direction.
        depth: Number of stacked GRU layers.
        bidirectional: Whether each layer is bidirectional.
        merge: How the states of both directions are merged: `average`, or `concatenate`, which gives `2 * units` numbers, those
            of the forward direction first.
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
        merge: Literal["average", "concatenate"] = "average",
        pool: Literal["last", "none"] = "last",
        dropout: Rate = 0.0,
        **kwargs: Any,
    ):
        super().__init__(
            lambda **given: keras.layers.GRU(units, **given),
            features=features,
            dim=dim,
            depth=depth,
            bidirectional=bidirectional,
            merge=merge,
            pool=pool,
            dropout=dropout,
            drops_last=True,
            **kwargs,
        )


class LSTM(RecurrentEncoder):
    """Encodes a text with word embeddings and an LSTM; returns the last state.

    Ids `(batch, sequence_length)` -> one token `(batch, 1, units)`, the state after the last id that is not PAD; or one token
    per id. Padding follows the text and does not change the state. A text with no id other than PAD is an absent stream.
    Training may use cuDNN. Inference does not, so that a model trained on a GPU can be served anywhere.

    The text encoder of AttnGAN is `{bidirectional: true, merge: concatenate, pool: none}`: 256 numbers per word. It has
    2,075,320 weights for the 5,450 words of CUB in PyTorch, where each gate has two biases. In Keras each gate has one, so it
    has 2 directions * 4 gates * 128 = 1,024 fewer.

    Source: Xu et al. 2018, arXiv 1711.10485 (AttnGAN), section 3.2, and the authors' code. As there, embeddings are initialised
    uniformly in -0.1 to 0.1; the defaults of `dim`, `units` and `dropout` are the code's. The LSTM is initialised as in Keras.

    Args:
        features: The `FeatureSpec` of the ids.
        dim: Size of the word embeddings.
        units: Size of the states, in each direction.
        depth: Number of stacked LSTM layers.
        bidirectional: Whether each layer is bidirectional.
        merge: How the states of both directions are merged: `average`, or `concatenate`, which gives `2 * units` numbers, those
            of the forward direction first.
        pool: `last` returns the state after the last id; `none` returns the state after every id.
        dropout: Dropout rate of the embeddings and, as in PyTorch, of the states of each layer but the last.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        dim: PositiveInt = 300,
        units: PositiveInt = 128,
        depth: PositiveInt = 1,
        bidirectional: bool = False,
        merge: Literal["average", "concatenate"] = "average",
        pool: Literal["last", "none"] = "last",
        dropout: Rate = 0.5,
        **kwargs: Any,
    ):
        super().__init__(
            lambda **given: keras.layers.LSTM(units, **given),
            features=features,
            dim=dim,
            depth=depth,
            bidirectional=bidirectional,
            merge=merge,
            pool=pool,
            dropout=dropout,
            drops_last=False,
            **kwargs,
        )


def _allow_cudnn(layer: Any, allowed: bool) -> None:
    bidirectional = isinstance(layer, keras.layers.Bidirectional)
    for one in (layer.forward_layer, layer.backward_layer) if bidirectional else (layer,):
        one.use_cudnn = "auto" if allowed else False
