"""Distance to the nearest training picture: whether a generator copies what it was trained on."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from mmzoo import InputName, PositiveFloat
from mmzoo_text2image.distances import nearest_rms
from mmzoo_text2image.pictures import Fit, decode, fitted, shrunk
from mmzoo_text2image.training_pictures import Examples, training_pictures

WHO = "the metric 'nearest_training'"
SIDE, BLOCK = 32, 256
"""Pixels of a side at which pictures are compared, and training pictures that are compared at a time."""
NAMES = tuple(f"nearest_training_{part}" for part in ("distance", "distance_real", "copies", "copies_real"))


class NearestTraining:
    """Distance of each generated picture to the nearest training picture.

    Pictures are compared at 32 x 32 pixels; the distance is the root mean square difference of their values, 0 to 1.
    `nearest_training_distance` is the median over the generated pictures, `nearest_training_distance_real` that over the real
    held-out ones. `nearest_training_copies` is the share of generated pictures that are closer than `copy` to a training
    picture. `nearest_training_copies_real` is that of the real held-out ones: the near duplicates in the data. A generator that
    copies has a distance far below the real one. Real pictures are first resized to the size of the generated ones. Without
    pictures all numbers are 0.

    Memory holds the held-out pictures; the training pictures are read one after the other, all of them.

    Args:
        training_examples: Returns the training examples, raw values by input.
        training_input: The input of the recipe with the training pictures.
        copy: The distance below which a picture is a copy; 0.02 is 5 of 255 levels.
        fit: How real pictures of another aspect ratio are fitted, as in the processor `image`.
    """

    lower_is_better = ("nearest_training_copies", "nearest_training_copies_real")

    def __init__(
        self,
        *,
        training_examples: Examples,
        training_input: InputName = "image",
        copy: PositiveFloat = 0.02,
        fit: Fit = "pad",
    ):
        self.training_examples, self.training_input, self.copy, self.fit = training_examples, training_input, copy, fit
        self.pictures: list[tuple[bytes, bytes]] = []

    def update(self, image_bytes: bytes, image: list[bytes]) -> None:
        """Adds a generated picture and the real ones, of which the first counts. An example without an answer is left out."""
        if image_bytes and image:
            self.pictures.append((image_bytes, image[0]))

    def result(self) -> dict[str, float]:
        """Returns the median distance and the share of copies, of generated and of real pictures."""
        if not self.pictures:
            return dict.fromkeys(NAMES, 0.0)
        first = decode(self.pictures[0][0], WHO)
        size = (first.shape[0], first.shape[1])
        generated = np.stack([_row(decode(picture, WHO)) for picture, _ in self.pictures])
        real = np.stack([self._small(picture, size) for _, picture in self.pictures])
        nearest = self._nearest(np.concatenate([generated, real]), size)
        if nearest is None:
            return dict.fromkeys(NAMES, 0.0)
        halves = np.split(nearest, 2)
        medians, copies = [np.median(half) for half in halves], [np.mean(half < self.copy) for half in halves]
        return {name: float(number) for name, number in zip(NAMES, [*medians, *copies], strict=True)}

    def _nearest(self, pictures: np.ndarray, size: tuple[int, int]) -> Any:
        """Returns the distance of each row to the nearest training picture; None if there is no training picture."""
        nearest = None
        for block in self._blocks(size):
            found = nearest_rms(pictures, block)
            nearest = found if nearest is None else np.minimum(nearest, found)
        return nearest

    def _blocks(self, size: tuple[int, int]) -> Iterator[np.ndarray]:
        block: list[np.ndarray] = []
        for data in training_pictures(self.training_examples, self.training_input, WHO):
            block.append(self._small(data, size))
            if len(block) == BLOCK:
                yield np.stack(block)
                block = []
        if block:
            yield np.stack(block)

    def _small(self, data: bytes, size: tuple[int, int]) -> np.ndarray:
        return _row(fitted(decode(data, WHO), size, self.fit))


def _row(picture: np.ndarray) -> np.ndarray:
    return shrunk(picture, SIDE).ravel() / 255
