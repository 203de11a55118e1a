"""DiffAugment: differentiable augmentation of the pictures that a discriminator sees, real and generated."""

from typing import Any, Literal

import keras
from keras import ops

Augmentation = Literal["translation", "cutout", "colour"]
"""`colour` changes brightness, saturation and contrast; leave it out where captions name colours."""
SHIFT, HOLE = 1 / 8, 1 / 2
"""The largest translation and the side of the cutout, as shares of the picture's side."""


def diff_augment(pictures: Any, policy: tuple[Augmentation, ...], seed_generator: keras.random.SeedGenerator) -> Any:
    """Augments each picture in its own way, with a gradient to the picture.

    `colour`: adds a number from -0.5 to 0.5 (brightness); multiplies the distance from the mean of the channels by 0 to 2
    (saturation), and that from the mean of the picture by 0.5 to 1.5 (contrast). `translation`: shifts by up to an eighth of
    each side; what moves in is 0, which is grey. `cutout`: a square of half of the sides becomes 0; its centre lies anywhere in
    the picture, so a part of it may lie outside. The order is always this one.

    Source: Zhao et al. 2020, arXiv 2006.10738, section 3, and the authors' code.

    Args:
        pictures: `(batch, height, width, channels)`, -1 to 1.
        policy: The augmentations to apply; none changes nothing.
        seed_generator: Where the random numbers come from.

    Returns:
        Pictures of the same shape. Colour may lead out of the range.
    """
    for name, augment in {"colour": _colour, "translation": _translate, "cutout": _cut}.items():
        if name in policy:
            pictures = augment(pictures, seed_generator)
    return pictures


def _uniform(pictures: Any, low: float, high: float, seed: Any) -> Any:
    return keras.random.uniform((ops.shape(pictures)[0], 1, 1, 1), low, high, dtype=pictures.dtype, seed=seed)


def _integers(pictures: Any, low: int, high: int, seed: Any) -> Any:
    """Draws an integer of each picture, `(batch, 1)`, from `low` to `high`, both included."""
    return keras.random.randint((ops.shape(pictures)[0], 1), low, high + 1, seed=seed)


def _colour(pictures: Any, seed: Any) -> Any:
    pictures = pictures + _uniform(pictures, -0.5, 0.5, seed)
    pictures = _from_mean(pictures, (3,), _uniform(pictures, 0.0, 2.0, seed))
    return _from_mean(pictures, (1, 2, 3), _uniform(pictures, 0.5, 1.5, seed))


def _from_mean(pictures: Any, axes: tuple[int, ...], factor: Any) -> Any:
    mean = ops.mean(pictures, axis=axes, keepdims=True)
    return (pictures - mean) * factor + mean


def _translate(pictures: Any, seed: Any) -> Any:
    down, across = (_moves(pictures, size, seed) for size in pictures.shape[1:3])
    pictures = ops.einsum("bij,bjwc->biwc", down, pictures)
    return ops.einsum("bij,bhjc->bhic", across, pictures)


def _moves(pictures: Any, size: int, seed: Any) -> Any:
    """Draws a shift of each picture; returns the matrices `(batch, size, size)` that shift a side. Cheaper than a gather."""
    most = int(size * SHIFT + 0.5)
    source = ops.arange(size, dtype="int32") + _integers(pictures, -most, most, seed)  # (batch, size)
    return ops.cast(ops.equal(source[..., None], ops.arange(size, dtype="int32")), pictures.dtype)


def _cut(pictures: Any, seed: Any) -> Any:
    down, across = (_hole(pictures, size, seed) for size in pictures.shape[1:3])
    hole = ops.logical_and(down[:, :, None], across[:, None])[..., None]
    return ops.where(hole, ops.zeros_like(pictures), pictures)


def _hole(pictures: Any, size: int, seed: Any) -> Any:
    """Draws the cut part of each picture's side, `(batch, size)`, True inside."""
    side = int(size * HOLE + 0.5)
    first = _integers(pictures, 0, size - side % 2, seed) - side // 2
    places = ops.arange(size, dtype="int32")
    return ops.logical_and(places >= first, places < first + side)
