"""Toy data set: pictures and clips of coloured squares, with captions, questions and answers."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo import Card, FeatureSpec, NonNegativeInt, PositiveInt, Processed, Processor

COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30), "blue": (30, 30, 220)}
PLACES = ("top", "middle", "bottom")
SIZE = 9
"""Side of a picture in pixels."""
HEADER, LINE = 54, (3 * SIZE + 3) // 4 * 4
"""Bytes of a BMP before its pixels, and of a line of pixels, which is filled up to a multiple of four."""
FIELDS = {
    "image": "a square on black, PNG bytes",
    "bitmap": "the same, BMP bytes",
    "caption": "its colour and place, text",
    "frames": "two to four pictures, BMP bytes",
    "question": "asks for the colour or the place, text",
    "answer": "the colour or the place, text",
}


class Squares:
    """Pictures and clips of coloured squares.

    Args:
        examples: Number of examples of the training split; the other splits have half as many.
        seed: Seed of the random generator.
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


class Pixels(Processor):
    """Reads BMP pictures of 9 by 9 pixels: a slice of their bytes, which costs no decoder and no loop in a graph."""

    modality = "image"
    from_file = True
    features = FeatureSpec(shape=[SIZE, SIZE, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        good = tf.strings.substr(raw, 0, 2) == "BM"
        good &= tf.strings.length(raw) == HEADER + SIZE * LINE
        return Processed(pixels_of(raw), tf.where(good, "", "this is no BMP picture of 9 by 9 pixels"))

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        return tf.io.encode_png(tf.cast(values, tf.uint8))


def bmp(pixels: np.ndarray) -> bytes:
    """Encodes pixels `(9, 9, 3)`: lines from the bottom up, blue first."""
    lines = np.zeros((SIZE, LINE), "uint8")
    lines[:, : 3 * SIZE] = pixels[::-1, :, ::-1].reshape(SIZE, -1)
    file = struct.pack("<2sIHHI", b"BM", HEADER + lines.size, 0, 0, HEADER)
    return file + struct.pack("<IiiHHIIiiII", 40, SIZE, SIZE, 1, 24, 0, lines.size, 0, 0, 0, 0) + lines.tobytes()


def pixels_of(pictures: tf.Tensor) -> tf.Tensor:
    """Decodes BMP pictures of any shape: `(..., 9, 9, 3)`, uint8, black for an empty string."""
    data = tf.io.decode_raw(pictures, tf.uint8, fixed_length=HEADER + SIZE * LINE)[..., HEADER:]
    lines = tf.reshape(data, tf.concat([tf.shape(pictures), [SIZE, LINE]], axis=0))[..., ::-1, : 3 * SIZE]
    return tf.reshape(lines, tf.concat([tf.shape(pictures), [SIZE, SIZE, 3]], axis=0))[..., ::-1]


def _examples(rng: np.random.Generator, size: int) -> Iterator[dict[str, Any]]:
    for _ in range(size):
        colour, place = rng.choice(list(COLOURS)), rng.choice(PLACES)
        asks_colour = rng.random() < 0.5
        picture = _picture(rng, colour, place)
        yield {
            "image": tf.io.encode_png(picture).numpy(),
            "bitmap": bmp(picture),
            "caption": f"{colour} {place}",
            "frames": [bmp(_picture(rng, colour, place)) for _ in range(rng.integers(2, 5))],
            "question": "which colour ?" if asks_colour else "which place ?",
            "answer": colour if asks_colour else place,
        }


def _picture(rng: np.random.Generator, colour: str, place: str) -> np.ndarray:
    pixels = rng.integers(0, 20, (SIZE, SIZE, 3)).astype("uint8")
    top = PLACES.index(place) * SIZE // 3
    pixels[top : top + 3, 3:6] = COLOURS[colour]
    return pixels
