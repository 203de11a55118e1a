"""Hybrid fusion: streams attend to each other; each one and their joint representation are returned."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream, StreamError, make_stream
from mmzoo_fusion.blocks import EPSILON, CrossBlock, Projections, check_heads, check_several, concatenate, mean_token
from mmzoo_fusion.concat import Concat


class Hybrid(keras.layers.Layer):
    """Lets every stream attend to all others; returns each and a joint one.

    Every stream is projected to `dim`, gets a learned modality embedding, and passes through its own `depth` blocks: attention
    to all real tokens of the other streams, as the previous block returned them, then two dense layers. Returns one token for
    each: every stream under its name, as the mean of its normalised tokens, and `joint`, the fusion `concat` of these means.
    A head such as `classify` then decides on each. Where all other streams are absent, attention adds 0.

    Source: hybrid fusion of Baltrusaitis et al. 2019, arXiv 1705.09406, section 6.1; the blocks are the co-attention of Lu et
    al. 2019 (ViLBERT), arXiv 1908.02265, figure 2b, pre-norm.

    Args:
        dim: Dim of the tokens; a multiple of `heads`.
        depth: Number of blocks of each stream.
        heads: Number of attention heads in each block.
        mlp: Units of the hidden dense layer, in each block and in `joint`; `4 * dim` if not given.
        dropout: Dropout rate of the attention weights, and of the outputs of attention and dense layers.
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
            text = "the fusion 'hybrid' returns a stream named 'joint', so no input can have that name."
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
        states = self.projections(streams)
        for i in range(self.depth):
            states = {name: self._attend(i, name, states, training) for name in states}
        normed = {name: make_stream(self.norms[name](stream["tokens"]), stream["mask"]) for name, stream in states.items()}
        means = {name: mean_token(stream) for name, stream in normed.items()}
        return means | self.joint(means, training=training)

    def _attend(self, i: int, name: str, states: dict[str, Stream], training: bool) -> Stream:
        others = [stream for other, stream in states.items() if other != name]
        context = concatenate(others) if others else None
        tokens = self.blocks[name][i](states[name]["tokens"], context, training=training)
        return make_stream(tokens, states[name]["mask"])
