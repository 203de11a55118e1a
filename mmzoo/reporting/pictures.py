"""Encoded images and attention weights -> data URIs, embedded in the page."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps

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
    try:
        return _uri("jpeg", _scaled_down(data, side))
    except (OSError, ValueError, Image.DecompressionBombError):  # it is damaged, or larger than any page needs
        return ""


def attention_uri(weights: Any) -> str:
    """Draws weights `(side, side)`, 0 to 1, as a PNG of one colour: a pixel for each weight, which is its opacity."""
    alpha = np.round(np.clip(weights, 0, 1) * 255).astype("uint8")[..., None]
    pixels = np.concatenate([np.broadcast_to(np.array(ATTENTION_COLOUR, "uint8"), (*alpha.shape[:2], 3)), alpha], axis=-1)
    drawn = BytesIO()
    Image.fromarray(pixels).save(drawn, "PNG")
    return _uri("png", drawn.getvalue())


def _scaled_down(data: bytes, side: int) -> bytes:
    """Scales a picture down, as a JPEG without metadata; so it is turned upright as its EXIF orientation says."""
    with Image.open(BytesIO(data)) as opened:
        opened.draft("RGB", (side, side))  # a JPEG is decoded at a reduced size
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
    upright.thumbnail((side, side))
    white = Image.new("RGBA", upright.size, "white")
    small = BytesIO()
    Image.alpha_composite(white, upright).convert("RGB").save(small, "JPEG", quality=85)
    return small.getvalue()


def _uri(encoding: str, data: bytes) -> str:
    return f"data:image/{encoding};base64,{b64encode(data).decode()}"
