"""Cross-attention: one stream attends to the others."""

from typing import Any

import keras

from mmzoo import InputName, PositiveInt, Rate, Stream, make_stream, pick_stream
from mmzoo_fusion.blocks import EPSILON, CrossBlock, Projections, check_heads, check_several, concatenate


class CrossAttention(keras.layers.Layer):
    """Lets the tokens of one stream attend to those of the others.

    Every stream is projected to `dim` and gets a learned modality embedding. The tokens of `query` pass through `depth` blocks:
    attention to all real tokens of the other streams, then two dense layers. Returns every stream under its name: `query` as
    the blocks return it, normalised; the others as projected. Where all others are absent, attention adds 0.

    Source: the cross-modal transformer of Tsai et al. 2019, arXiv 1906.00295, section 3.1; several other streams are
    concatenated to one sequence.

    Args:
        query: The stream that attends; the recipe's first one if not given.
        dim: Dim of the tokens; a multiple of `heads`.
        depth: Number of blocks.
        heads: Number of attention heads in each block.
        mlp: Units of the hidden dense layer in each block; `4 * dim` if not given.
        dropout: Dropout rate of the attention weights, and of the outputs of attention and dense layers.
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
        self.query_name = next(iter(streams)) if self.query is None else self.query
        pick_stream(streams, self.query_name, user)
        self.projections.build(streams)
        for layer in (*self.blocks, self.norm):
            layer.build((None, None, self.dim))

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        projected = self.projections(streams)
        if self.query_name not in projected:
            return projected
        others = [stream for name, stream in projected.items() if name != self.query_name]
        context = concatenate(others) if others else None
        states = projected[self.query_name]["tokens"]
        for block in self.blocks:
            states = block(states, context, training=training)
        return projected | {self.query_name: make_stream(self.norm(states), projected[self.query_name]["mask"])}
