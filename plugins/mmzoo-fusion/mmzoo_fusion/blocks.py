"""What fusions are made of: projections to one dim, transformer blocks that heed masks, and streams put together."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import keras
import keras_hub
from keras import ops

from mmzoo import Stream, StreamError, make_stream, pool

Tokens = Literal["all", "mean", "class"]
"""What is given of a sequence: every token, the mean of the real ones, or a learned token that attends to them."""

EPSILON = 1e-5
"""In every layer normalisation."""


def spread() -> keras.initializers.Initializer:
    """Makes the first values of learned tokens and of what tells streams apart, as BERT has them."""
    return keras.initializers.RandomNormal(stddev=0.02)


def check_heads(dim: int, heads: int) -> None:
    """Holds that heads can share a dim.

    Raises:
        StreamError: They cannot.
    """
    if dim % heads:
        raise StreamError(f"the dim {dim} cannot be divided among {heads} heads. Choose a multiple of {heads}.")


def check_several(streams: Mapping[str, Any], user: str) -> None:
    """Holds that there is more than one stream.

    Raises:
        StreamError: There is one; `user` is who wants more.
    """
    if len(streams) == 1:
        found = f"received one ({next(iter(streams))})"
        raise StreamError(f"{user} takes at least two streams, {found}. Encode another input, or leave the fusion out.")


class Projections(keras.layers.Layer):
    """Projects each stream's tokens to one dim by weights of its own: `W x + b`.

    A stream's own bias is what tells its tokens from those of others: the learned modality embedding. Masked tokens are 0
    before they are projected, so nothing that they hold goes on.

    Args:
        dim: Of the tokens that are given.
    """

    def __init__(self, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, streams: Any) -> None:
        self.by_name = {
            name: keras.layers.Dense(self.dim, bias_initializer=spread(), dtype=self.dtype_policy, name=name)
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
    """Makes a transformer block in which tokens attend to each other, normalised before attention and dense layers."""
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
    """Lets tokens attend to others: a transformer block, normalised before attention and dense layers.

    Where an example has no real token to attend to, attention adds nothing.

    Args:
        dim: Of the tokens and of the others; `heads` must divide it.
        heads: Attention heads.
        mlp: Numbers between the two dense layers; `4 * dim` if None.
        dropout: Share of the attention weights, and of what attention and dense layers add, that is zeroed in training.
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
        own, values = self.attention_norm(tokens), self.others_norm(others["tokens"])
        seen = self.dropout(self.attention(own, values, attention_mask=mask, training=training), training=training)
        return ops.where(ops.any(mask, axis=2, keepdims=True), seen, 0)


def join(streams: Iterable[Stream]) -> Stream:
    """Puts the tokens of streams of one dim one after another; a token that is alone gets a masked one beside it."""
    streams = list(streams)
    tokens = ops.concatenate([stream["tokens"] for stream in streams], axis=1)
    mask = ops.concatenate([stream["mask"] for stream in streams], axis=1)
    if tokens.shape[1] == 1:  # Keras warns of attention to one token
        tokens, mask = ops.pad(tokens, ((0, 0), (0, 1), (0, 0))), ops.pad(mask, ((0, 0), (0, 1)))
    return make_stream(tokens, mask)


def repeated(tokens: Any, stream: Stream) -> Stream:
    """Gives learned tokens `(tokens, dim)` to every example of a stream; they are real in each."""
    shape = (ops.shape(stream["tokens"])[0], *tokens.shape)
    return make_stream(ops.broadcast_to(ops.cast(tokens, stream["tokens"].dtype), shape))


def end(stream: Stream, tokens: Tokens) -> Stream:
    """Gives what is wanted of a sequence; with `class` its first token is the learned one."""
    if tokens == "class":
        return make_stream(stream["tokens"][:, 0], ops.any(stream["mask"][:, 1:], axis=1, keepdims=True))
    return mean(stream) if tokens == "mean" else stream


def mean(stream: Stream) -> Stream:
    """Gives the mean of a stream's real tokens as its one token."""
    return make_stream(pool(stream), there(stream))


def there(*streams: Stream) -> Any:
    """Says of which examples any of the streams is there, `(batch, 1)`."""
    return ops.any(ops.concatenate([stream["mask"] for stream in streams], axis=1), axis=1, keepdims=True)


def side_by_side(streams: Mapping[str, Stream], dims: Mapping[str, int]) -> Any:
    """Concatenates the streams' mean tokens, `(batch, sum of dims)`; zeros stand for a stream that is absent or not given."""
    pooled = {name: pool(stream) for name, stream in streams.items()}
    blank = ops.zeros_like(next(iter(pooled.values()))[:, :1])
    return ops.concatenate(
        [pooled[name] if name in pooled else ops.tile(blank, (1, dim)) for name, dim in dims.items()], axis=1
    )
