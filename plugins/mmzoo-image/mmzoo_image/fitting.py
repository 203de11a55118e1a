"""Pixels of any size -> a square, in bands, so that no large picture is ever held in floats."""

from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

Fit = Literal["pad", "crop", "stretch", "resize_crop"]
Interpolation = Literal["bilinear", "bicubic"]
BAND = 2**19
"""About the most pixels that are held in floats at a time."""
KERNELS = {"bilinear": ("triangle", 1), "bicubic": ("keyscubic", 2)}
"""TensorFlow's name of each kernel, and its radius."""


@dataclass(frozen=True)
class Square:
    """Fits pictures into a square; the fields are the options of the processor `image`."""

    size: int
    fit: Fit
    shorter_side: int
    interpolation: Interpolation

    def shrinks(self, sides: tf.Tensor) -> tf.Tensor:
        """Returns by how much a picture's sides `(2,)` are divided, at least; less than 1 where they grow."""
        return tf.reduce_max(sides) / self.size if self.fit == "pad" else tf.reduce_min(sides) / self.shorter_side

    def __call__(self, picture: tf.Tensor, sides: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
        """Fits a picture.

        Args:
            picture: RGB or RGBA `(height, width, channels)`, uint8. RGBA is laid on white.
            sides: `(2,)`, int32, the picture's height and width at full size.
            ratio: `()`, int32, by which they were divided, and rounded up, when it was decoded.

        Returns:
            `(size, size, 3)`, uint8.
        """
        same = tf.reduce_all(sides == self.size) & (self.shorter_side == self.size)
        square = tf.cond(same, lambda: _rounded(_on_white(picture)), lambda: self._fitted(picture, sides, ratio))
        return tf.ensure_shape(square, [self.size, self.size, 3])

    def _fitted(self, picture: tf.Tensor, sides: tf.Tensor, ratio: tf.Tensor) -> tf.Tensor:
        square = tf.fill([2], self.size)
        if self.fit == "crop":
            side = tf.reduce_min(sides)
            first = (sides - side) // 2
            low, high = first // ratio, -(-(first + side) // ratio)
            scale = self.size * ratio / side
            cut = picture[low[0] : high[0], low[1] : high[1]]
            return self._resample(cut, tf.fill([2], scale), (tf.cast(low, scale.dtype) - first / ratio) * scale, square)
        if self.fit == "resize_crop":
            sides = tf.cast(sides, tf.int64)
            resized = self.shorter_side * sides // tf.reduce_min(sides)
            return self._resample(picture, resized / sides * tf.cast(ratio, tf.float64), -((resized - self.size) // 2), square)
        if self.fit == "stretch":
            return self._resample(picture, self.size * ratio / sides, [0, 0], square)
        resized = tf.maximum(1, tf.cast(tf.round(self.size / tf.reduce_max(sides) * tf.cast(sides, tf.float64)), tf.int32))
        before = (self.size - resized) // 2
        margins = tf.pad(tf.stack([before, self.size - resized - before], axis=1), [[0, 1], [0, 0]])
        fitted = self._resample(picture, resized * ratio / sides, [0, 0], resized)
        return tf.pad(fitted, margins, constant_values=tf.constant(255, tf.uint8))

    def _resample(self, picture: tf.Tensor, scale: tf.Tensor, shift: Any, sides: tf.Tensor) -> tf.Tensor:
        """Returns pixels `(*sides, 3)`, uint8; the point x of the picture becomes `scale * x + shift`, with antialiasing."""
        scale, shift = tf.cast(scale, tf.float32), tf.cast(shift, tf.float32)
        given = tf.shape(picture)[:2]
        # Bands lie across the longer side.
        along = tf.where(given[0] >= given[1], [1, 0], [0, 1])
        count = tf.clip_by_value(tf.reduce_prod(given) // BAND, 1, tf.reduce_sum(along * sides))
        step = tf.where(along == 1, -(-sides // count), sides)
        kernel, radius = KERNELS[self.interpolation]
        reach = radius * tf.maximum(1.0, 1 / scale) + 1

        def band(number: tf.Tensor) -> tf.Tensor:
            first = tf.cast(number * step * along, tf.float32)
            # Every pixel that the kernel reaches from the band; where it lies behind the picture, any one.
            low = tf.clip_by_value(tf.cast(tf.floor((first - shift) / scale - reach), tf.int32), 0, given - 1)
            end = first + tf.cast(step, tf.float32)
            high = tf.clip_by_value(tf.cast(tf.math.ceil((end - shift) / scale + reach), tf.int32), low + 1, given)
            part, moved = picture[low[0] : high[0], low[1] : high[1]], shift - first + tf.cast(low, tf.float32) * scale
            return _scaled(part, step, scale, moved, kernel)

        def joined() -> tf.Tensor:
            pixels = tf.TensorSpec([None, None, 3])
            bands = tf.map_fn(band, tf.range(count), fn_output_signature=pixels, parallel_iterations=1)
            bands = tf.transpose(bands, tf.where(along[0] == 1, [0, 1, 2, 3], [1, 0, 2, 3]))
            whole = tf.reshape(bands, tf.concat([tf.where(along == 1, count * step, step), [3]], axis=0))
            return whole[: sides[0], : sides[1]]

        def at_once() -> tf.Tensor:
            return _scaled(picture, sides, scale, shift, kernel)

        # A loop takes time even for one band.
        return _rounded(tf.cond(count == 1, at_once, joined))


def _scaled(picture: tf.Tensor, sides: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor, kernel: str) -> tf.Tensor:
    images = _on_white(picture)[None]
    return tf.raw_ops.ScaleAndTranslate(
        images=images, size=sides, scale=scale, translation=shift, kernel_type=kernel, antialias=True
    )[0]


def _rounded(picture: tf.Tensor) -> tf.Tensor:
    return tf.saturate_cast(tf.round(picture), tf.uint8)


def _on_white(picture: tf.Tensor) -> tf.Tensor:
    """Returns RGB in floats."""

    def blended() -> tf.Tensor:
        colours, alpha = tf.cast(picture[..., :3], tf.float32), tf.cast(picture[..., 3:], tf.float32) / 255
        return colours * alpha + 255 * (1 - alpha)

    return tf.cond(tf.shape(picture)[2] == 4, blended, lambda: tf.cast(picture, tf.float32))
