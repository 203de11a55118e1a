"""Video transformer encoder: ViViT (joint and factorised attention) and TimeSformer (divided attention)."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import FeatureSpec, PositiveInt, Preset, Rate, Stream, StreamError, is_clip, make_stream
from mmzoo_video.image_vit import SHAPE, copy_weights, load_scale, load_vit
from mmzoo_video.space_time import ClipTokens, Divided, Factorised, Joint

SIGNED = (1 / 127.5, -1.0)
"""Scales pixels, 0 to 255, to -1 to 1."""
TRANSFORMERS = {"joint": Joint, "divided": Divided, "factorised": Factorised}


class VideoTransformer(keras.layers.Layer):
    """Encodes a clip with a vision transformer over space and time (ViViT, TimeSformer).

    Pixels `(batch, time, height, width, 3)`, 0 to 255, and a mask `(batch, time)`, True for present frames -> tokens
    `(batch, tokens, dim)`. A clip is cut into tubelets of `tubelet` frames and `patch` x `patch` pixels; each is a token.
    Tokens are ordered by time, then by patch, row by row.

    A tubelet is present if any of its frames is; its missing frames count as zeros. Tokens of missing tubelets are masked: they
    take part in no attention and no mean. A clip without frames is an absent stream.

    Source: Arnab et al. 2021, arXiv 2103.15691 (ViViT), models 1 and 2; Bertasius et al. 2021, arXiv 2102.05095 (TimeSformer).
    The blocks are those of KerasHub's `ViTBackbone`, so GELU is exact. The frames of a tubelet are stacked as the channels of
    one picture. A 2D convolution of it computes the same sum as a 3D convolution of the tubelet.

    Args:
        features: The `FeatureSpec` of the frames.
        backbone_config: The preset's config as stored in a run; None when a model is first built.
        patch: Patch size in pixels; both sides of a frame must be multiples of it.
        tubelet: Number of frames of a tubelet; the number of frames must be a multiple of it. TimeSformer has 1, ViViT 2.
        dim: Size of a token; a multiple of `heads`.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        mlp: Hidden size of each block's MLP; by default `4 * dim`.
        attention: `joint`: every token attends to all tokens; each patch at each time has its own position embedding (ViViT's
            model 1). `divided`: each block attends to the same patch at all times, then to the patches of the same time
            (TimeSformer). `factorised`: one transformer reads each time separately, a second one reads the class tokens of all
            times (ViViT's model 2).
        temporal_depth: Number of blocks of the second transformer of `factorised`; by default 4.
        tokens: Which tokens the stream has. `class`, the class token; `frames`, one token per time, which is the mean of its
            patches, or the second transformer's output with `factorised`; `all`, the class token and then every token of the
            last block, which with `factorised` is one per time.
        weights: KerasHub preset of an image transformer to load pretrained weights from, such as
            `vit_base_patch16_224_imagenet`: a name, `hf://...` or a folder. The preset's architecture replaces `patch`, `dim`,
            `depth`, `heads` and `mlp`. Pixels are scaled by the preset's image converter, else to -1 to 1. The patch kernel is
            copied to the middle frame of a tubelet and zero elsewhere; position embeddings are repeated over time; temporal
            attention starts as a copy of spatial attention. None starts from random weights.
        dropout: Dropout rate of every block.
        depth_drop: Stochastic depth: the rate at which a branch of the last block is skipped in training. Rates of earlier
            blocks are in proportion to their depth. A branch is skipped per example; in the first transformer of `factorised`,
            per time of an example.
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
        weights: Preset | None = None,
        dropout: Rate = 0.0,
        depth_drop: Rate = 0.0,
        backbone_config: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        shape = features["shape"]
        if not is_clip(features):
            raise StreamError(
                f"video_transformer takes frames and their mask, received features {shape}. Read them by `frames`."
            )
        self.tubelet, self.tokens = tubelet, tokens
        time, *frame = shape
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
        tubelets_shape = (time // tubelet, *frame[:2], tubelet * frame[2])
        options = _temporal_depth(attention, temporal_depth)
        vit = vit | {"dropout_rate": dropout}
        self.transformer = TRANSFORMERS[attention](tubelets_shape, vit, depth_drop, **options, dtype=self.dtype_policy)
        if image is not None:
            copy_weights(image, self.transformer)

    def build(self, shape: Any) -> None:
        self.built = True  # the transformer is built when it is made

    def call(self, pixels: Any, padding_mask: Any = None, training: bool = False) -> Stream:
        # Levels of grey would be lost if pixels were cast to half precision before they are scaled.
        factor, offset = (ops.convert_to_tensor(value, "float32") for value in self.scale)
        frames = ops.cast(ops.cast(pixels, "float32") * factor + offset, self.compute_dtype)
        if padding_mask is not None:
            frames = ops.where(padding_mask[..., None, None, None], frames, ops.zeros_like(frames[:1, :1, :1, :1, :1]))
            padding_mask = ops.any(ops.reshape(padding_mask, (-1, padding_mask.shape[1] // self.tubelet, self.tubelet)), axis=2)
        return self._stream(self.transformer(self._tubelets(frames), padding_mask, training=training), padding_mask)

    def _tubelets(self, frames: Any) -> Any:
        """Stacks the frames of each tubelet as channels, `(batch, times, height, width, tubelet * 3)`."""
        if self.tubelet == 1:
            return frames
        time, height, width, channels = frames.shape[1:]
        frames = ops.reshape(frames, (-1, time // self.tubelet, self.tubelet, height, width, channels))
        frames = ops.transpose(frames, (0, 1, 3, 4, 2, 5))
        return ops.reshape(frames, (-1, time // self.tubelet, height, width, self.tubelet * channels))

    def _stream(self, clip: ClipTokens, padding_mask: Any) -> Stream:
        times, patches, dim = clip.grid.shape[1:]
        if self.tokens == "frames":
            return make_stream(ops.mean(clip.grid, axis=2), padding_mask)
        class_mask = None if padding_mask is None else ops.any(padding_mask, axis=1, keepdims=True)
        if self.tokens == "class":
            return make_stream(clip.class_token, class_mask)
        tokens = ops.concatenate([clip.class_token, ops.reshape(clip.grid, (-1, times * patches, dim))], axis=1)
        if padding_mask is None:
            return make_stream(tokens)
        return make_stream(tokens, ops.concatenate([class_mask, ops.repeat(padding_mask, patches, axis=1)], axis=1))


def _temporal_depth(attention: str, given: int | None) -> dict[str, int]:
    if attention == "factorised":
        return {"temporal_depth": 4 if given is None else given}
    if given is not None:
        raise StreamError(f"temporal_depth is for attention: factorised, received it with {attention}. Leave it out.")
    return {}


def _check(time: int, frame: list[int], tubelet: int, vit: Mapping[str, Any]) -> None:
    """Checks that patches and tubelets divide the clip, and that the heads divide `dim`."""
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
