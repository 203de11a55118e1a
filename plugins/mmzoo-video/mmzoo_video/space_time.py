"""Attention over the places and times of a clip, three ways; the blocks are those of KerasHub's `ViTBackbone`."""

from typing import Any, NamedTuple

import keras
import keras_hub
from keras import ops

from mmzoo import make_stream, pool

EPSILON = 1e-6
"""Of the normalisation before attention over time; both papers' and KerasHub's."""

SPREAD = 0.2
"""Of positions in time before training. The papers' 0.02 and zeros go with an image transformer's weights; from random weights
the order of a few small frames is learned three to six times sooner with this."""


class Seen(NamedTuple):
    """What a transformer makes of a clip.

    Args:
        first: The class token, `(batch, 1, dim)`.
        rest: The other tokens, `(batch, times, places, dim)`; the factorised encoder has one place for each time.
    """

    first: Any
    rest: Any


class SpaceTime(keras.layers.Layer):
    """Base of the three ways: `call(tubelets, padding_mask=None, training=False)` gives `Seen`.

    Tubelets are `(batch, times, height, width, channels)`: a picture for each time, whose channels are those of the tubelet's
    frames one after the other, so that its patches are the tubelets and their convolution is one over time as well.
    `padding_mask`, `(batch, times)`, says which times take part in attention and means; all by default.

    Args:
        shape: Of a clip's tubelets, without batch.
        vit: Options of KerasHub's `ViTBackbone` but the pictures' shape.
        depth_drop: Share of the last block's branches that is left out in training; of the others in proportion to their depth.
    """

    stacked = 1
    """How many times are one tall picture to the transformer."""

    def __init__(self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.times, height, width, channels = shape
        self.dim, self.height = vit["hidden_dim"], height
        picture = (self.stacked * height, width, channels)
        backbone = keras_hub.models.ViTBackbone(**vit, image_shape=picture, dtype=self.dtype_policy)
        self.embedding = backbone.get_layer("vit_patching_and_embedding")
        self.encoder = backbone.get_layer("vit_encoder")
        self.drops = drops(depth_drop, len(self.encoder.encoder_layers), self.dtype_policy)

    def build(self, *shapes: Any) -> None:
        self.built = True  # its parts are built when they are made

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> Seen:
        raise NotImplementedError

    def split(self, tokens: Any) -> Seen:
        """Parts `(batch, 1 + times * places, dim)`, time by time, into the class token and the others."""
        return Seen(tokens[:, :1], ops.reshape(tokens[:, 1:], (-1, self.times, (tokens.shape[1] - 1) // self.times, self.dim)))


class Joint(SpaceTime):
    """Lets each token attend to those of all places and times (ViViT's model 1): a vision transformer over one tall picture."""

    def __init__(self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        self.stacked = shape[0]
        super().__init__(shape, vit, depth_drop, **kwargs)
        positions = self.embedding.position_embedding.embeddings
        positions.assign(spread()(positions.shape, dtype=positions.dtype))

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> Seen:
        tokens = self.embedding(ops.reshape(tubelets, (-1, self.times * self.height, *tubelets.shape[3:])))
        places = (tokens.shape[1] - 1) // self.times
        mask = None if padding_mask is None else with_class(ops.repeat(padding_mask, places, axis=1))[:, None]
        return self.split(through(self.encoder, tokens, mask, self.drops, training))


class Divided(SpaceTime):
    """Lets a token attend to its place at all times, then to its time's places and the class token (TimeSformer)."""

    def __init__(self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, **kwargs: Any):
        super().__init__(shape, vit, depth_drop, **kwargs)
        self.over_time = [OverTime(vit, drop.rate, dtype=self.dtype_policy) for drop in self.drops]
        self.time = self.add_weight(shape=(1, self.times, 1, self.dim), initializer=spread(), name="time")

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> Seen:
        tokens = self.embedding(ops.reshape(tubelets, (-1, *tubelets.shape[2:])))
        tokens = ops.reshape(tokens, (-1, self.times, *tokens.shape[1:]))
        seen = Seen(tokens[:, 0, :1], tokens[:, :, 1:] + ops.cast(self.time, tokens.dtype))
        tokens = self.encoder.dropout(ops.concatenate([seen.first, self._flat(seen.rest)], axis=1), training=training)
        for block, over_time, drop in zip(self.encoder.encoder_layers, self.over_time, self.drops, strict=True):
            first, rest = self.split(tokens)
            rest = rest + over_time(rest, padding_mask, training=training)
            first, rest = self._over_places(block, first, rest, padding_mask, drop, training)
            tokens = fed(block, ops.concatenate([first, self._flat(rest)], axis=1), drop, training)
        return self.split(self.encoder.layer_norm(tokens))

    def _flat(self, rest: Any) -> Any:
        return ops.reshape(rest, (-1, rest.shape[1] * rest.shape[2], self.dim))

    def _over_places(self, block: Any, first: Any, rest: Any, padding_mask: Any, drop: Any, training: bool) -> Seen:
        """Attends within each time, to the class token as well, whose copies are averaged over the times that are present."""
        copies = ops.repeat(first[:, None], self.times, axis=1)
        tokens = ops.reshape(ops.concatenate([copies, rest], axis=2), (-1, 1 + rest.shape[2], self.dim))
        new = attention(block.layer_norm_1, block.mha, tokens, None, training)
        new = ops.reshape(block.dropout(new, training=training), (-1, self.times * tokens.shape[1], self.dim))
        new = ops.reshape(drop(new, training=training), (-1, self.times, *tokens.shape[1:]))
        return Seen(first + mean(new[:, :, 0], padding_mask), rest + new[:, :, 1:])


class OverTime(keras.layers.Layer):
    """A divided block's attention over the times of each place, with its last layer, which starts from zeros.

    Args:
        vit: Options of KerasHub's `ViTBackbone`.
        depth_drop: Share of examples for which it is left out in training.
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
            attention_axes=(1,),  # three times as fast as times laid out beside each other in small rows
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
        self.built = True  # its parts are built when it is made, so that an image transformer's weights can be put in

    def call(self, rest: Any, padding_mask: Any = None, training: bool = False) -> Any:
        mask = None if padding_mask is None else padding_mask[:, None]
        new = self.dense(attention(self.norm, self.mha, rest, mask, training))
        return self.drop(self.dropout(new, training=training), training=training)


class Factorised(SpaceTime):
    """Reads each time by itself and then, by a second transformer, the times' class tokens (ViViT's model 2).

    Args:
        temporal_depth: Blocks of the second transformer; the others are as in `SpaceTime`.
    """

    def __init__(
        self, shape: tuple[int, ...], vit: dict[str, Any], depth_drop: float = 0.0, temporal_depth: int = 4, **kwargs: Any
    ):
        super().__init__(shape, vit, depth_drop, **kwargs)
        frames = vit | {"num_layers": temporal_depth, "patch_size": 1}
        backbone = keras_hub.models.ViTBackbone(**frames, image_shape=(1, 1, 1), dtype=self.dtype_policy)
        self.temporal = backbone.get_layer("vit_encoder")
        self.temporal_drops = drops(depth_drop, temporal_depth, self.dtype_policy)
        self.class_token = self.add_weight(shape=(1, 1, self.dim), initializer="zeros", name="class_token")
        self.time = self.add_weight(shape=(1, 1 + self.times, self.dim), initializer=spread(), name="time")

    def call(self, tubelets: Any, padding_mask: Any = None, training: bool = False) -> Seen:
        tokens = self.embedding(ops.reshape(tubelets, (-1, *tubelets.shape[2:])))
        tokens = through(self.encoder, tokens, None, self.drops, training)[:, 0]
        tokens = ops.reshape(tokens, (-1, self.times, self.dim))
        first = ops.broadcast_to(ops.cast(self.class_token, tokens.dtype), (ops.shape(tokens)[0], 1, self.dim))
        tokens = ops.concatenate([first, tokens], axis=1) + ops.cast(self.time, tokens.dtype)
        mask = None if padding_mask is None else with_class(padding_mask)[:, None]
        return self.split(through(self.temporal, tokens, mask, self.temporal_drops, training))


def spread() -> Any:
    """Draws positions in time before training."""
    return keras.initializers.RandomNormal(stddev=SPREAD)


def with_class(padding_mask: Any) -> Any:
    """Puts the class token's place, which is always present, before a mask `(batch, tokens)`."""
    return ops.concatenate([ops.ones_like(padding_mask[:, :1]), padding_mask], axis=1)


def mean(values: Any, padding_mask: Any) -> Any:
    """Averages `(batch, times, dim)` over the times that are present, `(batch, 1, dim)`; zeros if none is."""
    return pool(make_stream(values, padding_mask))[:, None]


def drops(rate: float, depth: int, policy: Any) -> list[keras.layers.Dropout]:
    """Makes each block's stochastic depth (Huang et al. 2016), for whole rows: 0 for the first block, `rate` for the last."""
    rates = [rate * number / max(depth - 1, 1) for number in range(depth)]
    return [keras.layers.Dropout(one, noise_shape=(None, 1, 1), dtype=policy) for one in rates]


def through(encoder: Any, tokens: Any, mask: Any, dropped: list[keras.layers.Dropout], training: bool) -> Any:
    """Sends tokens through KerasHub's ViT encoder, which takes no mask itself."""
    tokens = encoder.dropout(tokens, training=training)
    for block, drop in zip(encoder.encoder_layers, dropped, strict=True):
        new = attention(block.layer_norm_1, block.mha, tokens, mask, training)
        tokens = fed(block, tokens + drop(block.dropout(new, training=training), training=training), drop, training)
    return encoder.layer_norm(tokens)


def attention(norm: Any, mha: Any, tokens: Any, mask: Any, training: bool) -> Any:
    """Normalises tokens and lets them attend to each other, where the mask `(rows, 1, tokens)` says so."""
    tokens = norm(tokens)
    return mha(tokens, tokens, attention_mask=mask, training=training)


def fed(block: Any, tokens: Any, drop: Any, training: bool) -> Any:
    """Adds what a block's MLP makes of tokens."""
    return tokens + drop(block.mlp(block.layer_norm_2(tokens), training=training), training=training)
