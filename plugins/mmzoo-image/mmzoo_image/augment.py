"""Keras augmentation layers, named in recipes by their Keras identifiers."""

from collections.abc import Sequence
from typing import Any

import keras

from mmzoo import StreamError, suggest

PREPROCESSING = keras.layers.RandomFlip.__base__
"""The base class of Keras' image preprocessing layers. Keras does not export it under a name."""

Augmentations = list[str | dict[str, Any]]
"""Type of the option `augment`, e.g. `[random_hue, {type: random_translation, height_factor: 0.1, width_factor: 0.1}]`."""


def make_augmentation(layers: Sequence[str | dict[str, Any]]) -> keras.layers.Layer:
    """Makes a layer that augments pixels `(batch, height, width, 3)`, 0 to 255, in training only, in float32.

    Args:
        layers: Applied in order. Each is the identifier of a Keras layer, or a mapping with `type` and the layer's options.

    Raises:
        StreamError: Keras has no such layer, or the layer has no such option.
    """
    if not layers:
        return keras.layers.Identity(name="augment", dtype="float32")  # Keras' pipeline cannot be empty
    augment = keras.layers.Pipeline([_make(layer) for layer in layers], name="augment")
    augment.dtype_policy = "float32"  # its constructor takes none
    return augment


def _make(layer: str | dict[str, Any]) -> Any:
    options = {"type": layer} if isinstance(layer, str) else dict(layer)
    name = str(options.pop("type", ""))
    known = {_key(n): c for n, c in vars(keras.layers).items() if isinstance(c, type) and issubclass(c, PREPROCESSING)}
    if _key(name) not in known:
        raise StreamError(f"Keras has no augmentation layer '{name}'. {suggest(_key(name), known)}".rstrip())
    try:
        return known[_key(name)](**{"dtype": "float32"} | options)
    except (TypeError, ValueError) as error:
        raise StreamError(f"Keras' layer '{name}' does not take these options: {error}.") from error


def _key(identifier: str) -> str:
    return identifier.replace("_", "").lower()
