"""Encoded pictures and attention weights -> data URIs that a page can hold."""

from base64 import b64encode
from typing import Any

import numpy as np
import tensorflow as tf

LARGEST = 16_000
"""Bytes up to which a picture is embedded as it is; a larger one is made smaller."""
SIDE = 256
"""The longest side of a picture that was made smaller, in pixels."""
GLOW = (214, 72, 24)
"""The colour of attention, RGB."""

_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}


def kind_of(data: Any) -> str:
    """Tells from their first bytes what picture format encoded bytes are in; empty if they are no picture."""
    if not isinstance(data, bytes):
        return ""
    return next((kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning)), "")


def data_uri(data: bytes) -> str:
    """Embeds a PNG, JPEG, GIF or BMP picture: as it is if it is small, else as a JPEG of at most 256 pixels a side.

    What is transparent becomes white where a picture is made smaller. A damaged picture gives an empty string.
    """
    kind = kind_of(data)
    if len(data) > LARGEST:
        try:
            data, kind = _smaller(data, kind), "jpeg"
        except tf.errors.InvalidArgumentError:
            return ""
    return _uri(kind, data)


def attention_uri(weights: Any) -> str:
    """Draws weights `(side, side)`, 0 to 1, as a PNG of one colour whose opacity they are, a pixel per weight."""
    alpha = np.round(np.clip(weights, 0, 1) * 255).astype("uint8")[..., None]
    pixels = np.concatenate([np.broadcast_to(np.array(GLOW, "uint8"), (*alpha.shape[:2], 3)), alpha], axis=-1)
    return _uri("png", tf.io.encode_png(pixels).numpy())


def _smaller(data: bytes, kind: str) -> bytes:
    if kind == "png":
        pixels = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
        alpha = pixels[..., 3:] / 255
        pixels = pixels[..., :3] * alpha + 255 * (1 - alpha)
    else:
        pixels = tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False), tf.float32)
    if max(pixels.shape[:2]) > SIDE:
        pixels = tf.image.resize(pixels, (SIDE, SIDE), preserve_aspect_ratio=True, antialias=True)
    pixels = tf.cast(tf.round(tf.clip_by_value(pixels, 0, 255)), tf.uint8)
    return bytes(tf.io.encode_jpeg(pixels, quality=85).numpy())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
