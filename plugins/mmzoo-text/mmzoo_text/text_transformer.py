"""CLIP's text encoder on KerasHub's `CLIPTextEncoder`."""

from typing import Any, Literal

import keras
import keras_hub
from keras import ops

from mmzoo import PAD, FeatureSpec, PositiveInt, Rate, Stream, StreamError, make_stream, plain_products

EPSILON = 1e-5
"""CLIP's epsilon of every layer normalisation. KerasHub's final one has a different value."""


class TextTransformer(keras.layers.Layer):
    """Encodes a text with CLIP's causal transformer; returns the state at the end of the text.

    Ids `(batch, sequence_length)` -> one token `(batch, 1, dim)`, the state at the last id that is not PAD; or one token per
    id. Attention is causal, so padding, which follows the text, has no effect. Blocks are pre-norm: they normalise before
    attention and before the MLP; a final layer normalisation follows. A text with no id other than PAD is an absent stream.

    Source: Radford et al. 2021, arXiv 2103.00020, section 2.4, with the weight initialisation of the released code. The blocks
    are KerasHub's `CLIPTextEncoder`. The projection into the shared space belongs to the fusion.

    Args:
        features: The `FeatureSpec` of the ids.
        dim: Size of the embeddings and states; a multiple of `heads`.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        mlp: Hidden size of each block's MLP; by default `4 * dim`.
        activation: Activation of the MLP. CLIP has `quick_gelu`, `x * sigmoid(1.702 * x)`.
        pool: `end` returns the state at the last id; `none` returns the states of all ids.
        dropout: Dropout rate of the output tokens.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        dim: PositiveInt = 512,
        depth: PositiveInt = 12,
        heads: PositiveInt = 8,
        mlp: PositiveInt | None = None,
        activation: Literal["quick_gelu", "gelu", "relu"] = "quick_gelu",
        pool: Literal["end", "none"] = "end",
        dropout: Rate = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if dim % heads:
            raise StreamError(f"the dim {dim} cannot be divided among {heads} heads. Choose a multiple of {heads}.")
        self.pool = pool
        self.transformer = keras_hub.models.CLIPTextEncoder(
            vocabulary_size=features["vocabulary"],
            embedding_dim=dim,
            hidden_dim=dim,
            num_layers=depth,
            num_heads=heads,
            intermediate_dim=mlp or 4 * dim,
            intermediate_activation=activation,
            max_sequence_length=features["shape"][0],
        )
        self.transformer.layer_norm.epsilon = EPSILON
        _initialize(self.transformer)
        plain_products(self.transformer)
        self.dropout = keras.layers.Dropout(dropout)

    def build(self, shape: Any) -> None:
        self.built = True  # the transformer is built when it is made

    def call(self, ids: Any, training: bool = False) -> Stream:
        states = self.transformer({"token_ids": ids}, training=training)  # (batch, sequence_length, dim)
        mask = ids != PAD
        if self.pool == "end":
            states, mask = _last(states, mask), ops.any(mask, axis=1, keepdims=True)
        return make_stream(self.dropout(states, training=training), mask)


def _last(states: Any, mask: Any) -> Any:
    """Returns the state at the last id that is not masked, `(batch, 1, dim)`; the first id's if all are masked."""
    position = ops.arange(states.shape[1])
    last = ops.max(position * ops.cast(mask, position.dtype), axis=1, keepdims=True)
    chosen = ops.cast(position == last, states.dtype)
    # A sum, not a gather: its gradient is a product instead of a scatter.
    return ops.sum(states * chosen[..., None], axis=1, keepdims=True)


def _initialize(transformer: Any) -> None:
    """Initialises the weights as CLIP does; KerasHub's initialisers differ."""
    dim, depth = transformer.hidden_dim, transformer.num_layers
    _draw(transformer.embedding.token_embedding.embeddings, 0.02)
    _draw(transformer.embedding.position_embedding.position_embeddings, 0.01)
    narrow = dim**-0.5 * (2 * depth) ** -0.5
    for layer in transformer.encoder_layers:
        for dense in (layer.attention.query_dense, layer.attention.key_dense, layer.attention.value_dense):
            _draw(dense.kernel, dim**-0.5)
        _draw(layer.attention.output_dense.kernel, narrow)
        _draw(layer.dense_1.kernel, (2 * dim) ** -0.5)
        _draw(layer.dense_2.kernel, narrow)


def _draw(weight: Any, stddev: float) -> None:
    weight.assign(keras.initializers.RandomNormal(stddev=stddev)(weight.shape, dtype=weight.dtype))
