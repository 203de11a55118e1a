"""Coordinated representation: one vector of length 1 for each stream, in one shared space."""

from typing import Any

import keras
from keras import ops

from mmzoo import PositiveInt, Stream, make_stream, pool, unit


class Project(keras.layers.Layer):
    """Projects each stream's mean token into one shared space, scaled to length 1.

    `W x / |W x|`: x is the mean of the real tokens, and each stream has its own W. The length is computed in float32. Takes any
    number of streams. An absent stream stays absent.

    Source: Radford et al. 2021, arXiv 2103.00020, figure 3.

    Args:
        dim: The size of the shared space.
        use_bias: Whether to add a bias, `W x + b`, as in Faghri et al. 2018, arXiv 1707.05612.
    """

    def __init__(self, *, dim: PositiveInt = 256, use_bias: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.dim, self.use_bias = dim, use_bias

    def build(self, streams: Any) -> None:
        self.projections = {
            name: keras.layers.Dense(self.dim, use_bias=self.use_bias, dtype=self.dtype_policy, name=name) for name in streams
        }
        for name, projection in self.projections.items():
            projection.build((None, streams[name]["tokens"][-1]))

    def call(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        return {name: self._project(name, stream) for name, stream in streams.items()}

    def _project(self, name: str, stream: Stream) -> Stream:
        return make_stream(unit(self.projections[name](pool(stream))), ops.any(stream["mask"], axis=1, keepdims=True))
