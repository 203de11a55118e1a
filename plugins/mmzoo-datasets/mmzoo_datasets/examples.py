"""Rows of a table -> examples, divided into splits. Imports no TensorFlow."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from os.path import normpath, sep
from pathlib import Path
from typing import Any

from mmzoo import DataError
from mmzoo_datasets.table import Row, read_rows

SYNONYMS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Values of a split column, in upper or lower case -> split."""
KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
"""Types of values, with their names in messages."""


@dataclass(frozen=True)
class Layout:
    """How to read a table; see the options of `Files`."""

    table: Path
    root: Path
    fields: Sequence[str]
    files: Sequence[str]
    videos: Sequence[str]
    optional: Sequence[str]
    lists: Mapping[str, Sequence[str]]
    group_by: str | None
    split_column: str | None

    @property
    def paths(self) -> Sequence[str]:
        """Fields whose cells are paths."""
        return (*self.files, *self.videos)

    @property
    def single(self) -> set[str]:
        """Columns that have the same value in all rows of a group."""
        return {*self.paths, *filter(None, [self.group_by, self.split_column])} - set(self.lists)

    def path(self, cell: str) -> str:
        """Returns the path of the file that a cell names."""
        return normpath(self.root / cell)


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        line: Line number of its first row in the table.
        values: Field -> values, always a list.
        split: The value of the split column.
        fault: Why the example cannot be used; empty if it can.
    """

    line: int
    values: Mapping[str, list[Any]]
    split: Any = None
    fault: str = ""


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
    kinds: dict[str, type]


def read_examples(layout: Layout) -> Examples:
    """Reads the whole table.

    Raises:
        DataError: The table is not valid; the message has the line number.
    """
    rows = list(read_rows(layout.table))
    if not rows:
        raise DataError(f"the table {layout.table} has no rows.")
    listed = {name for row in rows for name, cell in row.cells.items() if isinstance(cell, list)} | set(layout.lists)
    if layout.group_by is not None:
        listed |= set(layout.fields) - layout.single
    kinds = {name: _kind(layout, name, rows) for name in layout.fields}
    for name in layout.optional:
        if kinds[name] is not str:
            raise DataError(f"option optional: the column '{name}' holds {KINDS[kinds[name]]}; expected text or files.")
    return Examples([_example(layout, group) for group in _groups(layout, rows)], listed & set(layout.fields), kinds)


def split_by_column(layout: Layout, examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Divides examples by the split column.

    Raises:
        DataError: A value is not the name of a split, or a file is in two splits.
    """
    splits: dict[str, list[Example]] = {}
    seen: dict[str, tuple[str, int]] = {}
    for example in examples:
        split = SYNONYMS.get(str(example.split).strip().lower())
        if split is None:
            what = f"the column '{layout.split_column}' holds {example.split!r}; expected one of {', '.join(SYNONYMS)}."
            raise DataError(f"{layout.table}:{example.line}: {what}")
        for path in _paths(layout, example):
            other, line = seen.setdefault(path, (split, example.line))
            if other != split:
                what = f"{path} is in the split '{split}' here, but in '{other}' in line {line}."
                raise DataError(f"{layout.table}:{example.line}: {what}\nPut all rows of a file into one split.")
        splits.setdefault(split, []).append(example)
    return splits


def split_by_share(
    layout: Layout, examples: Sequence[Example], shares: Mapping[str, float], seed: int
) -> dict[str, list[Example]]:
    """Draws a share of the examples for each given split; the rest is `train`. Examples that share a file stay together.

    Raises:
        DataError: There are too few examples.
    """
    keyed = [*zip(_keys(layout, examples), examples, strict=True)]
    # Sorting by a hash makes the splits independent of the order of the rows. When rows are added, few examples change their
    # split. Hashing the path relative to the root makes the splits independent of the location of the folder.
    root = normpath(layout.root) + sep
    order = sorted({key for key, _ in keyed}, key=lambda key: blake2b(f"{seed} {key.removeprefix(root)}".encode()).digest())
    counts = {split: max(1, round(share * len(order))) for split, share in shares.items() if share > 0}
    if sum(counts.values()) >= len(order):
        what = f"{len(order)} different examples are too few for the splits train, {', '.join(counts)}."
        raise DataError(f"{layout.table}: {what}\nAdd some, or set a split's share to 0.")
    names = iter([split for split, count in counts.items() for _ in range(count)])
    chosen = {key: next(names, "train") for key in order}
    splits: dict[str, list[Example]] = {}
    for key, example in keyed:
        splits.setdefault(chosen[key], []).append(example)
    return splits


