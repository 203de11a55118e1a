"""Blocks of StackGAN, StackGAN++ and AttnGAN: convolutions with a normalisation and an activation. Channels last."""

from typing import Any, Literal

import keras
from keras import ops

from mmzoo import StreamError
from mmzoo_text2image.spectral import SpectralConv2D

Norm = Literal["batch", "none"]
"""Normalisation after a convolution. Without one, the convolution has a bias."""
Activation = Literal["relu", "leaky_relu", "glu", "none"]
"""What follows the normalisation. `leaky_relu` has the slope 0.2; `glu` halves the channels."""
Kernel = Literal["normal", "orthogonal"]
"""Initial weights: `normal` N(0, 0.02) as in StackGAN, `orthogonal` as in StackGAN++ and AttnGAN."""
SMALLEST = 4
"""Height and width of the smallest feature map, in every network."""
LEAST = 8
"""The lower bound of a number of channels."""


def initializer(kernel: Kernel) -> Any:
    """Returns a new initializer of kernels; one that is used twice would draw the same numbers twice."""
    return keras.initializers.RandomNormal(stddev=0.02) if kernel == "normal" else keras.initializers.Orthogonal()


class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation with the reference code's momentum 0.9 and epsilon 1e-5; the gain starts as N(1, 0.02).

    Its statistics can be differentiated twice, as gradient penalties need. Keras' layer takes `tf.nn.moments` on TensorFlow,
    which holds the mean within the variance for constant: right for the first gradient, wrong for the second.
    """

    def __init__(self, **kwargs: Any):
        gain = keras.initializers.RandomNormal(1.0, 0.02)
        super().__init__(momentum=0.9, epsilon=1e-5, gamma_initializer=gain, **kwargs)

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:  # Keras' own hook
        axes = tuple(range(len(inputs.shape) - 1))
        mean = ops.mean(inputs, axis=axes)
        return mean, ops.mean(ops.square(inputs - mean), axis=axes)


def glu(features: Any) -> Any:
    """Returns the first half of the channels times the sigmoid of the second half."""
    values, gates = ops.split(features, 2, axis=-1)  # the gradient of slices takes four times as long
    return values * ops.sigmoid(gates)


def activate(features: Any, activation: Activation) -> Any:
    """Applies an activation; `none` changes nothing."""
    if activation == "none":
        return features
    if activation == "leaky_relu":
        return ops.leaky_relu(features, negative_slope=0.2)
    return ops.relu(features) if activation == "relu" else glu(features)


def tile_over(vector: Any, features: Any) -> Any:
    """Joins a vector `(batch, dim)` to each place of features `(batch, height, width, channels)`, after the channels."""
    shape = (*ops.shape(features)[:3], vector.shape[-1])
    tiled = ops.broadcast_to(ops.cast(vector, features.dtype)[:, None, None], shape)
    return ops.concatenate([features, tiled], axis=-1)


def at_least_float32(tensor: Any) -> Any:
    """Casts half precision to float32."""
    return tensor if keras.backend.standardize_dtype(tensor.dtype) in ("float32", "float64") else ops.cast(tensor, "float32")


def doublings(size: int, least: int, user: str) -> int:
    """Returns how often a 4 x 4 map is doubled until it has a size.

    Args:
        size: Height and width of the picture, in pixels.
        least: The smallest size that is allowed.
        user: Whose size it is, for the message: `the generator 'Stage1' makes`.

    Raises:
        StreamError: The size is not a power of two, or is smaller than `least`.
    """
    if size < least or size & (size - 1):
        raise StreamError(f"{user} pictures of {size} pixels; expected a power of two from {least} on, such as 64.")
    return size.bit_length() - SMALLEST.bit_length()


class UpsampleConv2D(keras.layers.Conv2D):
    """Doubles height and width by repeating each pixel, then applies a 3 x 3 convolution.

    `(batch, height, width, channels)` -> `(batch, 2 * height, 2 * width, filters)`. On TensorFlow, both are one transposed
    convolution with the 4 x 4 kernel that repeats the 3 x 3 kernel over 2 x 2 pixels and sums. That takes 16 products per pixel
    and pair of channels instead of 36, and half of the time on a CPU. Other backends compute the two steps, since XLA's
    transposed convolution is ten times slower on a CPU. The weights are the same.
    """

    def __init__(self, filters: int, **kwargs: Any):
        super().__init__(filters, 3, padding="same", **kwargs)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super().convolution_op(ops.repeat(ops.repeat(inputs, 2, axis=1), 2, axis=2), kernel)
        padded = ops.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
        summed = padded[:4, :4] + padded[:4, 1:] + padded[1:, :4] + padded[1:, 1:]
        # A transposed convolution reads its kernel backwards, and the filters before the channels.
        return ops.conv_transpose(inputs, ops.transpose(summed[::-1, ::-1], (0, 1, 3, 2)), strides=2, padding="same")

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, height, width, _ = input_shape
        return batch, height and 2 * height, width and 2 * width, self.filters


class ConvBlock(keras.layers.Layer):
    """Convolution, normalisation and activation: `(batch, height, width, any)` -> `(batch, height', width', channels)`.

    Args:
        channels: Channels after the activation.
        kind: `same` keeps height and width (3 x 3), `down` halves them (4 x 4, stride 2), `up` doubles them (each pixel
            repeated, then 3 x 3).
        norm: The normalisation.
        activation: The activation.
        kernel: The initial weights.
        bias: Whether the convolution has a bias; by default if there is no normalisation.
        spectral: Whether the kernel has the spectral norm 1; not with `up`.
    """

    def __init__(
        self,
        channels: int,
        *,
        kind: Literal["same", "down", "up"] = "same",
        norm: Norm = "batch",
        activation: Activation = "relu",
        kernel: Kernel = "normal",
        bias: bool | None = None,
        spectral: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.activation = activation
        filters = channels * (2 if activation == "glu" else 1)
        common = {"use_bias": norm == "none" if bias is None else bias, "kernel_initializer": initializer(kernel)}
        size = {"kernel_size": 4, "strides": 2} if kind == "down" else {"kernel_size": 3}
        layer = SpectralConv2D if spectral else keras.layers.Conv2D
        self.conv = UpsampleConv2D(filters, **common) if kind == "up" else layer(filters, padding="same", **size, **common)
        self.norm = BatchNorm() if norm == "batch" else None

    def build(self, input_shape: Any) -> None:
        self.conv.build(input_shape)
        if self.norm is not None:
            self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, features: Any, training: bool = False) -> Any:
        features = run(self.conv, features, training)
        if self.norm is not None:
            features = self.norm(features, training=training)
        return activate(features, self.activation)


class Residual(keras.layers.Layer):
    """Adds to the features what two 3 x 3 convolutions make of them; the shape stays.

    With `relu` (StackGAN) the first block ends with ReLU, and so does the sum. With `glu` (StackGAN++, AttnGAN) the first block
    ends with GLU, and the sum has no activation.

    Args:
        channels: Channels of the features.
        norm: The normalisation after each convolution.
        activation: `relu` or `glu`.
        kernel: The initial weights.
    """

    def __init__(
        self,
        channels: int,
        *,
        norm: Norm = "batch",
        activation: Literal["relu", "glu"] = "relu",
        kernel: Kernel = "normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.last: Activation = "relu" if activation == "relu" else "none"
        self.first = ConvBlock(channels, norm=norm, activation=activation, kernel=kernel)
        self.second = ConvBlock(channels, norm=norm, activation="none", kernel=kernel)

    def build(self, input_shape: Any) -> None:
        self.first.build(input_shape)
        self.second.build(input_shape)

    def call(self, features: Any, training: bool = False) -> Any:
        change = self.second(self.first(features, training=training), training=training)
        return activate(features + change, self.last)


class Seed(keras.layers.Layer):
    """Vector `(batch, any)` -> the first feature map `(batch, 4, 4, channels)`: dense, normalisation, activation.

    Each number of the map has its own statistics, as in the reference code.

    Args:
        channels: Channels of the map.
        norm: The normalisation.
        activation: The activation.
        kernel: The initial weights.
    """

    def __init__(
        self,
        channels: int,
        *,
        norm: Norm = "batch",
        activation: Activation = "relu",
        kernel: Kernel = "normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels, self.activation = channels, activation
        units = channels * SMALLEST**2 * (2 if activation == "glu" else 1)
        self.dense = keras.layers.Dense(units, use_bias=norm == "none", kernel_initializer=initializer(kernel))
        self.norm = BatchNorm() if norm == "batch" else None

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)
        if self.norm is not None:
            self.norm.build((input_shape[0], self.dense.units))

    def call(self, vector: Any, training: bool = False) -> Any:
        numbers = self.dense(vector)
        if self.norm is not None:
            numbers = self.norm(numbers, training=training)
        return ops.reshape(activate(numbers, self.activation), (-1, SMALLEST, SMALLEST, self.channels))


class ToPicture(keras.layers.Layer):
    """Features `(batch, height, width, any)` -> picture `(batch, height, width, 3)`, -1 to 1: a 3 x 3 convolution and tanh.

    Args:
        kernel: The initial weights.
    """

    def __init__(self, *, kernel: Kernel = "normal", **kwargs: Any):
        super().__init__(**kwargs)
        self.conv = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, kernel_initializer=initializer(kernel))

    def build(self, input_shape: Any) -> None:
        self.conv.build(input_shape)

    def call(self, features: Any) -> Any:
        return ops.tanh(at_least_float32(self.conv(features)))


def pixels(pictures: Any) -> Any:
    """Turns -1 to 1 into 0 to 255."""
    return (ops.cast(pictures, "float32") + 1) * 127.5


def run(layer: Any, inputs: Any, training: bool) -> Any:
    """Calls a layer, and tells a layer with spectral normalisation whether it trains."""
    return layer(inputs, training=training) if hasattr(layer, "singular_vector") else layer(inputs)


def run_all(layers: list[Any], features: Any, training: bool) -> Any:
    """Calls blocks one after the other."""
    for layer in layers:
        features = layer(features, training=training)
    return features
