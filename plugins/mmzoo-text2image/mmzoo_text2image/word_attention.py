"""Attention of each place of a feature map to the words of a caption."""

from typing import Any

import keras
from keras import ops

from mmzoo import MASKED_LOGIT
from mmzoo_text2image.blocks import Kernel, at_least_float32, initializer


class WordAttention(keras.layers.Layer):
    """Each place of a feature map attends to the caption's words; its context is their weighted sum.

    The words are projected to the channels of the map, without a bias. The weights of a place are the softmax, over the words
    that are not padding, of the products of its features and the projected words. A caption without words has the weights 0 and
    the context 0.

    `call(features, words, words_mask=None)` takes features `(batch, height, width, channels)`, words `(batch, words, any)` and
    their mask `(batch, words)`, True for a real word, None for all. It returns the context, of the shape of the features, and
    the attention `(batch, height * width, words)`, row by row.

    Source: Xu et al. 2018, arXiv 1711.10485, section 3.1. Each caption has its own mask; the authors' code mixes them up within
    a batch.

    Args:
        channels: Channels of the features.
        kernel: The initial weights.
    """

    def __init__(self, channels: int, *, kernel: Kernel = "orthogonal", **kwargs: Any):
        super().__init__(**kwargs)
        self.project = keras.layers.Dense(channels, use_bias=False, kernel_initializer=initializer(kernel))

    def call(self, features: Any, words: Any, words_mask: Any = None) -> tuple[Any, Any]:
        shape = ops.shape(features)
        if words_mask is not None:  # a product with the mask would keep NaN
            words = ops.where(words_mask[..., None], words, ops.zeros_like(words))
        projected = self.project(words)  # (batch, words, channels)
        places = ops.reshape(features, (-1, shape[1] * shape[2], shape[3]))
        logits = at_least_float32(ops.matmul(places, ops.swapaxes(projected, 1, 2)))  # (batch, places, words)
        attention = _softmax(logits, words_mask)
        context = ops.matmul(ops.cast(attention, projected.dtype), projected)
        return ops.reshape(context, (-1, *shape[1:])), attention


def _softmax(logits: Any, words_mask: Any) -> Any:
    if words_mask is None:
        return _over_words(logits)
    mask = words_mask[:, None]
    attention = _over_words(ops.where(mask, logits, ops.full_like(logits, MASKED_LOGIT)))
    return ops.where(mask, attention, ops.zeros_like(attention))  # of a caption without words


def _over_words(logits: Any) -> Any:
    # Keras' softmax warns about a single word.
    weights = ops.exp(logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True)))
    return weights / ops.sum(weights, axis=-1, keepdims=True)
