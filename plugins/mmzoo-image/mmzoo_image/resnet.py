"""ResNet encoder on KerasHub's backbone."""

from functools import partial
from typing import Any, Literal

import keras_hub

from mmzoo import FeatureSpec, PositiveInt, Preset, Rate
from mmzoo_image.augment import Augmentations
from mmzoo_image.backbone import IMAGENET, BackboneConfig, ImageEncoder, load_backbone

CHANNELS = 64
"""Channels of the first stage. KerasHub's backbone accepts no other number."""


class ResNet(ImageEncoder):
    """Encodes a picture with a ResNet; the tokens are its last feature map.

    Pixels `(batch, height, width, 3)`, 0 to 255 -> tokens `(batch, rows * columns, dim)`, row by row, none masked. The
    stem halves the picture's sides twice; each stage divides them by its stride.

    Source: He et al. 2016, arXiv 1512.03385; the backbone is KerasHub's `ResNetBackbone`.

    Args:
        features: The `FeatureSpec` of the pixels.
        backbone_config: The preset's config as stored in a run; None when a model is first built.
        blocks: Residual blocks of each stage; ResNet-50 has `[3, 4, 6, 3]`. The first stage has 64 channels, each further one
            twice as many as the one before it. Bottleneck blocks return four times as many.
        strides: Stride of each stage; by default `[1, 2, 2, 2, ...]`.
        stem: Kernel size of the stem's convolution, in pixels.
        block: `basic` (two convolutions of 3 x 3) or `bottleneck` (ResNet-50 and deeper).
        weights: KerasHub preset to load pretrained weights from, such as `resnet_50_imagenet`: a name, `hf://...` or a folder.
            The preset's architecture replaces the options above, and pixels are scaled by the preset's image converter, else
            by ImageNet's mean and standard deviation. None starts from random weights.
        dropout: Dropout rate of the output tokens.
        augment: Keras augmentation layers, applied in order, in training only. Each is a Keras identifier, or a mapping with
            `type` and the layer's options.
    """

    def __init__(
        self,
        *,
        features: FeatureSpec,
        blocks: list[PositiveInt] = [2, 2, 2, 2],  # noqa: B006  # never mutated; the help shows an option's default
        strides: list[PositiveInt] | None = None,
        stem: PositiveInt = 7,
        block: Literal["basic", "bottleneck"] = "basic",
        weights: Preset | None = None,
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
            self.backbone = self.load_or_restore(weights, backbone_config, load, IMAGENET)
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
