"""InceptionV3 from a local weights file: features and class probabilities of pictures. Imports Keras at first use."""

from typing import Any

import numpy as np

from mmzoo import DataError, reason_of
from mmzoo_text2image.pictures import decode

SIDE, BATCH = 299, 32
"""Height and width of the network's input, and pictures that are computed at a time."""


class Inception:
    """InceptionV3 with the weights of a local file. Pictures are resized bilinearly with antialiasing to 299, values -1 to 1.

    Keras' network is not the one that published scores come from, so its scores compare with its own only.

    Source: Szegedy et al. 2015, arXiv 1512.00567, as in `keras.applications.InceptionV3`.

    Args:
        path: A weights file of `keras.applications.InceptionV3`, with or without the layer that classifies.
        who: The subject of error messages: the metric.
    """

    def __init__(self, path: str, who: str):
        self.path, self.who = path, who

    def features(self, pictures: list[bytes]) -> np.ndarray:
        """Returns the mean of the last feature map, `(pictures, 2048)`."""
        return self._compute(self._load(classifies=(False, True)), pictures)

    def probabilities(self, pictures: list[bytes]) -> np.ndarray:
        """Returns the probabilities of the 1,000 classes, `(pictures, 1000)`."""
        return self._compute(self._load(classifies=(True,)), pictures)

    def _load(self, classifies: tuple[bool, ...]) -> Any:
        import keras

        for include_top in classifies:
            try:
                model = keras.applications.InceptionV3(weights=self.path, include_top=include_top, pooling="avg")
            except (ValueError, OSError) as error:
                first = error
            else:
                features = include_top and False in classifies
                return keras.Model(model.input, model.get_layer("avg_pool").output) if features else model
        what = f"{self.who} cannot read weights of InceptionV3 from '{self.path}': {reason_of(first)}"
        part = "" if False in classifies else ", with the layer that classifies"
        raise DataError(f"{what}\nSet `inception` to a weights file of keras.applications.InceptionV3{part}.") from first

    def _compute(self, model: Any, pictures: list[bytes]) -> np.ndarray:
        batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        return np.concatenate([np.asarray(model.predict_on_batch(self._read(batch))) for batch in batches])

    def _read(self, pictures: list[bytes]) -> np.ndarray:
        import tensorflow as tf

        resized = [tf.image.resize(decode(data, self.who), (SIDE, SIDE), antialias=True).numpy() for data in pictures]
        return np.asarray(np.stack(resized) / 127.5 - 1, "float32")
