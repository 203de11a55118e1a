"""ViT encoder on KerasHub's backbones: the vision transformer, and CLIP's form of it."""

from functools import partial
from typing import Any, Literal

import keras_hub
from keras import ops

from mmzoo import FeatureSpec, PositiveInt, Rate, StreamError, plain_products
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, BackboneConfig, PictureEncoder, check_divides, load_backbone, standard_scale

CLIP = standard_scale((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class ViT(PictureEncoder):
    """Reads a picture with a vision transformer.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, 1, dim)`, the class token, or one for each patch, row by
    row; all real. Both sides of a picture are multiples of `patch`.

    Source: Dosovitskiy et al. 2021, arXiv 2010.11929 (its MLP's GELU is exact here, a tanh approximation there), by KerasHub's
    `ViTBackbone`; Radford et al. 2021, arXiv 2103.00020, without the projection, by KerasHub's `CLIPVisionEncoder`.

    Args:
        features: What is known of the pixels.
        backbone_config: What a run has kept of the preset.
        patch: Side of a patch in pixels.
        dim: Numbers of a token; a multiple of `heads`.
        depth: Transformer blocks.
        heads: Attention heads of each block.
        mlp: Hidden numbers of each block's MLP; four times `dim` if not given.
        flavour: `vit`, or `clip`: normalised before the blocks as well, QuickGELU, patches without bias, and square pictures.
        tokens: What the stream holds: `class`, the class token alone, as both papers pool; `patches`, whose mean is the other
            way to pool; `all`, the class token first.
        weights: KerasHub preset whose weights to start from, such as `vit_base_patch16_224_imagenet`, or
            `clip_vit_base_patch32` with the flavour `clip`; a name, `hf://...` or a folder. Its shape replaces the options
            above but the last two, and its scale of pixels the flavour's. None starts from random weights.
        dropout: Share of numbers that is zeroed in training, in every block; 0 with the flavour `clip`.
        augment: Keras augmentation layers that change the pixels in training, in order: the Keras identifier of each, or a
            mapping of its `type` and its options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        patch: PositiveInt = 16,
        dim: PositiveInt = 192,
        depth: PositiveInt = 12,
        heads: PositiveInt = 3,
        mlp: PositiveInt | None = None,
        flavour: Literal["vit", "clip"] = "vit",
        tokens: Literal["class", "patches", "all"] = "class",
        weights: str | None = None,
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006  # never changed; an option's default shows in the help
        backbone_config: BackboneConfig | None = None,
        **kwargs: Any,
    ):
        super().__init__(0.0, augment, **kwargs)
        self.holds = tokens
        _check_flavour(flavour, features["shape"], dropout)
        default = CLIP if flavour == "clip" else SIGNED
        if weights is not None:
            load = partial(_load, weights, features, flavour, dropout)
            self.backbone = self.start_from(weights, backbone_config, load, default)
            plain_products(self.backbone)
            return
        self.scale = default
        check_divides(features, patch)
        if dim % heads:
            raise StreamError(f"the dim {dim} cannot be divided among {heads} heads. Choose a multiple of {heads}.")
        common = {"image_shape": tuple(features["shape"]), "patch_size": patch, "hidden_dim": dim, "num_layers": depth}
        common |= {"num_heads": heads, "intermediate_dim" if flavour == "clip" else "mlp_dim": mlp or 4 * dim}
        self.backbone = _clip(common) if flavour == "clip" else _vit(common, tokens, dropout)
        plain_products(self.backbone)

    def tokens(self, seen: Any) -> Any:
        height, width = self.backbone.image_shape[:2]
        patch = self.backbone.patch_size
        down, across = (patch, patch) if isinstance(patch, int) else patch
        patches = (height // down) * (width // across)
        return {"class": seen[:, :1], "patches": seen[:, -patches:], "all": seen}[self.holds]


def _check_flavour(flavour: str, shape: list[int], dropout: float) -> None:
    if flavour == "clip" and dropout:
        raise StreamError(f"the flavour 'clip' has no dropout, received {dropout}. Leave it out, or take the flavour 'vit'.")
    if flavour == "clip" and shape[0] != shape[1]:
        raise StreamError(f"the flavour 'clip' reads square pictures, received {shape[0]} x {shape[1]} pixels.")


def _vit(common: dict[str, Any], tokens: str, dropout: float) -> Any:
    return keras_hub.models.ViTBackbone(**common, dropout_rate=dropout, use_class_token=tokens != "patches")


def _clip(common: dict[str, Any]) -> Any:
    backbone = keras_hub.models.CLIPVisionEncoder(**common)
    # KerasHub leaves the places of the tokens, which come with a preset, all at 0.
    places = backbone.embedding.position_ids
    places.assign(ops.arange(places.shape[1], dtype=places.dtype)[None])
    return backbone


def _load(weights: str, features: FeatureSpec, flavour: str, dropout: float) -> Any:
    shape = tuple(features["shape"])
    if flavour == "vit":
        return load_backbone(weights, keras_hub.models.ViTBackbone, image_shape=shape, dropout_rate=dropout)
    whole = load_backbone(weights, keras_hub.models.CLIPBackbone)
    if tuple(whole.vision_encoder.image_shape) != shape:
        size = whole.vision_encoder.image_shape[0]
        raise StreamError(f"the preset '{weights}' reads pictures of {size} x {size} pixels, received {shape[0]} x {shape[1]}.")
    return whole.vision_encoder
