"""Video transformer encoder: ViViT's joint and factorised, TimeSformer's divided attention."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import FeatureSpec, PositiveInt, Rate, Stream, StreamError, is_clip, make_stream
from mmzoo_video.image_vit import SHAPE, load_scale, load_vit, start_from
from mmzoo_video.space_time import Divided, Factorised, Joint, Seen

SIGNED = (1 / 127.5, -1.0)
"""Scales pixels, 0 to 255, to -1 to 1."""
WAYS = {"joint": Joint, "divided": Divided, "factorised": Factorised}


class VideoTransformer(keras.layers.Layer):
    """Reads a clip with a vision transformer, over space and time.

    Pixels `(batch, time, height, width, 3)`, 0 to 255, and a mask `(batch, time)` of the frames that are there -> tokens
    `(batch, tokens, dim)`. A clip is cut into tubelets of `tubelet` frames and `patch` x `patch` pixels, each a token. Tokens
    are in the order of their times, then of their places, row by row.

    A tubelet is present if any of its frames is; a missing frame beside one that is present adds nothing to it. Tokens that are
    not there are masked and take part in no attention and no mean. A clip without a frame gives an absent stream.

    Source: Arnab et al. 2021, arXiv 2103.15691 (ViViT), models 1 and 2; Bertasius et al. 2021, arXiv 2102.05095 (TimeSformer).
    The blocks are those of KerasHub's `ViTBackbone`, so GELU is exact. Tubelets are convolved as pictures whose channels are
    those of all their frames, which is the sum that a convolution over time computes.

    Args:
        features: What is known of the frames.
        backbone_config: What a run has kept of the preset: its shape and its scale of pixels.
        patch: Side of a patch in pixels; it divides both sides of a frame.
        tubelet: Frames of a tubelet; it divides the number of frames. 1 is TimeSformer's, 2 ViViT's.
        dim: Numbers of a token; a multiple of `heads`.
        depth: Transformer blocks.
        heads: Attention heads of each block.
        mlp: Hidden numbers of each block's MLP; four times `dim` if not given.
        attention: `joint`: every token attends to all, and each place at each time has its own position (ViViT's model 1).
            `divided`: each block attends to the same place at all times, then to the places of the same time (TimeSformer).
            `factorised`: one transformer reads each time by itself, a second one the class tokens of all times (ViViT's
            model 2).
        temporal_depth: Blocks of the second transformer of `factorised`; 4 if not given.
        tokens: What the stream holds: `class`, the class token alone; `frames`, a token for each time, the mean of its places,
            or what the second transformer of `factorised` makes of it; `all`, the class token and then every token of the last
            block, which with `factorised` are those of the times.
        weights: KerasHub preset of an image transformer to start from, such as `vit_base_patch16_224_imagenet`; a name,
            `hf://...` or a folder. Its shape replaces `patch`, `dim`, `depth`, `heads` and `mlp`, and its scale of pixels that
            to -1 to 1. The middle frame of a tubelet starts with its patches, the others with zeros; positions are repeated
            over time; attention over time starts as a copy of that over places. None starts from random weights.
        dropout: Share of numbers that is zeroed in training, in every block.
        depth_drop: Share of examples for which a branch of the last block is left out in training; that of earlier blocks is in
            proportion to their depth. To the first transformer of `factorised` a time is an example.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        patch: PositiveInt = 16,
        tubelet: PositiveInt = 1,
        dim: PositiveInt = 192,
        depth: PositiveInt = 12,
        heads: PositiveInt = 3,
        mlp: PositiveInt | None = None,
        attention: Literal["joint", "divided", "factorised"] = "divided",
        temporal_depth: PositiveInt | None = None,
        tokens: Literal["class", "frames", "all"] = "class",
        weights: str | None = None,
        dropout: Rate = 0.0,
        depth_drop: Rate = 0.0,
        backbone_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        given = features["shape"]
        if not is_clip(features):
            raise StreamError(
                f"video_transformer takes frames and their mask, received features {given}. Read them by `frames`."
            )
        self.tubelet, self.tokens = tubelet, tokens
        time, *frame = given
        image, self.scale, self.backbone_config = None, SIGNED, backbone_config
        vit: dict[str, Any] = {
            "patch_size": patch,
            "hidden_dim": dim,
            "num_layers": depth,
            "num_heads": heads,
            "mlp_dim": mlp or 4 * dim,
        }
        if backbone_config is not None:
            vit, self.scale = backbone_config["vit"], backbone_config["scale"]
        elif weights is not None:
            image = load_vit(weights, tuple(frame))
            vit, self.scale = {name: getattr(image, name) for name in SHAPE}, load_scale(weights, SIGNED)
            self.backbone_config = {"vit": vit, "scale": self.scale}
        _check(time, frame, tubelet, vit)
        shape = (time // tubelet, *frame[:2], tubelet * frame[2])
        further = _temporal_depth(attention, temporal_depth)
        vit = vit | {"dropout_rate": dropout}
        self.transformer = WAYS[attention](shape, vit, depth_drop, **further, dtype=self.dtype_policy)
        if image is not None:
            start_from(image, self.transformer)

    def build(self, shape: Any) -> None:
        self.built = True  # the transformer is built when it is made

    def call(self, pixels: Any, padding_mask: Any = None, training: bool = False) -> Stream:
        factor, offset = (ops.convert_to_tensor(value, self.compute_dtype) for value in self.scale)
        frames = ops.cast(pixels, self.compute_dtype) * factor + offset
        if padding_mask is not None:
            frames = ops.where(padding_mask[..., None, None, None], frames, ops.zeros_like(frames[:1, :1, :1, :1, :1]))
            padding_mask = ops.any(ops.reshape(padding_mask, (-1, padding_mask.shape[1] // self.tubelet, self.tubelet)), axis=2)
        return self._stream(self.transformer(self._tubelets(frames), padding_mask, training=training), padding_mask)

    def _tubelets(self, frames: Any) -> Any:
        """Makes one picture of a tubelet's frames, `(batch, times, height, width, tubelet * 3)`."""
        if self.tubelet == 1:
            return frames
        time, height, width, channels = frames.shape[1:]
        frames = ops.reshape(frames, (-1, time // self.tubelet, self.tubelet, height, width, channels))
        frames = ops.transpose(frames, (0, 1, 3, 4, 2, 5))
        return ops.reshape(frames, (-1, time // self.tubelet, height, width, self.tubelet * channels))

    def _stream(self, seen: Seen, padding_mask: Any) -> Stream:
        times, places, dim = seen.rest.shape[1:]
        if self.tokens == "frames":
            return make_stream(ops.mean(seen.rest, axis=2), padding_mask)
        first = None if padding_mask is None else ops.any(padding_mask, axis=1, keepdims=True)
        if self.tokens == "class":
            return make_stream(seen.first, first)
        every = None if padding_mask is None else ops.concatenate([first, ops.repeat(padding_mask, places, axis=1)], axis=1)
        rest = ops.reshape(seen.rest, (-1, times * places, dim))
        return make_stream(ops.concatenate([seen.first, rest], axis=1), every)


def _temporal_depth(attention: str, given: int | None) -> dict[str, int]:
    if attention == "factorised":
        return {"temporal_depth": 4 if given is None else given}
    if given is not None:
        raise StreamError(f"temporal_depth is for attention: factorised, received it with {attention}. Leave it out.")
    return {}


def _check(time: int, frame: list[int], tubelet: int, vit: Mapping[str, Any]) -> None:
    """Holds that a clip is cut into whole tubelets, and a token among the heads."""
    height, width = frame[:2]
    patch, heads, dim = vit["patch_size"], vit["num_heads"], vit["hidden_dim"]
    down, across = (patch, patch) if isinstance(patch, int) else patch
    if height % down or width % across:
        raise StreamError(
            f"frames of {height} x {width} pixels cannot be cut into patches of {down} x {across}. "
            "Choose a patch, or a size of the frames, so that one divides the other."
        )
    if time % tubelet:
        raise StreamError(
            f"{time} frames cannot be cut into tubelets of {tubelet}. "
            "Choose a tubelet, or a number of frames, so that one divides the other."
        )
    if dim % heads:
        raise StreamError(f"the dim {dim} cannot be divided among {heads} heads. Choose a multiple of {heads}.")
