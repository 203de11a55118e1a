"""EfficientNet encoder on KerasHub's backbone, without its last 1 x 1 convolution."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras
import keras_hub

from mmzoo import FeatureSpec, PositiveFloat, PositiveInt, Preset, Rate, StreamError
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, BackboneConfig, ImageEncoder, load_backbone

B0 = {
    "filters": (16, 24, 40, 80, 112, 192, 320),
    "strides": (1, 2, 2, 2, 1, 2, 1),
    "kernels": (3, 3, 5, 3, 5, 5, 3),
    "expansions": (1, 6, 6, 6, 6, 6, 6),
}
"""The stages of B0 (Tan and Le 2019, table 1)."""


class EfficientNet(ImageEncoder):
    """Encodes a picture with an EfficientNet; the tokens are its last feature map.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, rows * columns, dim)`, row by row, none masked. Their mean
    is global average pooling. The 1 x 1 convolution after the last stage is left out, as in ALIGN: `dim` is 384 for B3 and
    640 for B7. The stem halves the picture's sides; each stage divides them by its stride.

    Source: Tan and Le 2019, arXiv 1905.11946; Jia et al. 2021, arXiv 2102.05918 (ALIGN); the backbone is KerasHub's
    `EfficientNetBackbone`.

    Args:
        features: The `FeatureSpec` of the pixels.
        backbone_config: The preset's config as stored in a run; None when a model is first built.
        width: Width coefficient: multiplies the filters of each stage, rounded to multiples of 8. B3 has 1.2, B7 2.0.
        depth: Depth coefficient: multiplies the blocks of each stage, rounded up. B3 has 1.4, B7 3.1.
        blocks: Blocks of each stage, before `depth`. Fewer stages make a smaller network.
        filters: Output filters of each stage, before `width`. By default those of B0's first stages.
        strides: Stride of each stage. By default those of B0's first stages.
        kernels: Side of each stage's depthwise kernel. By default those of B0's first stages.
        expansions: Expansion ratio of each stage's blocks. By default those of B0's first stages.
        stem: Filters of the stem, before `width`.
        drop_path: Stochastic depth: the rate at which the last block is skipped in training. Earlier blocks have smaller
            rates, in proportion to their depth.
        weights: KerasHub preset to load pretrained weights from, such as `efficientnet_b3_ra2_imagenet`: a name, `hf://...`
            or a folder. The preset's architecture replaces the options above, and pixels are scaled by the preset's image
            converter, else to -1 to 1. None starts from random weights.
        dropout: Dropout rate of the output tokens.
        augment: Keras augmentation layers, applied in order, in training only. Each is a Keras identifier, or a mapping with
            `type` and the layer's options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        width: PositiveFloat = 1.0,
        depth: PositiveFloat = 1.0,
        blocks: list[PositiveInt] = [1, 2, 2, 3, 3, 4, 1],  # noqa: B006  # never mutated; the help shows an option's default
        filters: list[PositiveInt] | None = None,
        strides: list[PositiveInt] | None = None,
        kernels: list[PositiveInt] | None = None,
        expansions: list[PositiveInt] | None = None,
        stem: PositiveInt = 32,
        drop_path: Rate = 0.2,
        weights: Preset | None = None,
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006
        backbone_config: BackboneConfig | None = None,
        **kwargs: Any,
    ):
        super().__init__(dropout, augment, **kwargs)
        shape = tuple(features["shape"])
        if weights is not None:
            kind = keras_hub.models.EfficientNetBackbone
            load = partial(load_backbone, weights, kind, input_shape=shape)
            full = self.load_or_restore(weights, backbone_config, load, SIGNED)
        else:
            self.scale = SIGNED
            filters, strides, kernels, expansions = _stages(
                blocks, filters=filters, strides=strides, kernels=kernels, expansions=expansions
            )
            full = keras_hub.models.EfficientNetBackbone(
                stackwise_num_repeats=blocks,
                stackwise_input_filters=[stem, *filters[:-1]],
                stackwise_output_filters=filters,
                stackwise_strides=strides,
                stackwise_kernel_sizes=kernels,
                stackwise_expansion_ratios=expansions,
                width_coefficient=width,
                depth_coefficient=depth,
                dropout=drop_path,
                input_shape=shape,
                **_paper_options(len(blocks)),
            )
        # Cut here: the weights after this layer would be unused.
        self.backbone = keras.Model(full.input, full.get_layer("top_conv").input)


def _stages(blocks: Sequence[int], **given: Sequence[int] | None) -> Iterator[list[int]]:
    """Fills in the options that have one value for each stage, and checks their lengths."""
    for option, values in given.items():
        per_stage = list(B0[option][: len(blocks)] if values is None else values)
        if len(per_stage) != len(blocks):
            what = f"blocks has {len(blocks)} stages and {option} {len(per_stage)}"
            raise StreamError(f"{what}. Give {option} one value for each stage.")
        yield per_stage


def _paper_options(stages: int) -> dict[str, Any]:
    """Returns the options of KerasHub's backbone that are the same for every EfficientNet of the paper."""
    return {
        "stackwise_squeeze_and_excite_ratios": [0.25] * stages,
        "stackwise_block_types": ["v1"] * stages,
        "stackwise_force_input_filters": [0] * stages,
        "stackwise_nores_option": [False] * stages,
        "use_depth_divisor_as_min_depth": True,
        "cap_round_filter_decrease": True,
        "batch_norm_momentum": 0.99,
        "batch_norm_epsilon": 1e-3,
    }
