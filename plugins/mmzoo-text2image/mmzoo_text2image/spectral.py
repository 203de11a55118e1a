"""Spectral normalisation: layers whose kernel has the spectral norm 1."""

from typing import Any

import keras
from keras import ops

SMALLEST = 1e-12
"""The lower bound of a length, so that nothing is divided by 0."""


_Layer: Any = object  # Any, so that type checkers accept the methods of Keras' layers on `super()`


class _SavesSingularVector(_Layer):
    """Mixed into Keras' layers, which save their kernel and bias alone."""

    singular_vector: Any

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["singular_vector"] = self.singular_vector

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.singular_vector.assign(store["singular_vector"])


class SpectralConv2D(_SavesSingularVector, keras.layers.Conv2D):
    """Convolution whose kernel is divided by its largest singular value.

    The kernel `(height, width, channels, filters)` counts as a matrix of `filters` columns. Each call takes one step of the
    power iteration and divides by the estimate; the gradient passes through the estimate. The step is stored in training only,
    so that a call in inference changes nothing.

    `keras.layers.SpectralNormalization` overwrites the kernel instead. That loses the gradient of the norm on TensorFlow, and
    the new kernel on JAX, where a call cannot change weights.

    Source: Miyato et al. 2018, arXiv 1802.05957, algorithm 1.
    """

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.singular_vector = _singular_vector(self, self.filters)

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = self.convolution_op(inputs, normalized(self, self.kernel, training))
        outputs = outputs + self.bias if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)


class SpectralDense(_SavesSingularVector, keras.layers.Dense):
    """Dense layer whose kernel `(channels, units)` is divided by its largest singular value, as in `SpectralConv2D`."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.singular_vector = _singular_vector(self, self.units)

    def call(self, inputs: Any, training: bool = False) -> Any:
        outputs = ops.matmul(inputs, normalized(self, self.kernel, training))
        outputs = outputs + self.bias if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)


def _singular_vector(layer: Any, columns: int) -> Any:
    initializer = keras.initializers.RandomNormal()
    return layer.add_weight((1, columns), initializer, trainable=False, autocast=False, name="singular_vector")


def normalized(layer: Any, kernel: Any, training: bool) -> Any:
    """Divides a kernel by its largest singular value, and stores the step of the power iteration in training.

    Args:
        layer: The layer, with its `singular_vector` `(1, columns)`.
        kernel: `(..., columns)`.
        training: Whether to store the step.

    Returns:
        The kernel, of the same shape.
    """
    matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
    norm, vector = spectral_norm(matrix, layer.singular_vector)
    if training and layer.trainable:
        layer.singular_vector.assign(vector)
    return kernel / ops.cast(norm, kernel.dtype)


def spectral_norm(matrix: Any, vector: Any) -> tuple[Any, Any]:
    """Estimates the largest singular value by one step of the power iteration.

    Args:
        matrix: `(rows, columns)`.
        vector: The current estimate of the right singular vector, `(1, columns)`.

    Returns:
        The singular value `()`, at least 1e-12, with a gradient to the matrix; and the next vector `(1, columns)`.
    """
    fixed = ops.stop_gradient(matrix)
    left = _unit(ops.matmul(fixed, ops.transpose(vector)))  # (rows, 1)
    right = _unit(ops.matmul(ops.transpose(left), fixed))  # (1, columns)
    norm = ops.sum(ops.matmul(ops.transpose(left), matrix) * right)
    return ops.maximum(norm, SMALLEST), right


def _unit(vector: Any) -> Any:
    return vector / ops.maximum(ops.sqrt(ops.sum(ops.square(vector))), SMALLEST)
