"""ResNet encoder on KerasHub's backbone."""

from functools import partial
from typing import Any, Literal

import keras_hub

from mmzoo import FeatureSpec, PositiveInt, Rate
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import IMAGENET, BackboneConfig, PictureEncoder, load_backbone

CHANNELS = 64
"""Of the first stage; KerasHub's backbone takes no other number."""


class ResNet(PictureEncoder):
    """Reads a picture with a residual network and gives its last map as tokens.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, rows * columns, dim)`, row by row, all real. The stem
    halves the picture twice; each stage halves it again by its stride.

    Source: He et al. 2016, arXiv 1512.03385; the backbone is KerasHub's `ResNetBackbone`.

    Args:
        features: What is known of the pixels.
        backbone_config: What a run has kept of the preset.
        blocks: Residual blocks in each stage; `[3, 4, 6, 3]` is ResNet-50's. The first stage has 64 channels, each other twice
            as many as the one before it; a bottleneck's output has four times as many.
        strides: Stride of each stage; `[1, 2, 2, 2, ...]` if not given.
        stem: Side of the stem's convolution kernel in pixels.
        block: `basic` (two convolutions of 3 x 3) or `bottleneck` (ResNet-50 and deeper).
        weights: KerasHub preset whose weights to start from, such as `resnet_50_imagenet`; a name, `hf://...` or a folder. Its
            shape replaces the options above, and its scale of pixels that of ImageNet. None starts from random weights.
        dropout: Share of the output's numbers that is zeroed in training.
        augment: Keras augmentation layers that change the pixels in training, in order: the Keras identifier of each, or a
            mapping of its `type` and its options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        blocks: list[PositiveInt] = [2, 2, 2, 2],  # noqa: B006  # never changed; an option's default shows in the help
        strides: list[PositiveInt] | None = None,
        stem: PositiveInt = 7,
        block: Literal["basic", "bottleneck"] = "basic",
        weights: str | None = None,
        dropout: Rate = 0.0,
        augment: Augmentations = [],  # noqa: B006
        backbone_config: BackboneConfig | None = None,
        **kwargs: Any,
    ):
        super().__init__(dropout, augment, **kwargs)
        shape = tuple(features["shape"])
        if weights is not None:
            kind = keras_hub.models.ResNetBackbone
            load = partial(load_backbone, weights, kind, image_shape=shape)
            self.backbone = self.start_from(weights, backbone_config, load, IMAGENET)
            return
        self.scale = IMAGENET
        self.backbone = keras_hub.models.ResNetBackbone(
            input_conv_filters=[CHANNELS],
            input_conv_kernel_sizes=[stem],
            stackwise_num_filters=[CHANNELS * 2**stage for stage in range(len(blocks))],
            stackwise_num_blocks=blocks,
            stackwise_num_strides=strides or [1] + [2] * (len(blocks) - 1),
            block_type=f"{block}_block",
            image_shape=shape,
        )
