"""Streams that exchange through a few shared tokens: the multimodal bottleneck transformer."""

from typing import Annotated, Any

import keras
from annotated_types import Ge
from keras import ops

from mmzoo import PositiveInt, Rate, Stream, make_stream
from mmzoo_fusion.blocks import (
    EPSILON,
    Projections,
    Tokens,
    check_heads,
    check_several,
    end,
    join,
    repeated,
    self_block,
    spread,
    there,
)


class Bottleneck(keras.layers.Layer):
    """Lets streams exchange through a few tokens that all of them see.

    Every stream is projected to `dim` and passes `depth` blocks of its own, in which its real tokens attend to each other and
    to the bottleneck tokens z: `[x_i', z_i] = block_i([x_i, z])`, then z is the mean of z_i over the streams that are there. So
    what one stream knows reaches another one block later. Gives every stream under its name.

    Source: Nagrani et al. 2021 (MBT), arXiv 2107.00135, equations 8 and 9; the blocks are KerasHub's `TransformerEncoder`,
    normalised first. MBT has a class token in each stream (`tokens: class`) and one classifier for all streams.

    Args:
        dim: Of the tokens; `heads` must divide it.
        depth: Blocks of each stream.
        heads: Attention heads in each block.
        bottlenecks: Tokens that all streams see.
        mlp: Numbers between a block's two dense layers; `4 * dim` if not given.
        dropout: Share of the attention weights, and of what attention and dense layers add, that is zeroed in training.
        tokens: Of each stream: `all`, their `mean`, or a learned `class` token, put first and given alone.
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
        self.bottlenecks = self.add_weight((bottlenecks, dim), spread(), name="bottlenecks")

    def build(self, streams: Any) -> None:
        check_several(streams, "the fusion 'bottleneck'")
        self.projections.build(streams)
        self.blocks = {name: [self._block(f"{name}_{i}") for i in range(self.depth)] for name in streams}
        self.norms = {name: self._norm(name) for name in streams}
        for norm in self.norms.values():
            norm.build((None, None, self.dim))
        self.starts = {name: self._start(name) for name in streams} if self.tokens == "class" else None

    def _block(self, name: str) -> keras.layers.Layer:
        return self_block(self.dim, self.heads, self.mlp, self.rate, self.dtype_policy, name)

    def _norm(self, name: str) -> keras.layers.Layer:
        return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name=f"{name}_norm")

    def _start(self, name: str) -> Any:
        return self.add_weight((1, self.dim), spread(), name=f"{name}_class_token")

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        given = self.projections(streams)
        weights = {name: ops.cast(there(stream), self.compute_dtype)[..., None] for name, stream in given.items()}
        shared = repeated(self.bottlenecks, next(iter(given.values())))
        if self.starts is not None:
            given = {name: join([repeated(self.starts[name], stream), stream]) for name, stream in given.items()}
        for i in range(self.depth):
            passed = {name: self._pass(i, name, shared, stream, training) for name, stream in given.items()}
            given = {name: own for name, (_, own) in passed.items()}
            shared = make_stream(_mean({name: seen for name, (seen, _) in passed.items()}, weights))
        normed = {name: make_stream(self.norms[name](stream["tokens"]), stream["mask"]) for name, stream in given.items()}
        return {name: end(stream, self.tokens) for name, stream in normed.items()}

    def _pass(self, i: int, name: str, shared: Stream, stream: Stream, training: bool) -> tuple[Any, Stream]:
        """Passes a stream with the bottleneck tokens through a block; gives those and the stream."""
        both, bottlenecks = join([shared, stream]), self.bottlenecks.shape[0]
        states = self.blocks[name][i](both["tokens"], padding_mask=both["mask"], training=training)
        return states[:, :bottlenecks], make_stream(states[:, bottlenecks:], stream["mask"])


def _mean(seen: dict[str, Any], weights: dict[str, Any]) -> Any:
    """Averages the bottleneck tokens over the streams that are there, `(batch, bottlenecks, dim)`."""
    total = sum(weights[name] * tokens for name, tokens in seen.items())
    return total / ops.maximum(sum(weights.values()), 1)
