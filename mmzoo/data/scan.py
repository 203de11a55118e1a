"""Scans a split: counts its examples, and finds those that cannot be read."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import mask_of
from mmzoo.data.raw_split import CHUNK, Batch
from mmzoo.data.splits import Data
from mmzoo.errors import DataError

SCANNED, TRIED = 20_000, 256
"""The most examples of a split that no memory holds which are read for the scan alone; and how many of a larger one are."""


def scan(data: Data, split: str, screen: Screen) -> None:
    """Counts the examples of a split and finds those that cannot be read, by reading it once.

    Of a large split that is not kept in memory only the first examples are tried. The others count as readable, and those that
    are not are found when they are needed.

    Args:
        data: Its `sizes`, `faults` and `readable` are set for the split.
        split: Name of the split.
        screen: Shows the progress, and how many examples are skipped or have a missing input.

    Raises:
        DataError: Some examples cannot be read and the recipe says to stop; or no example can be read.
    """
    size = data.cardinality(split)
    large = size is not None and size > SCANNED and not data.is_cached(split)
    examples = list(screen.track(_scanned(data, split, TRIED if large else -1), f"read {split}", TRIED if large else size))
    total, faults = len(examples), [f"{row}: {reason}" for row, reason, _ in examples if reason]
    readable = np.array([not reason for _, reason, _ in examples], bool)
    if large and size is not None:
        readable = np.concatenate([readable, np.ones(size - total, bool)])
        screen.say(f"data      tried the first {total} of the {size:,} examples of '{split}'; the others are read when needed")
    data.sizes[split], data.faults[split], data.readable[split] = len(readable) - len(faults), faults, readable
    all_read = f"{'first ' if large or data.raw[split].most is not None else ''}{total} examples of '{split}'"
    if faults and data.plan.on_error == "stop":
        raise unreadable(faults, all_read)
    if faults:
        screen.say(f"data      left out {len(faults)} of the {all_read}:\n{first_faults(faults)}")
    if total == len(faults):
        raise DataError(f"none of the {all_read} can be read.")
    for name, count in Counter(name for _, reason, missing in examples if not reason for name in missing).items():
        screen.say(
            f"data      {name} is missing in {count} of the {total - len(faults)} {'tried ' * large}examples of '{split}'"
        )


def _scanned(data: Data, split: str, most: int) -> Iterator[tuple[str, str, list[str]]]:
    """Yields the row, the fault and the missing inputs of each example. This also fills the cache of processed examples."""
    names = [name for name in data.plan.encoders if data.plan.inputs[name].optional]

    def summary(example: Batch) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
        return example[ROW], example[FAULT], tuple(~tf.reduce_any(example[mask_of(name)]) for name in names)

    for rows, faults, absent in data.processed(split).take(most).map(summary).batch(CHUNK):
        missing = [[name for name, flag in zip(names, flags, strict=True) if flag] for flags in zip(*absent, strict=True)]
        texts = [map(bytes.decode, column.numpy()) for column in (rows, faults)]
        yield from zip(*texts, missing or [[]] * len(rows), strict=True)


def unreadable(faults: list[str], of: str) -> DataError:
    """Returns the error for examples that cannot be read.

    Args:
        faults: The row of each, and why.
        of: What they are among, such as `3 examples of 'train'`.
    """
    advice = "Repair or remove them, or leave them out with `on_error: skip` under `data`."
    return DataError(f"{len(faults)} of the {of} cannot be read.\n{first_faults(faults)}\n{advice}")


def first_faults(faults: list[str], limit: int = 10) -> str:
    """Formats the first faults, one a line, and the number of the others."""
    rest = f"\n  ... and {len(faults) - limit} more" if len(faults) > limit else ""
    return "\n".join(f"  {fault}" for fault in faults[:limit]) + rest
