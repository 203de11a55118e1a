"""Early fusion: one transformer over the tokens of all streams."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream, make_stream
from mmzoo_fusion.blocks import (
    EPSILON,
    Projections,
    Tokens,
    broadcast_tokens,
    check_heads,
    concatenate,
    select_tokens,
    self_block,
    token_initializer,
)


class Early(keras.layers.Layer):
    """Joins the tokens of all streams in one transformer.

    Each stream is projected to `dim` with a learned modality embedding, `W x + e`. The sequences are concatenated and pass
    through `depth` blocks in which every real token attends to every other. Returns one stream, `joint`. It adds no position
    embeddings; those are left to the encoders. Also takes a single stream.

    Source: the joint sequence and its modality embeddings are those of Kim et al. 2021 (ViLT), arXiv 2102.03334, section 3.1;
    the blocks are KerasHub's `TransformerEncoder`, pre-norm.

    Args:
        dim: Dim of the tokens; a multiple of `heads`.
        depth: Number of transformer blocks.
        heads: Number of attention heads in each block.
        mlp: Units of the hidden dense layer in each block; `4 * dim` if not given.
        dropout: Dropout rate of the attention weights, and of the outputs of attention and dense layers.
        tokens: What is returned: `all` tokens, in the recipe's order of streams, their `mean`, or a learned `class` token.
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
        self.class_token = self.add_weight((1, dim), token_initializer(), name="class_token") if tokens == "class" else None

    def build(self, streams: Any) -> None:
        self.names = list(streams)
        self.projections.build(streams)
        self.norm.build((None, None, self.dim))

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        projected = self.projections(streams)
        joined = concatenate(projected[name] for name in self.names if name in projected)
        if self.class_token is not None:
            joined = concatenate([broadcast_tokens(self.class_token, joined), joined])
        states = joined["tokens"]
        for block in self.blocks:
            states = block(states, padding_mask=joined["mask"], training=training)
        return {"joint": select_tokens(make_stream(self.norm(states), joined["mask"]), self.tokens)}
