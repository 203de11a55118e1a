"""The pictures of the training examples, for metrics that compare with them. Light."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from mmzoo import DataError, suggest

Examples = Callable[[], Iterable[Mapping[str, Any]]]
"""The training examples, as the core supplies them: raw values by input, one value or a list of values."""


def training_pictures(examples: Examples, name: str, who: str) -> Iterator[bytes]:
    """Yields the first encoded picture of each training example that has one.

    Args:
        examples: The training examples.
        name: The input with the pictures.
        who: The subject of the error message.

    Raises:
        DataError: The examples have no such input.
    """
    for example in examples():
        if name not in example:
            what = f"{who} looks for training pictures in the input '{name}', which the examples do not have"
            raise DataError(f"{what}. Set `training_input`. {suggest(name, example)}".rstrip())
        value = example[name]
        values = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
        if values and values[0]:
            yield values[0]


def draw_pictures(pictures: Iterable[bytes], number: int) -> list[bytes]:
    """Draws `number` pictures at random, in one pass and with a fixed seed; all of them if there are fewer.

    Source: reservoir sampling, algorithm R of Vitter 1985.
    """
    draw, kept = np.random.default_rng(0), list[bytes]()
    for count, picture in enumerate(pictures):
        if len(kept) < number:
            kept.append(picture)
        elif (place := int(draw.integers(count + 1))) < number:
            kept[place] = picture
    return kept
