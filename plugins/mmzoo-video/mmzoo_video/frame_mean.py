"""Any picture encoder, frame by frame, and the mean of what it sees."""

from collections.abc import Callable
from typing import Any, Literal, cast

import keras
from keras import ops

from mmzoo import EncoderPart, FeatureSpec, Stream, StreamError, is_clip, make_stream, pool


class FrameMean(keras.layers.Layer):
    """Reads each frame of a clip with a picture encoder and averages the frames.

    Frames `(batch, time, ...)` and a mask `(batch, time)` of those that are there -> tokens `(batch, 1, dim)`, the mean of the
    frames that are there; a frame is the mean of its tokens. The order of the frames is lost. A clip without a frame gives an
    absent stream.

    The encoder sees all frames as one batch. In the place of a missing one it sees the clip's first frame that is present, so
    that batch normalisation sees real frames.

    Args:
        features: What is known of the frames.
        backbone_config: What a run has kept of the encoder.
        encoder: Picture encoder, such as `{type: resnet, blocks: [1, 1, 1]}`. What augments its pictures changes each frame in
            another way.
        tokens: What the stream holds: `mean`, one token; `frames`, a token for each frame, for a fusion or a head that attends
            to them.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        encoder: EncoderPart,
        tokens: Literal["mean", "frames"] = "mean",
        backbone_config: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.features, self.tokens = features, tokens
        shape = features["shape"]
        if not is_clip(features):
            raise StreamError(f"frame_mean takes frames and their mask, received features {shape}. Read them by `frames`.")
        self.time, *self.frame = shape
        known = {name: value for name, value in features.items() if name != "mask"} | {"shape": self.frame}
        self.encoder = cast(Callable[..., Any], encoder)(features=known, backbone_config=backbone_config)

    @property
    def backbone_config(self) -> Any:
        """What the run keeps of the encoder."""
        return getattr(self.encoder, "backbone_config", None)

    def get_config(self) -> dict[str, Any]:
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return super().get_config() | {"features": self.features, "encoder": encoder, "tokens": self.tokens}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FrameMean":
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config | {"encoder": lambda **_: encoder})

    def build(self, shape: Any) -> None:
        self.encoder.build((None, *self.frame))
        self.built = True

    def call(self, frames: Any, padding_mask: Any = None, training: bool = False) -> Stream:
        if padding_mask is not None:
            frames = _without_gaps(frames, padding_mask)
        seen = self.encoder(ops.reshape(frames, (-1, *self.frame)), training=training)
        tokens = pool(seen)
        tokens = ops.reshape(tokens, (-1, self.time, tokens.shape[-1]))
        stream = make_stream(tokens, padding_mask)
        if self.tokens == "frames":
            return stream
        return make_stream(pool(stream), ops.any(stream["mask"], axis=1, keepdims=True))


def _without_gaps(frames: Any, padding_mask: Any) -> Any:
    """Puts each clip's first frame that is present, `(batch, time, ...)`, in the place of those that are missing."""
    batch, time = ops.shape(frames)[0], frames.shape[1]
    places = ops.where(padding_mask, ops.arange(time), ops.argmax(ops.cast(padding_mask, "int32"), axis=1, keepdims=True))
    rows = ops.reshape(places + time * ops.arange(batch)[:, None], (-1,))
    flat = ops.reshape(frames, (-1, *frames.shape[2:]))
    return ops.reshape(ops.take(flat, rows, axis=0), (-1, *frames.shape[1:]))
