"""Scans a split: reads it once, counts its examples, and finds those that cannot be read."""

from collections import Counter
from collections.abc import Iterator

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import mask_of
from mmzoo.data.splits import CHUNK, Batch, Data
from mmzoo.errors import DataError


def scan(data: Data, split: str, screen: Screen, most: int | None = None) -> None:
    """Reads a split once, counts its examples, and finds those that cannot be read.

    Args:
        data: Its `sizes`, `faults` and `readable` are set for the split.
        split: Name of the split.
        screen: Shows the progress, and how many examples are skipped or have a missing input.
        most: Read only the first so many examples; the split has no others then.

    Raises:
        DataError: Some examples cannot be read and the recipe says to stop; or no example can be read.
    """
    if most is not None:
        data.raw[split] = data.raw[split].take(most)
    examples = list(screen.track(_scanned(data, split), f"read {split}", data.cardinality(split)))
    total, faults = len(examples), [f"{row}: {reason}" for row, reason, _ in examples if reason]
    data.sizes[split], data.faults[split] = total - len(faults), faults
    data.readable[split] = [not reason for _, reason, _ in examples]
    all_read = f"{'first ' if most is not None else ''}{total} examples of '{split}'"
    if faults and data.plan.on_error == "stop":
        raise unreadable(faults, all_read)
    if faults:
        screen.say(f"data      left out {len(faults)} of the {all_read}:\n{first_faults(faults)}")
    if total == len(faults):
        raise DataError(f"none of the {all_read} can be read.")
    for name, count in Counter(name for _, reason, missing in examples if not reason for name in missing).items():
        screen.say(f"data      {name} is missing in {count} of the {data.sizes[split]} examples of '{split}'")


def _scanned(data: Data, split: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yields the row, the fault and the missing inputs of each example. This also fills the cache of processed examples."""
    names = [name for name in data.plan.encoders if data.plan.inputs[name].optional]

    def summary(example: Batch) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
        return example[ROW], example[FAULT], tuple(~tf.reduce_any(example[mask_of(name)]) for name in names)

    for rows, faults, absent in data.processed(split).map(summary).batch(CHUNK):
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
