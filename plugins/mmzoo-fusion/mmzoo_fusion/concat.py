"""Joint representation by concatenation."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream, make_stream
from mmzoo_fusion.blocks import concat_means, is_present


class Concat(keras.layers.Layer):
    """Concatenates the streams' mean tokens and applies two dense layers.

    `W2 gelu(W1 [mean(x_1), ..., mean(x_n)] + b1) + b2`, in the recipe's order, with zeros for an absent stream. Returns one
    stream, `joint`, of one token. Also takes a single stream.

    Source: the joint representation of Baltrusaitis et al. 2019, arXiv 1705.09406, section 3.1.

    Args:
        dim: Dim of the returned token.
        mlp: Units of the hidden dense layer; `4 * dim` if not given.
        dropout: Dropout rate of the hidden layer's outputs.
    """

    def __init__(self, *, dim: PositiveInt = 256, mlp: PositiveInt | None = None, dropout: Rate = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(mlp or 4 * dim, activation="gelu", dtype=self.dtype_policy, name="inner")
        self.outer = keras.layers.Dense(dim, dtype=self.dtype_policy, name="outer")
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, streams: Any) -> None:
        self.dims = {name: shapes["tokens"][-1] for name, shapes in streams.items()}
        self.inner.build((None, sum(self.dims.values())))
        self.outer.build((None, self.inner.units))

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        hidden = self.dropout(self.inner(concat_means(streams, self.dims)), training=training)
        return {"joint": make_stream(self.outer(hidden), is_present(*streams.values()))}
