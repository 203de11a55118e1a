"""Encoded images and attention weights -> data URIs, embedded in the page. Imports TensorFlow when it changes an image."""

from base64 import b64encode
from typing import Any

import numpy as np

MAX_BYTES = 16_000
"""An image of more bytes is scaled down before it is embedded."""
MAX_SIDE = 256
"""The longest side of an image that was scaled down, in pixels."""
ATTENTION_COLOUR = (214, 72, 24)
"""RGB."""

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}


def image_format(data: Any) -> str:
    """Returns the format of an encoded image by its first bytes: `png`, `jpeg`, `gif`, `bmp`; empty for anything else."""
    if not isinstance(data, bytes):
        return ""
    return next((name for first_bytes, name in _SIGNATURES.items() if data.startswith(first_bytes)), "")


def data_uri(data: bytes, side: int = MAX_SIDE) -> str:
    """Returns the data URI of a PNG, JPEG, GIF or BMP image: unchanged if it has few bytes, else as a JPEG.

    Transparent pixels become white in a JPEG. The URI of a damaged large image is an empty string.

    Args:
        data: The encoded image.
        side: The longest side of a JPEG, in pixels; a larger image is scaled down.
    """
    encoding = image_format(data)
    if len(data) <= MAX_BYTES:
        return _uri(encoding, data)
    import tensorflow as tf

    try:
        return _uri("jpeg", _scaled_down(data, encoding, side))
    except tf.errors.InvalidArgumentError:
        return ""


def attention_uri(weights: Any) -> str:
    """Draws weights `(side, side)`, 0 to 1, as a PNG of one colour: a pixel for each weight, which is its opacity."""
    import tensorflow as tf

    alpha = np.round(np.clip(weights, 0, 1) * 255).astype("uint8")[..., None]
    pixels = np.concatenate([np.broadcast_to(np.array(ATTENTION_COLOUR, "uint8"), (*alpha.shape[:2], 3)), alpha], axis=-1)
    return _uri("png", tf.io.encode_png(pixels).numpy())


def _scaled_down(data: bytes, encoding: str, side: int) -> bytes:
    import tensorflow as tf

    if encoding == "png":
        pixels = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
        alpha = pixels[..., 3:] / 255
        pixels = pixels[..., :3] * alpha + 255 * (1 - alpha)
    else:
        pixels = tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False), tf.float32)
    if max(pixels.shape[:2]) > side:
        pixels = tf.image.resize(pixels, (side, side), preserve_aspect_ratio=True, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0, 255)), tf.uint8)
    return bytes(tf.io.encode_jpeg(pixels, quality=85).numpy())


def _uri(encoding: str, data: bytes) -> str:
    return f"data:image/{encoding};base64,{b64encode(data).decode()}"
