"""Encoded pictures, and what Pillow makes of them."""

import io
from functools import cache

import numpy as np
import tensorflow as tf
from mmzoo_image.image import Image
from PIL import Image as Pillow


def scene(height: int = 40, width: int = 40, channels: int = 3) -> np.ndarray:
    """Draws coarse and fine structure of all levels, the same each time."""
    random = np.random.default_rng(7)
    coarse = random.integers(0, 256, (5, 7, channels), dtype=np.uint8)
    smooth = np.asarray(Pillow.fromarray(coarse).resize((width, height), Pillow.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)


def save(picture: Pillow.Image, kind: str, **options) -> bytes:
    target = io.BytesIO()
    picture.save(target, format=kind, **options)
    return target.getvalue()


RGB = Pillow.fromarray(scene())
RGBA = Pillow.fromarray(scene(channels=4))
GRAY = RGB.convert("L")
PNG, JPEG = save(RGB, "PNG"), save(RGB, "JPEG")


@cache
def reader(size: int, **options) -> tf.types.experimental.PolymorphicFunction:
    """Makes a processor as a graph of its own, as it is when it is served."""
    return tf.function(Image(size=size, **options), input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)


def pixels(data: bytes, **options) -> np.ndarray:
    """Reads one picture, which must be a good one."""
    features, fault, _ = reader(**options)(tf.constant([data]))
    assert fault.numpy().tolist() == [b""]
    return features.numpy()[0]


def reference(picture: Pillow.Image, size: int, fit: str) -> np.ndarray:
    """Fits a picture into a square as the docstring says, with Pillow."""
    width, height = picture.size
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if fit != "pad":
        return np.asarray(picture.resize((size, size), Pillow.Resampling.BILINEAR))
    scale = size / max(width, height)
    small = picture.resize((max(1, round(width * scale)), max(1, round(height * scale))), Pillow.Resampling.BILINEAR)
    square = Pillow.new("RGB", (size, size), "white")
    square.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.asarray(square)
