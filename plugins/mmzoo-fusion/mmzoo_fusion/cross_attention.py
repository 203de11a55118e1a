"""One stream attends to the others."""

from typing import Any

import keras

from mmzoo import InputName, PositiveInt, Rate, Stream, make_stream, pick_stream
from mmzoo_fusion.blocks import EPSILON, CrossBlock, Projections, check_heads, check_several, join


class CrossAttention(keras.layers.Layer):
    """Lets the tokens of one stream attend to those of the others.

    Every stream is projected to `dim` and marked by an embedding of its own. The tokens of `query` pass `depth` blocks: each
    attends to all real tokens of the other streams, then two dense layers. Gives every stream under its name: `query` as it
    comes out of the blocks, normalised, the others as they were projected. Where all others are absent attention adds nothing.

    Source: the cross-modal transformer of Tsai et al. 2019, arXiv 1906.00295, section 3.1, with several streams looked at as
    one sequence.

    Args:
        query: The stream that attends; the recipe's first one, if not given.
        dim: Of the tokens; `heads` must divide it.
        depth: Blocks.
        heads: Attention heads in each block.
        mlp: Numbers between a block's two dense layers; `4 * dim` if not given.
        dropout: Share of the attention weights, and of what attention and dense layers add, that is zeroed in training.
    """

    def __init__(
        self,
        *,
        query: InputName | None = None,
        dim: PositiveInt = 256,
        depth: PositiveInt = 2,
        heads: PositiveInt = 4,
        mlp: PositiveInt | None = None,
        dropout: Rate = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.query, self.dim, policy = query, dim, self.dtype_policy
        self.projections = Projections(dim, dtype=policy, name="projections")
        self.blocks = [CrossBlock(dim, heads, mlp, dropout, dtype=policy, name=f"block_{i}") for i in range(depth)]
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, dtype=policy, name="norm")

    def build(self, streams: Any) -> None:
        user = "the fusion 'cross_attention'"
        check_several(streams, user)
        self.asks = next(iter(streams)) if self.query is None else self.query
        pick_stream(streams, self.asks, user)
        self.projections.build(streams)
        for layer in (*self.blocks, self.norm):
            layer.build((None, None, self.dim))

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        given = self.projections(streams)
        if self.asks not in given:
            return given
        others = [stream for name, stream in given.items() if name != self.asks]
        context = join(others) if others else None
        states = given[self.asks]["tokens"]
        for block in self.blocks:
            states = block(states, context, training=training)
        return given | {self.asks: make_stream(self.norm(states), given[self.asks]["mask"])}
