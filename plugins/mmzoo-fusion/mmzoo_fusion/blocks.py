"""Building blocks of fusions: projections, masked transformer blocks, operations on streams."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import keras_hub
from keras import ops

from mmzoo import Stream, StreamError, make_stream, pool

Tokens = Literal["all", "mean", "class"]
"""The tokens of a sequence that a fusion returns: all, the mean of the real ones, or a learned class token."""

EPSILON = 1e-5
"""Epsilon of every layer normalisation."""


def token_initializer() -> keras.initializers.Initializer:
    """Makes the initializer of learned tokens and modality embeddings, the one of BERT."""
    return keras.initializers.RandomNormal(stddev=0.02)


def check_heads(dim: int, heads: int) -> None:
    """Checks that the number of heads divides the dim.

    Raises:
        StreamError: It does not.
    """
    if dim % heads:
        raise StreamError(f"the dim {dim} cannot be divided among {heads} heads. Choose a multiple of {heads}.")


def check_several(streams: Mapping[str, Any], user: str) -> None:
    """Checks that there are several streams.

    Raises:
        StreamError: There is only one. The message names `user` as the one that needs more.
    """
    if len(streams) == 1:
        found = f"received one ({next(iter(streams))})"
        raise StreamError(f"{user} takes at least two streams, {found}. Encode another input, or leave the fusion out.")


class Projections(keras.layers.Layer):
    """Projects the tokens of all streams to one dim: `W x + b`, with a separate W and b for each stream.

    The bias is the learned modality embedding of its stream. Masked tokens are set to 0 first, so their contents have no
    influence.

    Args:
        dim: Dim of the returned tokens.
    """

    def __init__(self, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, streams: Any) -> None:
        self.by_name = {
            name: keras.layers.Dense(self.dim, bias_initializer=token_initializer(), dtype=self.dtype_policy, name=name)
            for name in streams
        }
        for name, projection in self.by_name.items():
            projection.build((None, streams[name]["tokens"][-1]))

    def call(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        return {name: self._project(name, stream) for name, stream in streams.items()}

    def _project(self, name: str, stream: Stream) -> Stream:
        real = ops.where(stream["mask"][..., None], stream["tokens"], 0)
        return make_stream(self.by_name[name](real), stream["mask"])


def self_block(dim: int, heads: int, mlp: int | None, dropout: float, policy: Any, name: str) -> keras.layers.Layer:
    """Makes a self-attention block, pre-norm: layer normalisation before attention and before the dense layers."""
    block = keras_hub.layers.TransformerEncoder(
        intermediate_dim=mlp or 4 * dim,
        num_heads=heads,
        dropout=dropout,
        activation="gelu",
        layer_norm_epsilon=EPSILON,
        normalize_first=True,
        dtype=policy,
        name=name,
    )
    block.build((None, None, dim))
    return block


class CrossBlock(keras.layers.Layer):
    """Cross-attention block, pre-norm: tokens attend to the tokens of another stream.

    Where an example has no real token to attend to, attention adds 0.

    Args:
        dim: Dim of both streams' tokens; a multiple of `heads`.
        heads: Number of attention heads.
        mlp: Units of the hidden dense layer; `4 * dim` if None.
        dropout: Dropout rate of the attention weights, and of the outputs of attention and dense layers.
    """

    def __init__(self, dim: int, heads: int, mlp: int | None, dropout: float, **kwargs: Any):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.attention = keras.layers.MultiHeadAttention(heads, dim // heads, dropout=dropout, name="attention", **policy)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="attention_norm", **policy)
        self.others_norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="others_norm", **policy)
        self.mlp_norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="mlp_norm", **policy)
        self.inner = keras.layers.Dense(mlp or 4 * dim, activation="gelu", name="inner", **policy)
        self.outer = keras.layers.Dense(dim, name="outer", **policy)
        self.dropout = keras.layers.Dropout(dropout, **policy)

    def build(self, shape: Any) -> None:
        self.attention.build(shape, shape)
        for layer in (self.attention_norm, self.others_norm, self.mlp_norm, self.inner):
            layer.build(shape)
        self.outer.build((*shape[:-1], self.inner.units))

    def call(self, tokens: Any, others: Stream | None, training: bool = False) -> Any:
        if others is not None:
            tokens = tokens + self._attend(tokens, others, training)
        dense = self.outer(self.inner(self.mlp_norm(tokens)))
        return tokens + self.dropout(dense, training=training)

    def _attend(self, tokens: Any, others: Stream, training: bool) -> Any:
        mask = others["mask"][:, None, :]  # (batch, 1, tokens)
        query, value = self.attention_norm(tokens), self.others_norm(others["tokens"])
        attended = self.attention(query, value, attention_mask=mask, training=training)
        return ops.where(ops.any(mask, axis=2, keepdims=True), self.dropout(attended, training=training), 0)


def concatenate(streams: Iterable[Stream]) -> Stream:
    """Concatenates streams of one dim along the token axis; pads a single token with a masked one."""
    streams = list(streams)
    tokens = ops.concatenate([stream["tokens"] for stream in streams], axis=1)
    mask = ops.concatenate([stream["mask"] for stream in streams], axis=1)
    if tokens.shape[1] == 1:  # Keras warns about attention to one token
        tokens, mask = ops.pad(tokens, ((0, 0), (0, 1), (0, 0))), ops.pad(mask, ((0, 0), (0, 1)))
    return make_stream(tokens, mask)


def broadcast_tokens(tokens: Any, stream: Stream) -> Stream:
    """Repeats learned tokens `(tokens, dim)` for each example of a stream's batch; none is masked."""
    shape = (ops.shape(stream["tokens"])[0], *tokens.shape)
    return make_stream(ops.broadcast_to(ops.cast(tokens, stream["tokens"].dtype), shape))


def select_tokens(stream: Stream, tokens: Tokens) -> Stream:
    """Returns the requested tokens of a sequence; with `class`, its first token must be the class token."""
    if tokens == "class":
        return make_stream(stream["tokens"][:, 0], ops.any(stream["mask"][:, 1:], axis=1, keepdims=True))
    return mean_token(stream) if tokens == "mean" else stream


def mean_token(stream: Stream) -> Stream:
    """Returns a stream of one token: the mean of the real tokens."""
    return make_stream(pool(stream), is_present(stream))


def is_present(*streams: Stream) -> Any:
    """Returns for which examples at least one of the streams is present, `(batch, 1)`."""
    return ops.any(ops.concatenate([stream["mask"] for stream in streams], axis=1), axis=1, keepdims=True)


def concat_means(streams: Mapping[str, Stream], dims: Mapping[str, int]) -> Any:
    """Concatenates the streams' mean tokens, `(batch, sum of dims)`, with zeros for a stream that is absent or not given."""
    pooled = {name: pool(stream) for name, stream in streams.items()}
    zero = ops.zeros_like(next(iter(pooled.values()))[:, :1])
    return ops.concatenate([pooled[name] if name in pooled else ops.tile(zero, (1, dim)) for name, dim in dims.items()], axis=1)
