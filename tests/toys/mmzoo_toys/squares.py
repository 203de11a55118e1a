"""Pictures and clips of coloured squares with captions, questions and answers, from a numpy generator."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo import Card, NonNegativeInt, PositiveInt

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
PLACES = ("top", "middle", "bottom")
SIZE = 9
"""Side of a picture in pixels."""
FIELDS = {
    "image": "a square on black, PNG bytes",
    "caption": "its colour and place, text",
    "frames": "two to four pictures, PNG bytes",
    "question": "asks for the colour or the place, text",
    "answer": "the colour or the place, text",
}


class Squares:
    """Draws coloured squares.

    Args:
        examples: In the training split; the others have half as many.
        seed: What the draw follows from.
    """

    def __init__(self, *, examples: PositiveInt = 48, seed: NonNegativeInt = 0):
        self.sizes = {"train": examples, "validation": max(1, examples // 2), "test": max(1, examples // 2)}
        self.seed = seed

    @property
    def card(self) -> Card:
        return Card(fields=FIELDS, sizes=self.sizes, about="Coloured squares.")

    def prepare(self) -> None:
        """Does nothing."""

    def splits(self) -> Mapping[str, tf.data.Dataset]:
        signature = {name: tf.TensorSpec([None] if name == "frames" else [], tf.string) for name in FIELDS}
        made = {}
        for number, (split, size) in enumerate(self.sizes.items()):
            examples = list(_examples(np.random.default_rng([self.seed, number]), size))
            data = tf.data.Dataset.from_generator(lambda examples=examples: iter(examples), output_signature=signature)
            made[split] = data.apply(tf.data.experimental.assert_cardinality(size))
        return made


def _examples(rng: np.random.Generator, size: int) -> Iterator[dict[str, Any]]:
    for _ in range(size):
        colour, place = rng.choice(list(COLOURS)), rng.choice(PLACES)
        asks_colour = rng.random() < 0.5
        yield {
            "image": _picture(rng, colour, place),
            "caption": f"{colour} {place}",
            "frames": [_picture(rng, colour, place) for _ in range(rng.integers(2, 5))],
            "question": "which colour ?" if asks_colour else "which place ?",
            "answer": colour if asks_colour else place,
        }


def _picture(rng: np.random.Generator, colour: str, place: str) -> bytes:
    pixels = rng.integers(0, 20, (SIZE, SIZE, 3)).astype("uint8")
    top = PLACES.index(place) * SIZE // 3
    pixels[top : top + 3, 3:6] = COLOURS[colour]
    return tf.io.encode_png(pixels).numpy()
