"""ViT encoder on KerasHub's backbones: the vision transformer and CLIP's variant of it."""

from functools import partial
from typing import Any, Literal

import keras_hub
from keras import ops

from mmzoo import FeatureSpec, PositiveInt, Preset, Rate, StreamError, plain_products
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, BackboneConfig, ImageEncoder, check_divides, load_backbone, standard_scale

CLIP = standard_scale((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class ViT(ImageEncoder):
    """Encodes a picture with a vision transformer (ViT, or CLIP's variant).

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, 1, dim)`, the class token, or one token per patch, row by
    row. No token is masked. Both sides of a picture must be multiples of `patch`.

    Source: Dosovitskiy et al. 2021, arXiv 2010.11929, on KerasHub's `ViTBackbone` (GELU is exact here, a tanh approximation in
    the paper's code); Radford et al. 2021, arXiv 2103.00020, without the projection, on KerasHub's `CLIPVisionEncoder`.

    Args:
        features: The `FeatureSpec` of the pixels.
        backbone_config: The preset's config as stored in a run; None when a model is first built.
        patch: Patch size in pixels.
        dim: Size of a token; a multiple of `heads`.
        depth: Number of transformer blocks.
        heads: Number of attention heads.
        mlp: Hidden size of each block's MLP; by default `4 * dim`.
        flavour: `vit`, or `clip`, which has a layer normalisation before the blocks too, QuickGELU, a patch embedding without
            bias, and reads square pictures only.
        tokens: Which tokens the stream has: `class`, the class token, by which both papers pool; `patches`, one per patch, for
            average pooling; `all`, the class token and then the patches.
        weights: KerasHub preset to load pretrained weights from, such as `vit_base_patch16_224_imagenet`, or
            `clip_vit_base_patch32` with the flavour `clip`: a name, `hf://...` or a folder. The preset's architecture replaces
            `patch`, `dim`, `depth`, `heads` and `mlp`. Pixels are scaled by the preset's image converter, else as the flavour
            scales them. None starts from random weights.
        dropout: Dropout rate of every block; must be 0 with the flavour `clip`.
        augment: Keras augmentation layers, applied in order, in training only. Each is a Keras identifier, or a mapping with
            `type` and the layer's options.
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
        weights: Preset | None = None,
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006  # never mutated; the help shows an option's default
        backbone_config: BackboneConfig | None = None,
        **kwargs: Any,
    ):
        super().__init__(0.0, augment, **kwargs)
        self.tokens = tokens
        _check_flavour(flavour, features["shape"], dropout)
        default = CLIP if flavour == "clip" else SIGNED
        if weights is not None:
            load = partial(_load, weights, features, flavour, dropout)
            self.backbone = self.load_or_restore(weights, backbone_config, load, default)
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

    def to_tokens(self, output: Any) -> Any:
        height, width = self.backbone.image_shape[:2]
        patch = self.backbone.patch_size
        down, across = (patch, patch) if isinstance(patch, int) else patch
        patches = (height // down) * (width // across)
        return {"class": output[:, :1], "patches": output[:, -patches:], "all": output}[self.tokens]


def _check_flavour(flavour: str, shape: list[int], dropout: float) -> None:
    if flavour == "clip" and dropout:
        raise StreamError(f"the flavour 'clip' has no dropout, received {dropout}. Leave it out, or take the flavour 'vit'.")
    if flavour == "clip" and shape[0] != shape[1]:
        raise StreamError(f"the flavour 'clip' reads square pictures, received {shape[0]} x {shape[1]} pixels.")


def _vit(common: dict[str, Any], tokens: str, dropout: float) -> Any:
    return keras_hub.models.ViTBackbone(**common, dropout_rate=dropout, use_class_token=tokens != "patches")


def _clip(common: dict[str, Any]) -> Any:
    backbone = keras_hub.models.CLIPVisionEncoder(**common)
    # KerasHub fills in the position ids only when a preset is loaded; without one they are all 0.
    positions = backbone.embedding.position_ids
    positions.assign(ops.arange(positions.shape[1], dtype=positions.dtype)[None])
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