def _kind(layout: Layout, name: str, rows: Iterable[Row]) -> type:
    """Returns the type of a field's values; int and float together are float."""
    kind: type = str
    first = 0
    for line, cell in _filled(layout, name, rows):
        cell_kind = type(cell)
        if cell_kind not in KINDS or (cell_kind is int and abs(cell) >= 2**63):
            what = f"the column '{name}' holds {json.dumps(cell)[:40]}; expected text, a number of 64 bits or a list of them."
            raise DataError(f"{layout.table}:{line}: {what}\nLeave it out by naming the `columns` to read.")
        if name in layout.paths and cell_kind is not str:
            raise DataError(f"{layout.table}:{line}: the column '{name}' holds {cell!r}; expected the path of a file.")
        if first == 0:
            kind, first = cell_kind, line
        elif {kind, cell_kind} == {int, float}:
            kind = float
        elif kind is not cell_kind:
            what = f"the column '{name}' holds {KINDS[cell_kind]}, but {KINDS[kind]} in line {first}."
            raise DataError(f"{layout.table}:{line}: {what}\nA column holds one type.")
    return kind


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
        groups.setdefault(json.dumps(row.cells.get(layout.group_by)), []).append(row)
    return groups.values()


def _example(layout: Layout, rows: list[Row]) -> Example:
    for name in layout.single:
        _check_same(layout, name, rows)
    values = {name: _values(layout, name, rows) for name in layout.fields}
    needed = {name: cells for name, cells in values.items() if name not in (*layout.optional, *layout.videos)}
    empty = next((name for name, cells in needed.items() if not cells or any(map(blank, cells))), None)
    fault = "" if empty is None else f"the column '{empty}' is empty (`columns` names those to read)"
    return Example(rows[0].line, values, rows[0].cells.get(layout.split_column or ""), fault)


def _values(layout: Layout, name: str, rows: list[Row]) -> list[Any]:
    used = rows[:1] if name in layout.single else rows
    return [cell for row in used for cell in _cells(layout, name, row)]


def _check_same(layout: Layout, name: str, rows: list[Row]) -> None:
    first = rows[0]
    for row in rows[1:]:
        if row.cells.get(name) != first.cells.get(name):
            what = f"the column '{name}' holds {row.cells.get(name)!r}, but {first.cells.get(name)!r} in line {first.line}"
            group = f"which has the same '{layout.group_by}', {first.cells.get(str(layout.group_by))!r}"
            raise DataError(f"{layout.table}:{row.line}: {what}, {group}.\nRows of one group name one file and one split.")


def _paths(layout: Layout, example: Example) -> list[str]:
    """Returns the paths of all files of an example."""
    return [layout.path(cell) for name in layout.paths for cell in example.values[name] if not blank(cell)]


def _keys(layout: Layout, examples: Iterable[Example]) -> list[str]:
    """Returns a key for each example; examples with the same key must be in the same split.

    Examples that are connected by shared files, also through other examples, have the same key: the smallest of their first
    paths (union-find). The key of an example without files is its group, or else all its values.
    """
    parts = [_paths(layout, example) or [_whole(layout, example)] for example in examples]
    parent: dict[str, str] = {}

    def root_of(part: str) -> str:
        while parent.setdefault(part, part) != part:
            parent[part] = part = parent[parent[part]]  # path compression
        return part

    for first, *others in parts:
        for other in others:
            parent[root_of(other)] = root_of(first)
    least: dict[str, str] = {}
    for first, *_ in parts:
        least[root_of(first)] = min(first, least.get(root_of(first), first))
    return [least[root_of(first)] for first, *_ in parts]


def _whole(layout: Layout, example: Example) -> str:
    group = example.values.get(layout.group_by or "")
    return json.dumps(dict(example.values) if group is None else group, sort_keys=True)
