"""Split -> the nearest training example of each of its examples, by the Euclidean distance of an input's features."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import mask_of
from mmzoo.data.batches import examples_at, examples_of
from mmzoo.data.splits import Data
from mmzoo.errors import DataError

MAX_EXAMPLES, MAX_BYTES = 20_000, 1 << 30
"""The most training examples that are searched, and the most bytes that their features may take."""
BATCH, BATCH_BYTES = 256, 64 << 20
"""The most examples that are read and compared at a time, and the most bytes of their features."""

Part = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Features of a batch and their mask -> the part of the features that is compared."""


def all_features(features: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Returns the features unchanged."""
    return features


def middle_frame(clips: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Returns the middle one of the frames of each clip that `mask`, `(batch, time)`, marks as present."""
    rows = np.arange(len(clips))
    return clips[rows, np.argsort(~mask, axis=1, kind="stable")[rows, mask.sum(axis=1) // 2]]


@dataclass(frozen=True)
class Groups:
    """Splits the examples into groups; neighbours are searched within a group.

    Args:
        train: The group of each training example; -1 for an unreadable one.
        split: The group of each readable example of the split; -1 for a group without a training example.
    """

    train: np.ndarray
    split: np.ndarray

    def members(self, group: int) -> np.ndarray:
        """Returns the numbers of the training examples in a group."""
        return np.flatnonzero(self.train == group)


def nearest_examples(
    data: Data,
    name: str,
    split: str,
    screen: Screen,
    parts: Sequence[Part],
    groups: Groups | None = None,
    among: np.ndarray | None = None,
) -> Iterator[tuple[int, ...]]:
    """Finds the nearest training example of each example of a split, by exhaustive search in blocks.

    Args:
        data: Scanned.
        name: The input whose features are compared.
        split: Whose examples.
        screen: Where progress goes.
        parts: What is compared; each part has its own nearest example.
        groups: Search within the example's group; among all training examples where the group has none. One group if not given.
        among: The numbers of the training examples that are searched; `searched` if not given.

    Returns:
        The number of the nearest training example by each part, for each readable example of the split.

    Raises:
        DataError: No training example can be read any more.
    """
    among = searched(data, name) if among is None else among
    if len(among) < data.sizes["train"]:
        screen.say(f"evaluate  the nearest example is searched among {len(among):,} of 'train'")
    numbers, own_groups, tables = _tables(data, name, parts, groups, among)
    if lost := len(among) - len(numbers):
        screen.say(f"evaluate  left out {lost} of them that cannot be read any more")
    if not len(numbers):
        raise DataError(f"none of the {len(among)} training examples that the nearest is searched among can be read any more.")
    split_groups = np.zeros(data.sizes[split], int) if groups is None else groups.split
    squares, start = [np.einsum("nd,nd->n", table, table) for table in tables], 0
    for _, queries in _compared(examples_of(data, split).enumerate(), data, name, parts):
        query_groups = split_groups[start : start + len(queries[0])]
        nearest = np.empty((len(queries[0]), len(parts)), int)
        start += len(query_groups)
        for group in np.unique(query_groups):
            first, end = np.searchsorted(own_groups, [group, group + 1])
            same, rows = slice(first, end) if first < end else slice(None), query_groups == group
            for part, (square, query, table) in enumerate(zip(squares, queries, tables, strict=True)):
                distances = square[same] - 2 * query[rows] @ table[same].T  # squared, less a constant for each query
                nearest[rows, part] = numbers[same][np.argmin(distances, axis=1)]
        yield from map(tuple, nearest.tolist())


def searched(data: Data, name: str) -> np.ndarray:
    """Returns the numbers of the training examples that are searched: all readable ones, or as many as fit, evenly spaced."""
    step = -(-data.sizes["train"] // max(1, min(MAX_EXAMPLES, MAX_BYTES // _size(data, name))))
    return np.flatnonzero(data.readable["train"])[:: max(step, 1)]


def _tables(
    data: Data, name: str, parts: Sequence[Part], groups: Groups | None, among: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Reads what is compared of training examples.

    They are sorted by group, so that an example is compared with a slice of the table and no others.

    Returns:
        The number and the group of each example that can still be read, and for each part a table with a row for each.
    """
    own_groups = np.zeros(len(among), int) if groups is None else groups.train[among]
    order = np.argsort(own_groups, kind="stable")
    places, there, tables = np.argsort(order), np.zeros(len(among), bool), list[np.ndarray]()
    for numbers, batch in _compared(examples_at(data, "train", among), data, name, parts):
        rows = places[np.searchsorted(among, numbers)]
        there[rows] = True
        tables = tables or [np.empty((len(among), part.shape[1]), part.dtype) for part in batch]
        for table, part in zip(tables, batch, strict=True):
            table[rows] = part
    numbers, own_groups = among[order], own_groups[order]
    if np.all(there):  # copies no table
        return numbers, own_groups, tables
    return numbers[there], own_groups[there], [table[there] for table in tables]


def _compared(
    examples: tf.data.Dataset, data: Data, name: str, parts: Sequence[Part]
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Reads what is compared of batches of numbered examples: their numbers, and an array for each part."""
    chosen = examples.map(lambda number, example: (number, example[name], example[mask_of(name)]))
    for numbers, *batch in chosen.batch(batch_size(data, name)).as_numpy_iterator():
        yield numbers, [_flat(part(*batch)) for part in parts]


def batch_size(data: Data, name: str) -> int:
    """Returns how many examples are read and compared at a time."""
    return max(1, min(BATCH, BATCH_BYTES // _size(data, name)))


def _size(data: Data, name: str) -> int:
    """Returns the bytes of the features of one example, as they are compared."""
    return max(1, 4 * math.prod(data.processors[name].features["shape"]))


def _flat(batch: Any) -> Any:
    """Flattens features to `(batch, numbers)`, float32. Bytes become 0 to 1; the order of distances stays."""
    return batch.reshape(len(batch), -1).astype("float32") / 255
