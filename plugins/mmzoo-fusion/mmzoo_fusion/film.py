"""Feature-wise linear modulation: one stream scales and shifts the numbers of the others."""

from typing import Any

import keras
from keras import ops

from mmzoo import InputName, PositiveInt, Stream, make_stream, pick_stream, pool
from mmzoo_fusion.blocks import EPSILON, Projections, check_several, there


class Film(keras.layers.Layer):
    """Scales and shifts the other streams' tokens by what one stream says.

    Every stream is projected to `dim`. The others' tokens pass `depth` blocks: `u = relu(V x)`, then
    `x' = u + relu((1 + gamma) * norm(W u) + beta)`, gamma and beta linear in the mean token of `condition`. Every block has
    weights of its own. Gives every stream under its name, `condition` as it was projected. Where that is absent, gamma and
    beta are 0.

    Source: Perez et al. 2018, arXiv 1709.07871, equation 2 and figure 3: dense layers stand for the convolutions, layer
    normalisation without weights of its own for their batch normalisation.

    Args:
        condition: The stream that modulates.
        dim: Of the tokens.
        depth: Blocks of each stream that is modulated.
    """

    def __init__(self, *, condition: InputName, dim: PositiveInt = 256, depth: PositiveInt = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.condition, self.dim, self.depth = condition, dim, depth
        self.projections = Projections(dim, dtype=self.dtype_policy, name="projections")

    def build(self, streams: Any) -> None:
        user = "the fusion 'film'"
        check_several(streams, user)
        pick_stream(streams, self.condition, user)
        self.projections.build(streams)
        self.blocks = {
            name: [FilmBlock(self.dim, dtype=self.dtype_policy, name=f"{name}_{i}") for i in range(self.depth)]
            for name in streams
            if name != self.condition
        }
        for blocks in self.blocks.values():
            for block in blocks:
                block.build((None, None, self.dim))

    def call(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        given = self.projections(streams)
        condition = given.get(self.condition)
        return {name: self._modulate(name, stream, condition) for name, stream in given.items()}

    def _modulate(self, name: str, stream: Stream, condition: Stream | None) -> Stream:
        tokens = stream["tokens"]
        for block in self.blocks.get(name, []):
            tokens = block(tokens, condition)
        return make_stream(tokens, stream["mask"])


class FilmBlock(keras.layers.Layer):
    """Passes tokens through a dense layer and adds what a second one, modulated, makes of them.

    Args:
        dim: Of the tokens and of the condition.
    """

    def __init__(self, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.first = keras.layers.Dense(dim, activation="relu", name="first", **policy)
        self.second = keras.layers.Dense(dim, name="second", **policy)
        self.norm = keras.layers.LayerNormalization(epsilon=EPSILON, center=False, scale=False, name="norm", **policy)
        self.modulation = keras.layers.Dense(2 * dim, name="modulation", **policy)

    def build(self, shape: Any) -> None:
        for layer in (self.first, self.second, self.norm, self.modulation):
            layer.build(shape)

    def call(self, tokens: Any, condition: Stream | None) -> Any:
        first = self.first(tokens)
        normed = self.norm(self.second(first))
        if condition is not None:
            said = ops.where(there(condition), self.modulation(pool(condition)), 0)[:, None]  # (batch, 1, 2 * dim)
            gamma, beta = ops.split(said, 2, axis=-1)
            normed = (1 + gamma) * normed + beta
        return first + ops.relu(normed)
