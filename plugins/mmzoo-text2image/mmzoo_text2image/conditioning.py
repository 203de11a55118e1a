"""Conditioning augmentation: draws a condition near what the sentence says."""

from typing import Any

import keras
from keras import ops

from mmzoo_text2image.blocks import Activation, Kernel, activate, at_least_float32, initializer


class ConditioningAugmentation(keras.layers.Layer):
    """Sentence -> a normal distribution, and a condition drawn from it.

    A dense layer and the activation give the mean and the logarithm of the variance, half of the numbers each. The condition is
    `mean + exp(log_variance / 2) * epsilon`. With `relu` both are at least 0, so the standard deviation is at least 1; so it is
    in the PyTorch code of StackGAN. Its TensorFlow code has `leaky_relu`, and takes the second half for the logarithm of the
    standard deviation instead. `glu` (StackGAN++, AttnGAN) doubles the dense layer.

    `call(sentence, epsilon)` takes the sentence `(batch, any)` and standard normal numbers `(batch, dim)`; zeros give the mean.
    It returns the condition, the mean and the logarithm of the variance, each `(batch, dim)`.

    Source: Zhang et al. 2017, arXiv 1612.03242, section 3.2.

    Args:
        dim: Numbers of a condition.
        activation: What follows the dense layer.
        mapping: Units of two dense layers with leaky ReLU before it; None for no such layers. As the mapping network of Karras
            et al. 2019, arXiv 1812.04948.
        kernel: The initial weights.
    """

    def __init__(
        self,
        dim: int,
        activation: Activation = "relu",
        *,
        mapping: int | None = None,
        kernel: Kernel = "normal",
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # the variance is in float32
        self.dim, self.activation = dim, activation
        self.mapping = [keras.layers.Dense(mapping, kernel_initializer=initializer("orthogonal")) for _ in range(2) if mapping]
        units = 2 * dim * (2 if activation == "glu" else 1)
        self.dense = keras.layers.Dense(units, kernel_initializer=initializer(kernel))

    def build(self, sentence_shape: Any, *_: Any) -> None:
        for layer in self.mapping:
            layer.build(sentence_shape)
            sentence_shape = (None, layer.units)
        self.dense.build(sentence_shape)

    def call(self, sentence: Any, epsilon: Any) -> tuple[Any, Any, Any]:
        for layer in self.mapping:
            sentence = activate(layer(sentence), "leaky_relu")
        numbers = at_least_float32(activate(self.dense(sentence), self.activation))
        mean, log_variance = numbers[:, : self.dim], numbers[:, self.dim :]
        return mean + ops.exp(log_variance / 2) * epsilon, mean, log_variance
