"""EfficientNet encoder on KerasHub's backbone, cut before its last convolution."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import keras
import keras_hub

from mmzoo import FeatureSpec, PositiveFloat, PositiveInt, Rate, StreamError
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import SIGNED, BackboneConfig, PictureEncoder, load_backbone

B0 = {
    "filters": (16, 24, 40, 80, 112, 192, 320),
    "strides": (1, 2, 2, 2, 1, 2, 1),
    "kernels": (3, 3, 5, 3, 5, 5, 3),
    "expansions": (1, 6, 6, 6, 6, 6, 6),
}
"""The stages of B0, Tan and Le 2019, table 1."""


class EfficientNet(PictureEncoder):
    """Reads a picture with an EfficientNet and gives its last map as tokens.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, rows * columns, dim)`, row by row, all real. Their mean is
    the global average pool. The 1 x 1 convolution after the last stage is left out, as ALIGN does: B3 gives 384 numbers a
    token, B7 640. The stem halves the picture; each stage divides it by its stride.

    Source: Tan and Le 2019, arXiv 1905.11946; Jia et al. 2021, arXiv 2102.05918 (ALIGN); the backbone is KerasHub's
    `EfficientNetBackbone`.

    Args:
        features: What is known of the pixels.
        backbone_config: What a run has kept of the preset.
        width: Multiplies the filters of each stage, rounded to multiples of 8; B3 has 1.2, B7 2.0.
        depth: Multiplies the blocks of each stage, rounded up; B3 has 1.4, B7 3.1.
        blocks: Blocks of each stage before `depth`; B0's if not given. Fewer stages make a smaller network.
        filters: Filters that each stage gives, before `width`; B0's first ones if not given.
        strides: Stride of each stage; B0's first ones if not given.
        kernels: Side of the depthwise kernel of each stage; B0's first ones if not given.
        expansions: By how much each stage's blocks widen their input inside; B0's first ones if not given.
        stem: Filters of the stem, before `width`.
        drop_path: Share of examples for which the last block is skipped in training; earlier blocks less often, in proportion.
        weights: KerasHub preset whose weights to start from, such as `efficientnet_b3_ra2_imagenet`; a name, `hf://...` or a
            folder. Its shape replaces the options above, and its scale of pixels, -1 to 1 otherwise. None starts from random
            weights.
        dropout: Share of the output's numbers that is zeroed in training.
        augment: Keras augmentation layers that change the pixels in training, in order: the Keras identifier of each, or a
            mapping of its `type` and its options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        width: PositiveFloat = 1.0,
        depth: PositiveFloat = 1.0,
        blocks: list[PositiveInt] = [1, 2, 2, 3, 3, 4, 1],  # noqa: B006  # never changed; an option's default shows in the help
        filters: list[PositiveInt] | None = None,
        strides: list[PositiveInt] | None = None,
        kernels: list[PositiveInt] | None = None,
        expansions: list[PositiveInt] | None = None,
        stem: PositiveInt = 32,
        drop_path: Rate = 0.2,
        weights: str | None = None,
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
            whole = self.start_from(weights, backbone_config, load, SIGNED)
        else:
            self.scale = SIGNED
            filters, strides, kernels, expansions = _stages(
                blocks, filters=filters, strides=strides, kernels=kernels, expansions=expansions
            )
            whole = keras_hub.models.EfficientNetBackbone(
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
                **_published(len(blocks)),
            )
        # The cut; what follows has weights that nothing would use.
        self.backbone = keras.Model(whole.input, whole.get_layer("top_conv").input)


def _stages(blocks: Sequence[int], **given: Sequence[int] | None) -> Iterator[list[int]]:
    """Completes the options that have one value for each stage."""
    for option, values in given.items():
        first_values = list(B0[option][: len(blocks)] if values is None else values)
        if len(first_values) != len(blocks):
            what = f"blocks has {len(blocks)} stages and {option} {len(first_values)}"
            raise StreamError(f"{what}. Give {option} one value for each stage.")
        yield first_values


def _published(stages: int) -> dict[str, Any]:
    """Gives what every EfficientNet of the paper has, and KerasHub's backbone leaves open."""
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
