"""Scans a split: reads it once, counts it, and finds the examples that cannot be read."""

from collections import Counter
from collections.abc import Iterator

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.streams import mask_of
from mmzoo.data.splits import CHUNK, Batch, Data
from mmzoo.errors import DataError


def scan(data: Data, split: str, screen: Screen) -> None:
    """Reads a split once, counts it, and finds the examples that cannot be read.

    Raises:
        DataError: There are some, and the recipe says to stop; or none is readable.
    """
    found = list(screen.track(_rows(data, split), f"read {split}", data.cardinality(split)))
    total, faults = len(found), [f"{row}: {reason}" for row, reason, _ in found if reason]
    data.sizes[split], data.faults[split] = total - len(faults), faults
    data.readable[split] = [not reason for _, reason, _ in found]
    if faults and data.plan.on_error == "stop":
        advice = "Mend or remove them, or leave them out with `on_error: skip` under `data`."
        raise DataError(f"{len(faults)} of the {total} examples of '{split}' cannot be read.\n{_some(faults)}\n{advice}")
    if faults:
        screen.say(f"data      left out {len(faults)} of the {total} examples of '{split}':\n{_some(faults)}")
    if total == len(faults):
        raise DataError(f"the split '{split}' has no example that can be read ({total} in all).")
    for name, count in Counter(name for _, reason, lacking in found if not reason for name in lacking).items():
        screen.say(f"data      {name} is lacking in {count} of the {data.sizes[split]} examples of '{split}'")


def _rows(data: Data, split: str) -> Iterator[tuple[str, str, list[str]]]:
    """Processes every example, which keeps it in memory if it fits; gives its row, its fault, and what it lacks."""
    names = [name for name in data.plan.encoders if data.plan.inputs[name].optional]

    def seen(example: Batch) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
        return example[ROW], example[FAULT], tuple(~tf.reduce_any(example[mask_of(name)]) for name in names)

    for rows, faults, lacking in data.processed(split).map(seen).batch(CHUNK):
        lacked = [[name for name, one in zip(names, row, strict=True) if one] for row in zip(*lacking, strict=True)]
        texts = [map(bytes.decode, column.numpy()) for column in (rows, faults)]
        yield from zip(*texts, lacked or [[]] * len(rows), strict=True)


def _some(faults: list[str], most: int = 10) -> str:
    rest = f"\n  ... and {len(faults) - most} more" if len(faults) > most else ""
    return "\n".join(f"  {fault}" for fault in faults[:most]) + rest
