"""Any image encoder applied to each frame, and the mean over the frames."""

from collections.abc import Callable
from typing import Any, Literal, cast

import keras
from keras import ops

from mmzoo import EncoderPart, FeatureSpec, Stream, StreamError, is_clip, make_stream, pool


class FrameMean(keras.layers.Layer):
    """Encodes each frame of a clip with an image encoder and averages over the frames.

    Frames `(batch, time, ...)` and a mask `(batch, time)`, True for present frames -> tokens `(batch, 1, dim)`. A frame is the
    mean of its tokens, and the token of the clip is the mean of its present frames. The order of the frames is lost. A clip
    without frames is an absent stream.

    The encoder gets all frames as one batch. A missing frame is replaced by the clip's first present frame, so that batch
    normalisation sees real frames only.

    Args:
        features: The `FeatureSpec` of the frames.
        backbone_config: The encoder's config as stored in a run; None when a model is first built.
        encoder: Image encoder, such as `{type: resnet, blocks: [1, 1, 1]}`. Its augmentation changes each frame independently.
        tokens: Which tokens the stream has: `mean`, one token; `frames`, one token per frame, for a fusion or head that attends
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
        frame_spec = {name: value for name, value in features.items() if name != "mask"} | {"shape": self.frame}
        self.encoder = cast(Callable[..., Any], encoder)(features=frame_spec, backbone_config=backbone_config)

    @property
    def backbone_config(self) -> Any:
        """The encoder's config that the run stores."""
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
            frames = _fill_missing(frames, padding_mask)
        tokens = pool(self.encoder(ops.reshape(frames, (-1, *self.frame)), training=training))
        tokens = ops.reshape(tokens, (-1, self.time, tokens.shape[-1]))
        stream = make_stream(tokens, padding_mask)
        if self.tokens == "frames":
            return stream
        return make_stream(pool(stream), ops.any(stream["mask"], axis=1, keepdims=True))


def _fill_missing(frames: Any, padding_mask: Any) -> Any:
    """Replaces missing frames, `(batch, time, ...)`, by the clip's first present frame."""
    batch, time = ops.shape(frames)[0], frames.shape[1]
    numbers = ops.where(padding_mask, ops.arange(time), ops.argmax(ops.cast(padding_mask, "int32"), axis=1, keepdims=True))
    rows = ops.reshape(numbers + time * ops.arange(batch)[:, None], (-1,))
    flat = ops.reshape(frames, (-1, *frames.shape[2:]))
    return ops.reshape(ops.take(flat, rows, axis=0), (-1, *frames.shape[1:]))
