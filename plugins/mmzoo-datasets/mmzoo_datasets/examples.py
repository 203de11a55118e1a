"""Rows of a table -> examples. Imports no TensorFlow."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import normalize

from mmzoo import DataError
from mmzoo_datasets.cells import Quoting, Row
from mmzoo_datasets.table import read_rows

KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
"""Types of values, with their names in messages."""


@dataclass(frozen=True)
class Layout:
    """How to read a table; see the options of `Files`.

    Args:
        listings: Folder -> the names in it by their normal form C, filled as folders are looked at.
    """

    table: Path
    root: Path
    fields: Sequence[str]
    files: Sequence[str]
    videos: Sequence[str]
    optional: Sequence[str]
    lists: Mapping[str, Sequence[str]]
    group_by: str | None
    split_column: str | None
    quoting: Quoting
    listings: dict[Path, dict[str, str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def paths(self) -> Sequence[str]:
        """Fields whose cells are paths."""
        return (*self.files, *self.videos)

    @property
    def single(self) -> set[str]:
        """Columns that have the same value in all rows of a group."""
        return {*self.paths, *filter(None, [self.group_by, self.split_column])} - set(self.lists)

    def path(self, cell: str) -> str:
        """Returns the path of the file that a cell names, in the Unicode form of the name on the disk."""
        path = normpath(self.root / cell)
        return path if cell.isascii() else str(on_disk(Path(path), self.listings))

    def paths_in(self, example: "Example", field: str) -> list[str]:
        """Returns the paths of the files that a field of an example names."""
        return [self.path(cell) for cell in example.values[field] if not blank(cell)]


def on_disk(path: Path, listings: dict[Path, dict[str, str]]) -> Path:
    """Returns a path in the Unicode form that its names have on the disk; `listings` keeps what folders hold."""
    try:
        if path.exists() or path == path.parent:
            return path
        folder = on_disk(path.parent, listings)
        if folder not in listings:
            listings[folder] = {nfc(file.name): file.name for file in folder.iterdir()}
    except OSError:  # the message of the file that cannot be read says why
        return path
    return folder / listings[folder].get(nfc(path.name), path.name)


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        line: Line number of its first row in the table.
        values: Field -> values, always a list; None for a value that cannot be read.
        faults: Field -> why it cannot be read; fields that can be read are not in it.
        split: The value of the split column.
    """

    line: int
    values: Mapping[str, list[Any]]
    faults: Mapping[str, str]
    split: Any = None


@dataclass(frozen=True)
class Examples:
    """All examples of a table, in the order of their first rows.

    Args:
        all: The examples.
        listed: Fields with a list of values per example.
        kinds: Field -> type of its values.
    """

    all: list[Example]
    listed: set[str]
    kinds: Mapping[str, type]


class Kind(NamedTuple):
    """The type of a field's values, and the line number of the first one."""

    type: type
    line: int


def read_examples(layout: Layout) -> Examples:
    """Reads the whole table.

    Raises:
        DataError: The table is not valid; the message has the line number.
    """
    rows = list(read_rows(layout.table, layout.quoting))
    if not rows:
        raise DataError(f"the table {layout.table} has no rows.")
    listed = {name for row in rows for name, cell in row.cells.items() if isinstance(cell, list)} | set(layout.lists)
    if layout.group_by is not None:
        listed |= set(layout.fields) - layout.single
    kinds = {name: _kind(layout, name, rows) for name in layout.fields}
    for name in layout.optional:
        if kinds[name].type is not str:
            raise DataError(f"option optional: the column '{name}' holds {KINDS[kinds[name].type]}; expected text or files.")
    examples = [_example(layout, group, kinds) for group in _groups(layout, rows)]
    return Examples(examples, listed & set(layout.fields), {name: kind.type for name, kind in kinds.items()})


