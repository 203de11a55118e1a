"""Scored rows in a temporary file: a split may have more of them than fit into memory, each with a picture that was drawn."""

import pickle
import tempfile
import weakref
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from mmzoo.run.atomic import writing

Row = dict[str, Any]


class Rows(Sequence[Row]):
    """A list of rows that grows at its end, and lies in a temporary file. A row that is read is a copy."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the rows
        self._starts = array("Q")
        weakref.finalize(self, self._file.close)

    def append(self, row: Row) -> None:
        """Adds a row.

        Raises:
            RunError: The disk of temporary files is full.
        """
        with writing(Path(tempfile.gettempdir())):
            self._starts.append(self._file.seek(0, 2))
            pickle.dump(row, self._file)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        self._file.seek(self._starts[index])
        return dict(pickle.load(self._file))

    def __iter__(self) -> Iterator[Row]:
        return (self[number] for number in range(len(self)))
