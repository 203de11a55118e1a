"""Hybrid fusion: streams that attend to each other, each decided on, and all of them together."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream, StreamError, make_stream
from mmzoo_fusion.blocks import EPSILON, CrossBlock, Projections, check_heads, check_several, join, mean
from mmzoo_fusion.concat import Concat


class Hybrid(keras.layers.Layer):
    """Lets every stream attend to all others; gives each, and all as one.

    Every stream is projected to `dim` and marked by an embedding of its own, and passes `depth` blocks of its own: its tokens
    attend to all real tokens of the other streams, as the block before left them, then two dense layers. Gives every stream
    under its name, the mean of its normalised tokens, and `joint`, the fusion `concat` of these means; one token each, for a
    head that decides on each. A stream whose others are absent goes on alone.

    Source: hybrid fusion of Baltrusaitis et al. 2019, arXiv 1705.09406, section 6.1; the blocks are the co-attention of Lu et
    al. 2019 (ViLBERT), arXiv 1908.02265, figure 2b, normalised first.

    Args:
        dim: Of the tokens; `heads` must divide it.
        depth: Blocks of each stream.
        heads: Attention heads in each block.
        mlp: Numbers between two dense layers, in blocks and in `joint`; `4 * dim` if not given.
        dropout: Share of the attention weights, and of what attention and dense layers add, that is zeroed in training.
    """

    def __init__(
        self,
        *,
        dim: PositiveInt = 256,
        depth: PositiveInt = 2,
        heads: PositiveInt = 4,
        mlp: PositiveInt | None = None,
        dropout: Rate = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.dim, self.depth, self.heads, self.mlp, self.rate = dim, depth, heads, mlp, dropout
        self.projections = Projections(dim, dtype=self.dtype_policy, name="projections")
        self.joint = Concat(dim=dim, mlp=mlp, dropout=dropout, dtype=self.dtype_policy, name="joint")

    def build(self, streams: Any) -> None:
        check_several(streams, "the fusion 'hybrid'")
        if "joint" in streams:
            text = "the fusion 'hybrid' gives a stream 'joint' of its own, so no input can be called that."
            raise StreamError(f"{text} Rename the input.")
        shape = (None, None, self.dim)
        self.projections.build(streams)
        self.joint.build({name: {"tokens": shape} for name in streams})
        self.blocks = {name: [self._block(f"{name}_{i}") for i in range(self.depth)] for name in streams}
        self.norms = {name: self._norm(name) for name in streams}
        for name in streams:
            for layer in (*self.blocks[name], self.norms[name]):
                layer.build(shape)

    def _block(self, name: str) -> CrossBlock:
        return CrossBlock(self.dim, self.heads, self.mlp, self.rate, dtype=self.dtype_policy, name=name)

    def _norm(self, name: str) -> keras.layers.Layer:
        return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name=f"{name}_norm")

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        given = self.projections(streams)
        for i in range(self.depth):
            given = {name: self._exchange(i, name, given, training) for name in given}
        ended = {name: mean(make_stream(self.norms[name](one["tokens"]), one["mask"])) for name, one in given.items()}
        return ended | self.joint(ended, training=training)

    def _exchange(self, i: int, name: str, given: dict[str, Stream], training: bool) -> Stream:
        others = [stream for other, stream in given.items() if other != name]
        tokens = self.blocks[name][i](given[name]["tokens"], join(others) if others else None, training=training)
        return make_stream(tokens, given[name]["mask"])
