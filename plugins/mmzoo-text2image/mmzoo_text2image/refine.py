"""What lies between two scales of StackGAN++ and AttnGAN."""

from typing import Any

import keras
from keras import ops

from mmzoo_text2image.blocks import ConvBlock, Kernel, Norm, Residual, run_all, tile_over
from mmzoo_text2image.word_attention import WordAttention


class Refine(keras.layers.Layer):
    """Features of one scale -> features of the next, of twice the size.

    Without words (StackGAN++), a convolution joins the condition to the features; with words (AttnGAN), the context of the
    words is put beside them, which doubles the channels. Residual blocks and an upsampling block follow.

    `call(features, condition, words=None, words_mask=None, training=False)` takes features `(batch, height, width, channels)`,
    the condition `(batch, any)`, and words and mask as in `WordAttention`. It returns the new features, and the attention or
    None.

    Args:
        channels: Channels of the features.
        then: Channels of the new features.
        residuals: Number of residual blocks.
        words: Whether the features attend to words.
        norm: The normalisation.
        kernel: The initial weights.
    """

    def __init__(
        self,
        channels: int,
        then: int,
        residuals: int,
        words: bool,
        *,
        norm: Norm = "batch",
        kernel: Kernel = "orthogonal",
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # the blocks cast what they read
        made: dict[str, Any] = {"norm": norm, "activation": "glu", "kernel": kernel}
        self.attend = WordAttention(channels, kernel=kernel) if words else None
        joint = [] if words else [ConvBlock(channels, **made)]
        inner = 2 * channels if words else channels
        self.blocks = [*joint, *(Residual(inner, **made) for _ in range(residuals)), ConvBlock(then, kind="up", **made)]

    def call(
        self, features: Any, condition: Any, words: Any = None, words_mask: Any = None, training: bool = False
    ) -> tuple[Any, Any]:
        if self.attend is None:
            return run_all(self.blocks, tile_over(condition, features), training), None
        context, attention = self.attend(features, words, words_mask=words_mask)
        return run_all(self.blocks, ops.concatenate([features, context], axis=-1), training), attention
