"""Late fusion: each stream one token, for a head that decides on each."""

from typing import Any

import keras

from mmzoo import PositiveInt, Rate, Stream
from mmzoo_fusion.blocks import Projections, mean


class Late(keras.layers.Layer):
    """Keeps the streams apart, one token each, to be decided on one by one.

    `W mean(x) + b`, the mean over the real tokens, W and b each stream's own. No stream sees another; the
    head combines its decisions. One stream, too, is taken; an absent one stays absent.

    Source: late fusion of Baltrusaitis et al. 2019, arXiv 1705.09406, section 6.1.

    Args:
        dim: Of the tokens that are given.
        dropout: Share of their numbers that is zeroed in training.
    """

    def __init__(self, *, dim: PositiveInt = 256, dropout: Rate = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.projections = Projections(dim, dtype=self.dtype_policy, name="projections")
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, streams: Any) -> None:
        self.projections.build(streams)

    def call(self, streams: dict[str, Stream], training: bool = False) -> dict[str, Stream]:
        means = self.projections({name: mean(stream) for name, stream in streams.items()})
        return {name: one | {"tokens": self.dropout(one["tokens"], training=training)} for name, one in means.items()}
