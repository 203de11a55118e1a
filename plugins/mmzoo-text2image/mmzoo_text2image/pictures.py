"""Encoded pictures <-> pixels, for metrics: decoding, resizing, blurring. Imports TensorFlow at first use."""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np

from mmzoo import DataError

Fit = Literal["pad", "crop", "stretch"]
"""How a picture gets another shape: white margins, its centre, or another aspect ratio. As in the processor `image`."""
BLUR = 4
"""By how much a blurred picture was scaled down."""
PNG = b"\x89PNG"


def decode(data: bytes, who: str) -> np.ndarray:
    """Decodes a PNG, JPEG, GIF or BMP picture.

    Args:
        data: The encoded picture.
        who: The subject of the error message.

    Returns:
        `(height, width, 3)`, float32, 0 to 255. Transparent pixels of a PNG become white. Of an animation, the first frame.

    Raises:
        DataError: The data are not such a picture.
    """
    import tensorflow as tf

    try:
        if not data.startswith(PNG):
            picture: np.ndarray = tf.io.decode_image(data, channels=3, expand_animations=False).numpy().astype("float32")
            return picture
        pixels = tf.io.decode_png(data, channels=4).numpy().astype("float32")
    except tf.errors.InvalidArgumentError as error:
        what = f"{who} reads a picture that cannot be decoded, {data[:12]!r}...; expected PNG, JPEG, GIF or BMP"
        raise DataError(f"{what}. Name an output or an input that holds encoded pictures.") from error
    largest = min(2 ** data[24] - 1, 255)  # without an alpha channel, the decoder sets alpha to the largest value of a sample
    alpha = np.minimum(pixels[..., 3:] / (largest if (pixels[..., 3] == largest).all() else 255), 1)
    return np.asarray(pixels[..., :3] * alpha + 255 * (1 - alpha), "float32")


def encode(picture: np.ndarray) -> bytes:
    """Encodes pixels `(height, width, 3)`, 0 to 255, as PNG bytes."""
    import tensorflow as tf

    return bytes(tf.io.encode_png(np.clip(np.round(picture), 0, 255).astype("uint8")).numpy())


def fitted(picture: np.ndarray, size: tuple[int, int], fit: Fit) -> np.ndarray:
    """Resizes a picture as the processor `image` does, bilinearly with antialiasing; unchanged if it has the size.

    Args:
        picture: `(height, width, 3)`, 0 to 255.
        size: The new height and width.
        fit: What becomes of another aspect ratio.
    """
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    if fit == "stretch":
        return _resized(picture, size, "bilinear")
    scale = (min if fit == "pad" else max)(size[0] / height, size[1] / width)
    if fit == "crop":
        kept = [min(side, max(1, round(new / scale))) for side, new in zip((height, width), size, strict=True)]
        top, left = (height - kept[0]) // 2, (width - kept[1]) // 2
        return _resized(picture[top : top + kept[0], left : left + kept[1]], size, "bilinear")
    sides = min(max(1, round(height * scale)), size[0]), min(max(1, round(width * scale)), size[1])
    padded = np.full((*size, 3), 255, "float32")
    top, left = (size[0] - sides[0]) // 2, (size[1] - sides[1]) // 2
    padded[top : top + sides[0], left : left + sides[1]] = _resized(picture, sides, "bilinear")
    return padded


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """Resizes a picture to a square of `side` pixels, where each pixel is the mean of the area that it covers."""
    return _resized(picture, (side, side), "area")


def blurred(picture: np.ndarray) -> np.ndarray:
    """Resizes a picture to a quarter of its height and width, by means of areas, and back, bilinearly."""
    height, width = picture.shape[:2]
    small = _resized(picture, (max(1, round(height / BLUR)), max(1, round(width / BLUR))), "area")
    return _resized(small, (height, width), "bilinear")


def _resized(picture: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    import tensorflow as tf

    resized: Any = tf.image.resize(picture, size, method=method, antialias=method == "bilinear")
    return np.asarray(np.clip(np.round(resized.numpy()), 0, 255), "float32")


def size_of(data: bytes, who: str) -> tuple[int, int]:
    """Returns the height and the width of an encoded picture."""
    height, width = decode(data, who).shape[:2]
    return height, width


def at_size(pictures: Iterable[bytes], size: tuple[int, int], fit: Fit, who: str) -> list[bytes]:
    """Decodes pictures, fits them to a size, and encodes them as PNG."""
    return [encode(fitted(decode(data, who), size, fit)) for data in pictures]


def shuffled(rows: Iterable[Any]) -> list[Any]:
    """Returns rows in a random order that depends on their values alone, and not on the order in which they came."""
    ordered = sorted(rows)
    return [ordered[place] for place in np.random.default_rng(0).permutation(len(ordered))]
