"""FiLM, feature-wise linear modulation: one stream scales and shifts the features of the others."""

from typing import Any

import keras
from keras import ops

from mmzoo import InputName, PositiveInt, Stream, make_stream, pick_stream, pool
from mmzoo_fusion.blocks import EPSILON, Projections, check_several, is_present


class Film(keras.layers.Layer):
    """Lets one stream scale and shift the tokens of the others.

    Every stream is projected to `dim`. The tokens of the others pass through `depth` blocks: `u = relu(V x)`, then
    `x' = u + relu((1 + gamma) * norm(W u) + beta)`, where gamma and beta are linear in the mean token of `condition`. Blocks
    share no weights. Returns every stream under its name, `condition` as projected. Where `condition` is absent, gamma and
    beta are 0.

    Source: Perez et al. 2018, arXiv 1709.07871, equation 2 and figure 3, with dense layers in place of convolutions and layer
    normalisation without weights in place of batch normalisation.

    Args:
        condition: The stream that modulates the others.
        dim: Dim of the tokens.
        depth: Number of blocks for each modulated stream.
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
        projected = self.projections(streams)
        condition = projected.get(self.condition)
        return {name: self._modulate(name, stream, condition) for name, stream in projected.items()}

    def _modulate(self, name: str, stream: Stream, condition: Stream | None) -> Stream:
        tokens = stream["tokens"]
        for block in self.blocks.get(name, []):
            tokens = block(tokens, condition)
        return make_stream(tokens, stream["mask"])


class FilmBlock(keras.layers.Layer):
    """Residual block: a dense layer, then a second one whose normalised outputs are modulated.

    Args:
        dim: Dim of the tokens and of the condition.
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
            modulation = ops.where(is_present(condition), self.modulation(pool(condition)), 0)[:, None]  # (batch, 1, 2 * dim)
            gamma, beta = ops.split(modulation, 2, axis=-1)
            normed = (1 + gamma) * normed + beta
        return first + ops.relu(normed)
