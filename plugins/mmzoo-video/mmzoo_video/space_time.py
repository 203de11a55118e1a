"""Three transformers over space and time, made of the blocks of KerasHub's `ViTBackbone`."""

from typing import Any, NamedTuple

import keras
import keras_hub
from keras import ops

from mmzoo import make_stream, pool

EPSILON = 1e-6
"""Epsilon of the layer normalisation before temporal attention, as in both papers and KerasHub."""

SPREAD = 0.2
"""Initial standard deviation of temporal position embeddings. The papers use 0.02 and zeros, with pretrained weights.
From random weights, the order of a few small frames is learned three to six times sooner with this value."""


class ClipTokens(NamedTuple):
    """A transformer's output for a clip.

    Args:
        class_token: `(batch, 1, dim)`.
        grid: The other tokens, `(batch, times, patches, dim)`. The factorised encoder has one token per time.
    """

    class_token: Any
    grid: Any


class SpaceTime(keras.layers.Layer):
    """Base of the three transformers: `call(tubelets, padding_mask=None, training=False)` returns `ClipTokens`.

    Tubelets are `(batch, times, height, width, channels)`: one picture per time, whose channels are those of the tubelet's
    frames one after the other. So a patch of it is a tubelet, and the patch embedding is a convolution over space and time.
    `padding_mask`, `(batch, times)`, is True for times that take part in attention and means; by default all do.

    Args:
        shape: Shape of a clip's tubelets, without batch.
        vit: Arguments of KerasHub's `ViTBackbone`, without the shape of the pictures.
        depth_drop: Stochastic depth rate of the last block; those of earlier blocks are in proportion to their depth.
    """

    stacked = 1
    """Number of times that are stacked into one tall picture."""

    def __init__(self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.times, height, width, channels = shape
        self.dim, self.height = vit["hidden_dim"], height
        picture = (self.stacked * height, width, channels)
        backbone = keras_hub.models.ViTBackbone(**vit, image_shape=picture, dtype=self.dtype_policy)
        self.embedding = backbone.get_layer("vit_patching_and_embedding")
        self.encoder = backbone.get_layer("vit_encoder")
        self.drops = stochastic_depth(depth_drop, len(self.encoder.encoder_layers), self.dtype_policy)

    def build(self, *shapes: Any) -> None:
        self.built = True  # its parts are built when they are made

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> ClipTokens:
        raise NotImplementedError

    def split(self, tokens: Any) -> ClipTokens:
        """Splits `(batch, 1 + times * patches, dim)`, ordered by time, into the class token and the others."""
        patches = (tokens.shape[1] - 1) // self.times
        return ClipTokens(tokens[:, :1], ops.reshape(tokens[:, 1:], (-1, self.times, patches, self.dim)))


class Joint(SpaceTime):
    """Joint attention, ViViT's model 1: each token attends to all tokens. It is a ViT over one tall picture of all times."""

    def __init__(self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        self.stacked = shape[0]
        super().__init__(shape, vit, depth_drop, **kwargs)
        positions = self.embedding.position_embedding.embeddings
        positions.assign(time_initializer()(positions.shape, dtype=positions.dtype))

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> ClipTokens:
        tokens = self.embedding(ops.reshape(tubelets, (-1, self.times * self.height, *tubelets.shape[3:])))
        patches = (tokens.shape[1] - 1) // self.times
        mask = None if padding_mask is None else with_class_token(ops.repeat(padding_mask, patches, axis=1))[:, None]
        return self.split(run_encoder(self.encoder, tokens, mask, self.drops, training))


class Divided(SpaceTime):
    """Divided attention, TimeSformer: attends to the same patch at all times, then to all patches of its time."""

    def __init__(self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        super().__init__(shape, vit, depth_drop, **kwargs)
        self.over_time = [OverTime(vit, drop.rate, dtype=self.dtype_policy) for drop in self.drops]
        self.time = self.add_weight(shape=(1, self.times, 1, self.dim), initializer=time_initializer(), name="time")

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> ClipTokens:
        tokens = self.embedding(ops.reshape(tubelets, (-1, *tubelets.shape[2:])))
        tokens = ops.reshape(tokens, (-1, self.times, *tokens.shape[1:]))
        class_token, grid = tokens[:, 0, :1], tokens[:, :, 1:] + ops.cast(self.time, tokens.dtype)
        tokens = self.encoder.dropout(ops.concatenate([class_token, self._flat(grid)], axis=1), training=training)
        for block, over_time, drop in zip(self.encoder.encoder_layers, self.over_time, self.drops, strict=True):
            class_token, grid = self.split(tokens)
            grid = grid + over_time(grid, padding_mask, training=training)
            class_token, grid = self._over_space(block, class_token, grid, padding_mask, drop, training)
            tokens = add_mlp(block, ops.concatenate([class_token, self._flat(grid)], axis=1), drop, training)
        return self.split(self.encoder.layer_norm(tokens))

    def _flat(self, grid: Any) -> Any:
        return ops.reshape(grid, (-1, grid.shape[1] * grid.shape[2], self.dim))

    def _over_space(self, block: Any, class_token: Any, grid: Any, padding_mask: Any, drop: Any, training: bool) -> ClipTokens:
        """Spatial attention: within each time and with a copy of the class token; averages the copies over present times."""
        copies = ops.repeat(class_token[:, None], self.times, axis=1)
        tokens = ops.reshape(ops.concatenate([copies, grid], axis=2), (-1, 1 + grid.shape[2], self.dim))
        new = attention(block.layer_norm_1, block.mha, tokens, None, training)
        new = ops.reshape(block.dropout(new, training=training), (-1, self.times * tokens.shape[1], self.dim))
        new = ops.reshape(drop(new, training=training), (-1, self.times, *tokens.shape[1:]))
        return ClipTokens(class_token + masked_mean(new[:, :, 0], padding_mask), grid + new[:, :, 1:])


class OverTime(keras.layers.Layer):
    """Temporal attention of a divided block, over the times of each patch, and a dense layer that starts from zeros.

    Args:
        vit: Arguments of KerasHub's `ViTBackbone`.
        depth_drop: Stochastic depth rate.
    """

    def __init__(self, vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        heads, dim, policy = vit["num_heads"], vit["hidden_dim"], self.dtype_policy
        self.norm = keras.layers.LayerNormalization(epsilon=vit.get("layer_norm_epsilon", EPSILON), dtype=policy)
        self.mha = keras.layers.MultiHeadAttention(
            heads,
            dim // heads,
            use_bias=vit.get("use_mha_bias", True),
            dropout=vit.get("attention_dropout", 0.0),
            attention_axes=(1,),  # three times as fast as reshaping to many short sequences
            dtype=policy,
        )
        self.dense = keras.layers.Dense(dim, kernel_initializer="zeros", dtype=policy)
        self.dropout = keras.layers.Dropout(vit["dropout_rate"], dtype=policy)
        self.drop = keras.layers.Dropout(depth_drop, noise_shape=(None, 1, 1, 1), dtype=policy)
        shape = (None, None, None, dim)
        for part in (self.norm, self.dense):
            part.build(shape)
        self.mha.build(shape, shape)

    def build(self, *shapes: Any) -> None:
        self.built = True  # its parts are built when it is made, so that weights can be copied into them

    def call(self, grid: Any, padding_mask: Any = None, training: bool = False) -> Any:
        mask = None if padding_mask is None else padding_mask[:, None]
        new = self.dense(attention(self.norm, self.mha, grid, mask, training))
        return self.drop(self.dropout(new, training=training), training=training)


class Factorised(SpaceTime):
    """Factorised encoder, ViViT's model 2: one transformer for each time, a second one over the times' class tokens.

    Args:
        temporal_depth: Number of blocks of the second transformer. The other arguments are those of `SpaceTime`.
    """

    def __init__(
        self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, temporal_depth: int = 4, **kwargs: Any
    ):
        super().__init__(shape, vit, depth_drop, **kwargs)
        frames = vit | {"num_layers": temporal_depth, "patch_size": 1}
        backbone = keras_hub.models.ViTBackbone(**frames, image_shape=(1, 1, 1), dtype=self.dtype_policy)
        self.temporal = backbone.get_layer("vit_encoder")
        self.temporal_drops = stochastic_depth(depth_drop, temporal_depth, self.dtype_policy)
        self.class_token = self.add_weight(shape=(1, 1, self.dim), initializer="zeros", name="class_token")
        self.time = self.add_weight(shape=(1, 1 + self.times, self.dim), initializer=time_initializer(), name="time")

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> ClipTokens:
        tokens = self.embedding(ops.reshape(tubelets, (-1, *tubelets.shape[2:])))
        tokens = run_encoder(self.encoder, tokens, None, self.drops, training)[:, 0]
        tokens = ops.reshape(tokens, (-1, self.times, self.dim))
        class_token = ops.broadcast_to(ops.cast(self.class_token, tokens.dtype), (ops.shape(tokens)[0], 1, self.dim))
        tokens = ops.concatenate([class_token, tokens], axis=1) + ops.cast(self.time, tokens.dtype)
        mask = None if padding_mask is None else with_class_token(padding_mask)[:, None]
        return self.split(run_encoder(self.temporal, tokens, mask, self.temporal_drops, training))


def time_initializer() -> Any:
    """Makes the initializer of temporal position embeddings."""
    return keras.initializers.RandomNormal(stddev=SPREAD)


def with_class_token(padding_mask: Any) -> Any:
    """Prepends the class token, which is always present, to a mask `(batch, tokens)`."""
    return ops.concatenate([ops.ones_like(padding_mask[:, :1]), padding_mask], axis=1)


def masked_mean(values: Any, padding_mask: Any) -> Any:
    """Averages `(batch, times, dim)` over the present times to `(batch, 1, dim)`; zeros if none is present."""
    return pool(make_stream(values, padding_mask))[:, None]


def stochastic_depth(rate: float, depth: int, policy: Any) -> list[keras.layers.Dropout]:
    """Makes a dropout of whole rows for each block (Huang et al. 2016); its rate grows from 0 to `rate` in the last block."""
    rates = [rate * number / max(depth - 1, 1) for number in range(depth)]
    return [keras.layers.Dropout(each, noise_shape=(None, 1, 1), dtype=policy) for each in rates]


def run_encoder(encoder: Any, tokens: Any, mask: Any, drops: list[keras.layers.Dropout], training: bool) -> Any:
    """Runs KerasHub's ViT encoder with a mask and stochastic depth, which its own `call` does not support."""
    tokens = encoder.dropout(tokens, training=training)
    for block, drop in zip(encoder.encoder_layers, drops, strict=True):
        new = attention(block.layer_norm_1, block.mha, tokens, mask, training)
        tokens = add_mlp(block, tokens + drop(block.dropout(new, training=training), training=training), drop, training)
    return encoder.layer_norm(tokens)


def attention(norm: Any, mha: Any, tokens: Any, mask: Any, training: bool) -> Any:
    """Layer normalisation, then self-attention; `mask` is `(rows, 1, tokens)` or None."""
    tokens = norm(tokens)
    return mha(tokens, tokens, attention_mask=mask, training=training)


def add_mlp(block: Any, tokens: Any, drop: Any, training: bool) -> Any:
    """Adds the output of a block's MLP to its input."""
    return tokens + drop(block.mlp(block.layer_norm_2(tokens), training=training), training=training)
