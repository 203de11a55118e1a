"""Split -> the nearest training example of each of its examples, by the Euclidean distance of an input's features."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import mask_of
from mmzoo.data.batches import examples_of
from mmzoo.data.splits import Data

MAX_EXAMPLES, MAX_BYTES = 20_000, 1 << 30
"""The most training examples that are searched, and the most bytes that their features may take."""

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
        train: The group of each readable training example.
        split: The group of each readable example of the split; -1 for a group without a training example.
    """

    train: np.ndarray
    split: np.ndarray

    def members(self, group: int) -> np.ndarray:
        """Returns the indices of the training examples in a group."""
        return np.flatnonzero(self.train == group)


def nearest_examples(
    data: Data, name: str, split: str, screen: Screen, parts: Sequence[Part], groups: Groups | None = None
) -> Iterator[tuple[int, ...]]:
    """Finds the nearest training example of each example of a split, by exhaustive search.

    Args:
        data: Scanned.
        name: The input whose features are compared.
        split: Whose examples.
        screen: Where progress goes.
        parts: What is compared; each part has its own nearest example.
        groups: Search within the example's group; among all training examples where the group has none. One group if not given.

    Returns:
        The index of the nearest readable training example by each part, for each readable example of the split.
    """
    step = stride(data, name)
    if step > 1:
        screen.say(f"evaluate  the nearest example is searched among {-(-data.sizes['train'] // step):,} of 'train'")

    # Training examples are sorted by group, so that an example is compared with a slice of the table and no others.
    train_groups = np.zeros(-(-data.sizes["train"] // step), int) if groups is None else groups.train[::step]
    split_groups = np.zeros(data.sizes[split], int) if groups is None else groups.split
    order = np.argsort(train_groups, kind="stable")
    tables = _gather(_compared(examples_of(data, "train", step), name, parts), np.argsort(order))
    squares, start = [np.einsum("nd,nd->n", table, table) for table in tables], 0
    for queries in _compared(examples_of(data, split), name, parts):
        query_groups = split_groups[start : start + len(queries[0])]
        nearest = np.empty((len(queries[0]), len(parts)), int)
        start += len(query_groups)
        for group in np.unique(query_groups):
            first, end = np.searchsorted(train_groups, [group, group + 1], sorter=order)
            among, rows = slice(first, end) if first < end else slice(None), query_groups == group
            for part, (square, query, table) in enumerate(zip(squares, queries, tables, strict=True)):
                distances = square[among] - 2 * query[rows] @ table[among].T  # squared, less a constant for each query
                nearest[rows, part] = step * order[among][np.argmin(distances, axis=1)]
        yield from map(tuple, nearest.tolist())


def stride(data: Data, name: str) -> int:
    """Returns n, where every n-th training example is searched: evenly spaced, and few enough to fit into memory."""
    size = 4 * math.prod(data.processors[name].features["shape"])
    return -(-data.sizes["train"] // max(1, min(MAX_EXAMPLES, MAX_BYTES // size)))


def _compared(examples: tf.data.Dataset, name: str, parts: Sequence[Part]) -> Iterator[list[np.ndarray]]:
    """Reads what is compared of a batch of examples, an array for each part."""
    for batch in examples.map(lambda example: (example[name], example[mask_of(name)])).batch(256).as_numpy_iterator():
        yield [_flat(part(*batch)) for part in parts]


def _gather(batches: Iterable[Sequence[np.ndarray]], places: np.ndarray) -> list[np.ndarray]:
    """Concatenates batches of rows, with row i moved to `places[i]`; each batch holds one array for each part."""
    tables: list[np.ndarray] = []
    start = 0
    for batch in batches:
        tables = tables or [np.empty((len(places), rows.shape[1]), rows.dtype) for rows in batch]
        for table, rows in zip(tables, batch, strict=True):
            table[places[start : start + len(rows)]] = rows
        start += len(batch[0])
    return tables


def _flat(batch: Any) -> Any:
    """Flattens features to `(batch, numbers)`, float32. Bytes become 0 to 1; the order of distances stays."""
    return batch.reshape(len(batch), -1).astype("float32") / 255
