"""Examples of a table -> a split that reads its columns, and the files that they name, by number. Imports no TensorFlow."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmzoo import ROW, FieldSpec, fault_of
from mmzoo_datasets.clip_store import Clips, read_kept
from mmzoo_datasets.examples import Example, Layout, blank

TYPES: dict[type, tuple[Any, pa.DataType]] = {
    str: ("string", pa.large_string()),
    bool: ("bool", pa.bool_()),
    int: ("int64", pa.int64()),
    float: ("float32", pa.float32()),
}
"""Type of a cell -> the dtype of its field, and the type of its column in memory."""


class TableSplit:
    """A split of a table; an `mmzoo.Indexed`. Columns are kept in memory, files are read when somebody asks.

    Args:
        layout: How the table is read.
        examples: The examples of the split.
        kinds: Field -> type of its values.
        listed: Fields with a list of values per example.
        clips: All clips of the table.
    """

    def __init__(
        self, layout: Layout, examples: Sequence[Example], kinds: Mapping[str, type], listed: Collection[str], clips: Clips
    ):
        self.layout, self.listed = layout, listed
        self.specs = {field: self._spec(field, kinds[field]) for field in layout.fields}
        self.columns = {field: self._column(field, kinds[field], examples, clips) for field in layout.fields}
        self.lines = np.array([example.line for example in examples])
        self.faults: dict[str, dict[int, str]] = {field: {} for field in layout.fields}
        for number, example in enumerate(examples):
            for field, fault in example.faults.items():
                self.faults[field][number] = fault
            for field in layout.videos:
                clip = clips.get(tuple(layout.paths_in(example, field)))
                if clip and clip.fault:
                    self.faults[field].setdefault(number, f"{field}: {clip.fault}")

    def __len__(self) -> int:
        return len(self.lines)

    def read(self, numbers: np.ndarray, fields: Collection[str]) -> dict[str, list[Any]]:
        """Reads fields of some examples; see `mmzoo.Indexed`."""
        found: dict[str, list[Any]] = {ROW: [f"{self.layout.table.name}:{line}" for line in self.lines[numbers]]}
        for field in fields:
            values = self.columns[field].take(pa.array(numbers)).to_pylist()
            faults = [self.faults[field].get(number, "") for number in numbers.tolist()]
            if field in self.layout.paths:
                values, reasons = self._contents(field, values)
                faults = [known or (reason and f"{field}: {reason}") for known, reason in zip(faults, reasons, strict=True)]
            found |= {field: values, fault_of(field): faults}
        return found

    def _spec(self, field: str, kind: type) -> FieldSpec:
        return FieldSpec(TYPES[kind][0], field in self.listed or field in self.layout.videos)

    def _column(self, field: str, kind: type, examples: Sequence[Example], clips: Clips) -> pa.Array:
        """Returns the values of a field; of files and clips, what is read later. An empty cell is "" or 0."""
        if field in self.layout.videos:
            found = [clips.get(tuple(self.layout.paths_in(example, field))) for example in examples]
            return pa.array([clip.kept if clip else "" for clip in found], pa.large_string())
        cells = [[kind() if blank(cell) else cell for cell in example.values[field]] for example in examples]
        if field in self.layout.files:
            cells = [[cell and self.layout.path(cell) for cell in row] for row in cells]
        of_value = TYPES[kind][1]
        return (
            pa.array(cells, pa.large_list(of_value)) if field in self.listed else pa.array([row[0] for row in cells], of_value)
        )

    def _contents(self, field: str, paths: list[Any]) -> tuple[list[Any], list[str]]:
        """Reads the files of a field: what it holds of each example, and why if a file cannot be read."""
        read: list[tuple[Any, str]]
        if field in self.layout.videos:
            read = [read_kept(path) for path in paths]
        elif field in self.listed:
            files = [list(map(read_file, several)) for several in paths]
            read = [([data for data, _ in one], " ".join(filter(None, (reason for _, reason in one)))) for one in files]
        else:
            read = [read_file(path) for path in paths]
        return [values for values, _ in read], [reason for _, reason in read]


def read_file(path: str) -> tuple[bytes, str]:
    """Reads a file: its contents, and the reason if it has none. The path may be empty."""
    if not path:
        return b"", ""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return b"", f"there is no file {path}"
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        return b"", f"the file {path} cannot be read: {getattr(error, 'strerror', None) or error}"
    return data, "" if data else f"the file {path} is empty"
