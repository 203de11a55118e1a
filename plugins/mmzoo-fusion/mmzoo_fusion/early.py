"""Early fusion: one transformer over the tokens of all streams."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream, make_stream
from mmzoo_fusion.blocks import EPSILON, Projections, Tokens, check_heads, end, join, repeated, self_block, spread


class Early(keras.layers.Layer):
    """Joins the tokens of all streams in one transformer.

    Each stream is projected to `dim` and marked by an embedding of its own, `W x + e`; the sequences are put one after another
    and pass `depth` blocks in which every real token attends to every real one. Gives one stream, `joint`. Positions within a
    stream are the encoder's. One stream, too, is taken.

    Source: the joint sequence and its modality embeddings are those of Kim et al. 2021 (ViLT), arXiv 2102.03334, section 3.1;
    the blocks are KerasHub's `TransformerEncoder`, normalised first.

    Args:
        dim: Of the tokens; `heads` must divide it.
        depth: Transformer blocks.
        heads: Attention heads in each block.
        mlp: Numbers between a block's two dense layers; `4 * dim` if not given.
        dropout: Share of the attention weights, and of what attention and dense layers add, that is zeroed in training.
        tokens: `all`, in the order of the recipe; their `mean`; or a learned `class` token, put first and given alone.
    """

    def __init__(
        self,
        *,
        dim: PositiveInt = 256,
        depth: PositiveInt = 2,
        heads: PositiveInt = 4,
        mlp: PositiveInt | None = None,
        dropout: Rate = 0.0,
        tokens: Tokens = "all",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_heads(dim, heads)
        self.dim, self.tokens = dim, tokens
        self.projections = Projections(dim, dtype=self.dtype_policy, name="projections")
        self.blocks = [self_block(dim, heads, mlp, dropout, self.dtype_policy, f"block_{i}") for i in range(depth)]
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name="norm")
        self.start = self.add_weight((1, dim), spread(), name="class_token") if tokens == "class" else None

    def build(self, streams: Any) -> None:
        self.names = list(streams)
        self.projections.build(streams)
        self.norm.build((None, None, self.dim))

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        projected = self.projections(streams)
        joined = join(projected[name] for name in self.names if name in projected)
        if self.start is not None:
            joined = join([repeated(self.start, joined), joined])
        states = joined["tokens"]
        for block in self.blocks:
            states = block(states, padding_mask=joined["mask"], training=training)
        return {"joint": end(make_stream(self.norm(states), joined["mask"]), self.tokens)}
