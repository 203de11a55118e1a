"""Scans a split: reads it once, counts its examples, and finds those that cannot be read."""

from collections import Counter
from collections.abc import Iterator

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import mask_of
from mmzoo.data.splits import CHUNK, Batch, Data
from mmzoo.errors import DataError


def scan(data: Data, split: str, screen: Screen) -> None:
    """Reads a split once, counts its examples, and finds those that cannot be read.

    Args:
        data: Its `sizes`, `faults` and `readable` are set for the split.
        split: Name of the split.
        screen: Shows the progress, and how many examples are skipped or have a missing input.

    Raises:
        DataError: Some examples cannot be read and the recipe says to stop; or no example can be read.
    """
    examples = list(screen.track(_scanned(data, split), f"read {split}", data.cardinality(split)))
    total, faults = len(examples), [f"{row}: {reason}" for row, reason, _ in examples if reason]
    data.sizes[split], data.faults[split] = total - len(faults), faults
    data.readable[split] = [not reason for _, reason, _ in examples]
    if faults and data.plan.on_error == "stop":
        advice = "Repair or remove them, or leave them out with `on_error: skip` under `data`."
        raise DataError(f"{len(faults)} of the {total} examples of '{split}' cannot be read.\n{first_faults(faults)}\n{advice}")
    if faults:
        screen.say(f"data      left out {len(faults)} of the {total} examples of '{split}':\n{first_faults(faults)}")
    if total == len(faults):
        raise DataError(f"the split '{split}' has no example that can be read ({total} in all).")
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


def first_faults(faults: list[str], limit: int = 10) -> str:
    """Formats the first faults, one a line, and the number of the others."""
    rest = f"\n  ... and {len(faults) - limit} more" if len(faults) > limit else ""
    return "\n".join(f"  {fault}" for fault in faults[:limit]) + rest
