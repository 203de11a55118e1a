"""Generators of StackGAN, StackGAN++ and AttnGAN: sentence and noise -> pictures."""

from itertools import pairwise
from typing import Any

import keras
from keras import ops

from mmzoo import StreamError
from mmzoo_text2image.blocks import (
    LEAST,
    SMALLEST,
    Activation,
    ConvBlock,
    Kernel,
    Norm,
    Residual,
    Seed,
    ToPicture,
    doublings,
    run_all,
    tile_over,
)
from mmzoo_text2image.conditioning import ConditioningAugmentation
from mmzoo_text2image.refine import Refine


class Generator(keras.layers.Layer):
    """Base class of the generators: splits the noise, and draws the condition.

    Args:
        noise: Numbers of noise, besides those of the condition.
        augmentation: The conditioning augmentation.
    """

    def __init__(self, noise: int, augmentation: ConditioningAugmentation, **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # the blocks cast what they read; mean and variance stay in float32
        self.noise, self.augmentation = noise, augmentation

    @property
    def noise_size(self) -> int:
        """Size of the noise that a call takes: `noise`, then the epsilon of the conditioning augmentation."""
        return self.noise + self.augmentation.dim

    def condition(self, sentence: Any, noise: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Returns the noise without its epsilon, the condition, and the outputs `mean` and `log_variance`.

        Args:
            sentence: `(batch, dim)`.
            noise: `(batch, noise_size)`.

        Raises:
            StreamError: The noise has another size.
        """
        if noise.shape[-1] != self.noise_size:
            raise StreamError(
                f"a generator received {noise.shape[-1]} numbers of noise; expected its noise_size, {self.noise_size}."
            )
        condition, mean, log_variance = self.augmentation(sentence, noise[:, self.noise :])
        return noise[:, : self.noise], condition, {"mean": mean, "log_variance": log_variance}


class Stage1(Generator):
    """Stage I of StackGAN: a small picture of the whole sentence.

    `call(sentence, noise, words=None, words_mask=None, training=False)` takes the sentence `(batch, any)` and standard normal
    noise `(batch, noise_size)`; it does not look at the words. It returns `pictures`, a list of one picture `(batch, size,
    size, 3)`, -1 to 1, and `mean` and `log_variance` `(batch, condition)`.

    A dense layer gives `8 * width` channels at 4 x 4. Each upsampling block halves the channels, down to 8. With 64 pixels,
    width 192 (COCO) and a sentence of 1,024 numbers there are 20,020,832 weights; width 128 has 10,301,248.

    Source: Zhang et al. 2017, arXiv 1612.03242, section 3.3; the authors' PyTorch code.

    Args:
        size: Height and width of the picture, a power of two from 8 on.
        width: Channels per factor: `8 * width` at 4 x 4.
        noise: Numbers of noise.
        condition: Numbers of the condition.
        activation: What gives the condition's mean and variance; see `ConditioningAugmentation`.
        mapping: Units of the layers before it.
        norm: The normalisation.
    """

    def __init__(
        self,
        size: int = 64,
        width: int = 192,
        noise: int = 100,
        condition: int = 128,
        *,
        activation: Activation = "relu",
        mapping: int | None = None,
        norm: Norm = "batch",
        **kwargs: Any,
    ):
        super().__init__(noise, ConditioningAugmentation(condition, activation, mapping=mapping), **kwargs)
        channels = [max(LEAST, 8 * width >> block) for block in range(doublings(size, 8, "the generator 'Stage1' makes") + 1)]
        self.seed = Seed(channels[0], norm=norm)
        self.up_blocks = [ConvBlock(more, kind="up", norm=norm) for more in channels[1:]]
        self.to_picture = ToPicture()

    def call(
        self, sentence: Any, noise: Any, words: Any = None, words_mask: Any = None, training: bool = False
    ) -> dict[str, Any]:
        noise, condition, outputs = self.condition(sentence, noise)
        features = self.seed(ops.concatenate([noise, condition], axis=-1), training=training)
        return {"pictures": [self.to_picture(run_all(self.up_blocks, features, training))], **outputs}


class Stage2(Generator):
    """Stage II of StackGAN: reads the picture of stage I and the sentence again, and draws the picture anew, larger.

    `call(sentence, noise, picture, training=False)` takes the sentence `(batch, any)`, standard normal noise `(batch,
    noise_size)` (the epsilon of its own conditioning augmentation; there is no other noise), and the picture of stage I
    `(batch, stage1_size, stage1_size, 3)`, -1 to 1, which gets no gradient. It returns the same as `Stage1`.

    The picture is encoded to a quarter of its size with `4 * width` channels; then follow the condition, residual blocks and
    upsampling blocks that halve the channels, down to 8. With a sentence of 1,024 numbers, width 192 and 2 residual blocks
    (COCO) there are 37,130,480 weights; width 128 and 4 blocks have 26,290,080.

    Source: Zhang et al. 2017, arXiv 1612.03242, section 3.4; the authors' PyTorch code.

    Args:
        stage1_size: Height and width of the picture of stage I, a power of two from 16 on.
        size: Height and width of the new picture, a power of two, more than a quarter of `stage1_size`.
        width: Channels of the encoder's first convolution.
        residuals: Number of residual blocks.
        condition: Numbers of the condition.
        activation: What gives the condition's mean and variance; see `ConditioningAugmentation`.
        mapping: Units of the layers before it.
        norm: The normalisation.
    """

    def __init__(
        self,
        stage1_size: int = 64,
        size: int = 256,
        width: int = 192,
        residuals: int = 2,
        condition: int = 128,
        *,
        activation: Activation = "relu",
        mapping: int | None = None,
        norm: Norm = "batch",
        **kwargs: Any,
    ):
        super().__init__(0, ConditioningAugmentation(condition, activation, mapping=mapping), **kwargs)
        encoded = doublings(stage1_size, 4 * SMALLEST, "the generator 'Stage2' reads") - 2
        ups = doublings(size, stage1_size // 2, "the generator 'Stage2' makes") - encoded
        self.encoder = [
            ConvBlock(width, norm="none", bias=False),
            ConvBlock(2 * width, kind="down", norm=norm),
            ConvBlock(4 * width, kind="down", norm=norm),
        ]
        self.joint = ConvBlock(4 * width, norm=norm)
        self.residuals = [Residual(4 * width, norm=norm) for _ in range(residuals)]
        self.up_blocks = [ConvBlock(max(LEAST, 2 * width >> block), kind="up", norm=norm) for block in range(ups)]
        self.to_picture = ToPicture()

    def call(self, sentence: Any, noise: Any, picture: Any, training: bool = False) -> dict[str, Any]:
        _, condition, outputs = self.condition(sentence, noise)
        features = tile_over(condition, run_all(self.encoder, ops.stop_gradient(picture), training))
        features = run_all([self.joint, *self.residuals, *self.up_blocks], features, training)
        return {"pictures": [self.to_picture(features)], **outputs}


class Tree(Generator):
    """Generator of StackGAN++ and, with `words`, of AttnGAN: one network that makes a picture at each of several scales.

    `call(sentence, noise, words=None, words_mask=None, training=False)` takes the sentence `(batch, any)`, standard normal
    noise `(batch, noise_size)`, and with `words` the words `(batch, words, any)` and their mask `(batch, words)`, True for a
    real word. It returns `pictures`, one per scale `(batch, scale, scale, 3)`, -1 to 1, smallest first; `mean` and
    `log_variance` `(batch, condition)`; and with `words` `attention`, one map `(batch, height * width, words)` per scale but
    the first, of the features of the scale before it.

    The trunk has `width` channels at the first scale, and twice as many at each half of it. Between two scales, StackGAN++
    joins the condition and halves the channels, down to 8; AttnGAN joins the context of the words and keeps the channels.
    Counts: StackGAN++ 21,239,696 (width 64, sentence 1,024); AttnGAN 7,084,592 (CUB: width 32, condition 100, sentence and
    words 256) and 13,811,456 (COCO: width 48, 3 residual blocks).

    Source: Zhang et al. 2018, arXiv 1710.10916, section 4; Xu et al. 2018, arXiv 1711.10485, section 3.1; the authors' code.

    Args:
        scales: Sizes of the pictures. The first is a power of two from 8 on, and each next one twice the one before it.
        width: Channels at the first scale, at least 8.
        noise: Numbers of noise.
        condition: Numbers of the condition.
        residuals: Number of residual blocks between two scales.
        words: Whether the features attend to the words between two scales.
        mapping: Units of the layers before the conditioning augmentation.
        norm: The normalisation.
        kernel: The initial weights.
    """

    def __init__(
        self,
        scales: list[int] | tuple[int, ...] = (64, 128, 256),
        width: int = 64,
        noise: int = 100,
        condition: int = 128,
        residuals: int = 2,
        words: bool = False,
        *,
        mapping: int | None = None,
        norm: Norm = "batch",
        kernel: Kernel = "orthogonal",
        **kwargs: Any,
    ):
        super().__init__(noise, ConditioningAugmentation(condition, "glu", mapping=mapping, kernel=kernel), **kwargs)
        blocks, width = _trunk_blocks(scales), max(LEAST, width)
        made: dict[str, Any] = {"norm": norm, "kernel": kernel}
        channels = [width if words else max(LEAST, width >> step) for step in range(len(scales))]
        self.words = words
        self.seed = Seed(width << blocks, activation="glu", **made)
        trunk = [width << block for block in reversed(range(blocks))]
        self.trunk = [ConvBlock(more, kind="up", activation="glu", **made) for more in trunk]
        self.refinements = [Refine(now, then, residuals, words, **made) for now, then in pairwise(channels)]
        self.to_pictures = [ToPicture(kernel=kernel) for _ in scales]

    def call(
        self, sentence: Any, noise: Any, words: Any = None, words_mask: Any = None, training: bool = False
    ) -> dict[str, Any]:
        if self.words and words is None:
            raise StreamError("the generator 'Tree' attends to words, received none. Give it the caption's words.")
        noise, condition, outputs = self.condition(sentence, noise)
        features = self.seed(ops.concatenate([noise, condition], axis=-1), training=training)
        maps, attention = [run_all(self.trunk, features, training)], []
        for refine in self.refinements:
            # By name: Keras gives a `words_mask` that is None by name too.
            given = {"words": words, "words_mask": words_mask} if self.words else {}
            features, weights = refine(maps[-1], condition, **given, training=training)
            maps.append(features)
            attention.append(weights)
        pictures = [to_picture(features) for to_picture, features in zip(self.to_pictures, maps, strict=True)]
        return {"pictures": pictures, **outputs, **({"attention": attention} if self.words else {})}


def _trunk_blocks(scales: list[int] | tuple[int, ...]) -> int:
    """Returns the number of upsampling blocks before the first picture."""
    if not scales or any(then != 2 * now for now, then in pairwise(scales)):
        raise StreamError(
            f"the generator 'Tree' received the scales {list(scales)}; expected each twice the one before it, such as [16, 32]."
        )
    return doublings(scales[0], 8, "the generator 'Tree' makes")