def _kind(layout: Layout, name: str, rows: Iterable[Row]) -> Kind:
    """Returns the type of a field's values: that of the first one. If that is int and another one is a float, it is float."""
    if name in layout.paths:
        return Kind(str, 0)
    found = [(type(cell), line) for line, cell in _filled(layout, name, rows) if type(cell) in KINDS]
    kind, line = found[0] if found else (str, 0)
    return Kind(float if kind is int and any(other is float for other, _ in found) else kind, line)


def _filled(layout: Layout, name: str, rows: Iterable[Row]) -> Iterator[tuple[int, Any]]:
    return ((row.line, cell) for row in rows for cell in _cells(layout, name, row) if not blank(cell))


def _cells(layout: Layout, name: str, row: Row) -> list[Any]:
    if name in layout.lists:
        return [cell for column in layout.lists[name] if not blank(cell := row.cells.get(column))]
    cell = row.cells.get(name)
    return cell if isinstance(cell, list) else [cell]


def blank(cell: Any) -> bool:
    """Returns whether a cell is empty."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _groups(layout: Layout, rows: list[Row]) -> Iterable[list[Row]]:
    if layout.group_by is None:
        return ([row] for row in rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(json.dumps(nfc(row.cells.get(layout.group_by))), []).append(row)
    return groups.values()


def _example(layout: Layout, rows: list[Row], kinds: Mapping[str, Kind]) -> Example:
    for name in layout.single:
        _check_same(layout, name, rows)
    cells = {name: _values(layout, name, rows) for name in layout.fields}
    values = {name: [None if _misfit(cell, kinds[name]) else cell for cell in cells[name]] for name in cells}
    faults = {name: fault for name in cells if (fault := _fault(layout, name, cells[name], kinds[name]))}
    return Example(rows[0].line, values, faults, rows[0].cells.get(layout.split_column or ""))


def _fault(layout: Layout, name: str, cells: list[Any], kind: Kind) -> str:
    """Returns why a field of an example cannot be read; empty if it can."""
    if misfit := next(filter(None, (_misfit(cell, kind) for cell in cells)), None):
        expected = "the path of a file" if name in layout.paths else misfit
        found = next(json.dumps(cell, ensure_ascii=False)[:40] for cell in cells if _misfit(cell, kind))
        return f"the column '{name}' holds {found}; expected {expected}"
    may_be_empty = name in (*layout.optional, *layout.videos)
    return "" if may_be_empty or (cells and not any(map(blank, cells))) else f"the column '{name}' is empty"


def _misfit(cell: Any, kind: Kind) -> str:
    """Returns what is expected instead of a cell that cannot be a value of its column; empty if it can."""
    if type(cell) not in KINDS or (type(cell) is int and abs(cell) >= 2**63):
        return "" if blank(cell) else "text, a number of 64 bits or a list of them"
    fits = blank(cell) or type(cell) is kind.type or (type(cell) is int and kind.type is float)
    return "" if fits else f"{KINDS[kind.type]} as in line {kind.line}"


def _values(layout: Layout, name: str, rows: list[Row]) -> list[Any]:
    used = rows[:1] if name in layout.single else rows
    return [cell for row in used for cell in _cells(layout, name, row)]


def _check_same(layout: Layout, name: str, rows: list[Row]) -> None:
    first = rows[0]
    for row in rows[1:]:
        if nfc(row.cells.get(name)) != nfc(first.cells.get(name)):
            what = f"the column '{name}' holds {row.cells.get(name)!r}, but {first.cells.get(name)!r} in line {first.line}"
            group = f"which has the same '{layout.group_by}', {first.cells.get(str(layout.group_by))!r}"
            raise DataError(f"{layout.table}:{row.line}: {what}, {group}.\nRows of one group name one file and one split.")


def nfc(value: Any) -> Any:
    """Brings texts, also in lists and dicts, to Unicode's normal form C, so that two spellings of one name are equal."""
    if isinstance(value, str):
        return normalize("NFC", value)
    if isinstance(value, dict):
        return {nfc(key): nfc(one) for key, one in value.items()}
    return [nfc(one) for one in value] if isinstance(value, list) else value
