"""Ids of texts -> bags of words, vectors of length 1 that the baseline of an embedding model compares."""

import math
from collections.abc import Sequence

import numpy as np

from mmzoo.contracts.streams import PAD
from mmzoo.evaluation.neighbours import MAX_BYTES

WORDS = 4096
"""Length of a bag of words, less for a split of many texts; ids that differ by a multiple of it share an entry."""


def bag_length(examples: int, ids: Sequence[np.ndarray]) -> int:
    """Returns the length of the bags of a split: `WORDS`, halved until the bags of all its examples fit into `MAX_BYTES`.

    A metric may keep all of them.

    Args:
        examples: Of the split.
        ids: Of texts such as theirs, `(length,)`, or `(texts, length)` for an example with several texts.
    """
    texts = sum(math.prod(one.shape[:-1]) for one in ids) / max(1, len(ids))
    length = WORDS
    while length > 1 and 4 * length * examples * (1 + texts) > MAX_BYTES:
        length //= 2
    return length


def bag_of_words(ids: np.ndarray, length: int = WORDS) -> np.ndarray:
    """Counts the words of texts `(..., tokens)`: `(..., length)`."""
    counts = np.zeros((*ids.shape[:-1], length), "float32")
    for place, word in np.ndenumerate(ids):
        counts[(*place[:-1], word % length)] += word != PAD
    return counts


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors to length 1; one of zeros stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
