"""The multimodal bottleneck transformer: streams exchange information through a few shared tokens."""

from typing import Annotated, Any

import keras
from annotated_types import Ge
from keras import ops

from mmzoo import PositiveInt, Rate, Stream, make_stream
from mmzoo_fusion.blocks import (
    EPSILON,
    Projections,
    Tokens,
    broadcast_tokens,
    check_heads,
    check_several,
    concatenate,
    is_present,
    select_tokens,
    self_block,
    token_initializer,
)


class Bottleneck(keras.layers.Layer):
    """Lets streams exchange information through a few shared tokens.

    Every stream is projected to `dim` and passes through its own `depth` blocks. There its real tokens attend to each other
    and to the bottleneck tokens z: `[x_i', z_i] = block_i([x_i, z])`. After each block, z is the mean of z_i over the streams
    that are present. So information from one stream reaches the others one block later. Returns every stream under its name.

    Source: Nagrani et al. 2021 (MBT), arXiv 2107.00135, equations 8 and 9. The blocks are KerasHub's `TransformerEncoder`,
    pre-norm. MBT has a class token in each stream (`tokens: class`) and one classifier for all streams.

    Args:
        dim: Dim of the tokens; a multiple of `heads`.
        depth: Number of blocks of each stream.
        heads: Number of attention heads in each block.
        bottlenecks: Number of bottleneck tokens.
        mlp: Units of the hidden dense layer in each block; `4 * dim` if not given.
        dropout: Dropout rate of the attention weights, and of the outputs of attention and dense layers.
        tokens: What is returned of each stream: `all` tokens, their `mean`, or a learned `class` token alone.
    """

    def __init__(
        self,
        *,
        dim: PositiveInt = 256,
        depth: Annotated[int, Ge(2)] = 2,
        heads: PositiveInt = 4,
        bottlenecks: PositiveInt = 4,
        mlp: PositiveInt | None = None,
        dropout: Rate = 0.0,
        tokens: Tokens = "all",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.dim, self.depth, self.heads, self.mlp, self.rate, self.tokens = dim, depth, heads, mlp, dropout, tokens
        self.projections = Projections(dim, dtype=self.dtype_policy, name="projections")
        self.bottlenecks = self.add_weight((bottlenecks, dim), token_initializer(), name="bottlenecks")

    def build(self, streams: Any) -> None:
        check_several(streams, "the fusion 'bottleneck'")
        self.projections.build(streams)
        self.blocks = {name: [self._block(f"{name}_{i}") for i in range(self.depth)] for name in streams}
        self.norms = {name: self._norm(name) for name in streams}
        for norm in self.norms.values():
            norm.build((None, None, self.dim))
        self.class_tokens = {name: self._class_token(name) for name in streams} if self.tokens == "class" else None

    def _block(self, name: str) -> keras.layers.Layer:
        return self_block(self.dim, self.heads, self.mlp, self.rate, self.dtype_policy, name)

    def _norm(self, name: str) -> keras.layers.Layer:
        return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name=f"{name}_norm")

    def _class_token(self, name: str) -> Any:
        return self.add_weight((1, self.dim), token_initializer(), name=f"{name}_class_token")

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        states = self.projections(streams)
        weights = {name: ops.cast(is_present(stream), self.compute_dtype)[..., None] for name, stream in states.items()}
        shared = broadcast_tokens(self.bottlenecks, next(iter(states.values())))
        if self.class_tokens is not None:
            starts = {name: broadcast_tokens(self.class_tokens[name], stream) for name, stream in states.items()}
            states = {name: concatenate([starts[name], stream]) for name, stream in states.items()}
        for i in range(self.depth):
            blocks = {name: self._call_block(i, name, shared, stream, training) for name, stream in states.items()}
            states = {name: stream for name, (_, stream) in blocks.items()}
            shared = make_stream(_mean({name: bottlenecks for name, (bottlenecks, _) in blocks.items()}, weights))
        normed = {name: make_stream(self.norms[name](stream["tokens"]), stream["mask"]) for name, stream in states.items()}
        return {name: select_tokens(stream, self.tokens) for name, stream in normed.items()}

    def _call_block(self, i: int, name: str, shared: Stream, stream: Stream, training: bool) -> tuple[Any, Stream]:
        """Calls a block on the bottleneck tokens and a stream; returns both."""
        both, bottlenecks = concatenate([shared, stream]), self.bottlenecks.shape[0]
        states = self.blocks[name][i](both["tokens"], padding_mask=both["mask"], training=training)
        return states[:, :bottlenecks], make_stream(states[:, bottlenecks:], stream["mask"])


def _mean(bottlenecks: dict[str, Any], weights: dict[str, Any]) -> Any:
    """Averages the bottleneck tokens over the streams that are present, `(batch, bottlenecks, dim)`."""
    total = sum(weights[name] * tokens for name, tokens in bottlenecks.items())
    return total / ops.maximum(sum(weights.values()), 1)
