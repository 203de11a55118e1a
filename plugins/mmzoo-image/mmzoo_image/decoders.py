"""One encoded picture -> pixels in integers, at full size or reduced."""

import tensorflow as tf

from mmzoo_image.headers import numbers

RATIOS = (1, 2, 4, 8)
"""Divisors of the sides by which a JPEG can be decoded."""


def read_jpeg(data: tf.Tensor, ratio: int = 1) -> tf.Tensor:
    """Decodes a JPEG to RGB `(height, width, 3)`, uint8; its sides are divided by `ratio` and rounded up."""
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE", ratio=ratio)


def read_png(data: tf.Tensor) -> tf.Tensor:
    """Decodes a PNG to RGBA `(height, width, 4)`, uint8."""
    picture = tf.io.decode_png(data, channels=4)
    # For a PNG without alpha the decoder sets alpha to the largest sample value: 15 for 4 bits, say.
    bits = tf.cast(numbers(data, 24, 1), tf.uint8)
    most = tf.bitwise.left_shift(tf.constant(1, tf.uint8), bits % 8) - 1
    low, high = tf.reduce_min(picture, axis=[0, 1])[3], tf.reduce_max(picture, axis=[0, 1])[3]
    opaque = (bits < 8) & (low == most) & (high == most)
    return tf.bitwise.bitwise_or(picture, tf.where(opaque, tf.constant([0, 0, 0, 255], tf.uint8), tf.constant(0, tf.uint8)))


def read_gif(data: tf.Tensor) -> tf.Tensor:
    """Decodes the first frame of a GIF to RGB, uint8; transparent pixels are black."""
    return tf.ensure_shape(tf.io.decode_image(data, channels=3, expand_animations=False), [None, None, 3])


def read_bmp(data: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP picture to RGB, uint8."""
    decoded = tf.io.decode_bmp(data)
    # For 8 bits the decoder returns palette indices. The palette follows both headers: blue, green, red and a spare byte each.
    has_palette = numbers(data, 28, 2) == 8
    picture = tf.cond(has_palette, lambda: _palette_colours(data, decoded), lambda: decoded[..., :3])
    return tf.ensure_shape(picture, [None, None, 3])


def _palette_colours(data: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    start, end = 14 + numbers(data, 14, 4), numbers(data, 10, 4)
    palette = tf.reshape(tf.io.decode_raw(tf.strings.substr(data, start, end - start), tf.uint8), [-1, 4])
    return tf.gather(palette[:, 2::-1], tf.cast(indices[..., 0], tf.int16))


def upright(picture: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a picture `(height, width, channels)` from its EXIF orientation, 1 to 8, to orientation 1."""
    turned = tf.transpose(picture, tf.where(orientation > 4, [1, 0, 2], [0, 1, 2]))
    turn = (orientation - 1) % 4
    down, across = (tf.where((turn == first) | (turn == 2), -1, 1) for first in (3, 1))
    return tf.ensure_shape(turned[::down, ::across], [None, None, picture.shape[-1]])
