"""Late fusion: one token for each stream; the head decides on each and combines the decisions."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream, make_stream
from mmzoo_fusion.blocks import Projections, mean_token


class Late(keras.layers.Layer):
    """Keeps the streams separate, one token each; the head decides on each.

    `W mean(x) + b`: the mean over the real tokens, with a separate W and b for each stream. Streams do not influence each
    other; the head combines its decisions on them. An absent stream stays absent. Also takes a single stream.

    Source: late fusion of Baltrusaitis et al. 2019, arXiv 1705.09406, section 6.1.

    Args:
        dim: Dim of the returned tokens.
        dropout: Dropout rate of the returned tokens.
    """

    def __init__(self, *, dim: PositiveInt = 256, dropout: Rate = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.projections = Projections(dim, dtype=self.dtype_policy, name="projections")
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, streams: Any) -> None:
        self.projections.build(streams)

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        means = self.projections({name: mean_token(stream) for name, stream in streams.items()})
        dropped = {name: self.dropout(stream["tokens"], training=training) for name, stream in means.items()}
        return {name: make_stream(dropped[name], stream["mask"]) for name, stream in means.items()}
