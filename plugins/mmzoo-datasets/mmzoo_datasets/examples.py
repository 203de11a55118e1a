"""Rows of a user's table -> examples, and their division into splits. Light: no TensorFlow."""

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
"""What a split column may hold, in upper or lower case."""
KINDS: dict[type, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
"""The types that a value may have."""


@dataclass(frozen=True)
class Layout:
    """How a table is read: see the options of `Files`."""

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
        """The fields whose cells are paths."""
        return (*self.files, *self.videos)

    @property
    def single(self) -> set[str]:
        """The columns in which the rows of a group agree."""
        return {*self.paths, *filter(None, [self.group_by, self.split_column])} - set(self.lists)

    def path(self, cell: str) -> str:
        """Gives the path of the file that a cell names."""
        return normpath(self.root / cell)


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        line: Of the table, where its first row begins.
        values: Those of each field, as a list.
        split: What the split column says.
        fault: Why it cannot be used; empty for a good one.
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
        listed: The fields that hold a list for each example.
        kinds: The type of each field's values.
    """

    all: list[Example]
    listed: set[str]
    kinds: dict[str, type]


def read_examples(layout: Layout) -> Examples:
    """Reads the whole table.

    Raises:
        DataError: The table is at fault; the message names the line.
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
    """Divides examples as the split column says.

    Raises:
        DataError: The column holds no split's name; or one file is in two splits.
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
    """Holds out a share of the examples for each of some splits, and trains on the rest; those that share a file stay together.

    Raises:
        DataError: There are too few of them.
    """
    keyed = [*zip(_keys(layout, examples), examples, strict=True)]
    # In the order of a hash the choice depends neither on the rows' order nor, but for a few, on rows added later; and a
    # file counts by its path in the folder, so that it does not depend on where the folder is.
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
    """Finds the one type of a field's values; whole numbers beside others are numbers."""
    kind: type = str
    first = 0
    for line, cell in _filled(layout, name, rows):
        found = type(cell)
        if found not in KINDS or (found is int and abs(cell) >= 2**63):
            what = f"the column '{name}' holds {json.dumps(cell)[:40]}; expected text, a number of 64 bits or a list of them."
            raise DataError(f"{layout.table}:{line}: {what}\nLeave it out by naming the `columns` to read.")
        if name in layout.paths and found is not str:
            raise DataError(f"{layout.table}:{line}: the column '{name}' holds {cell!r}; expected the path of a file.")
        if first == 0:
            kind, first = found, line
        elif {kind, found} == {int, float}:
            kind = float
        elif kind is not found:
            what = f"the column '{name}' holds {KINDS[found]}, but {KINDS[kind]} in line {first}."
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
    """Whether a cell is empty."""
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
    """Gives the paths of all files of an example."""
    return [layout.path(cell) for name in layout.paths for cell in example.values[name] if not blank(cell)]


def _keys(layout: Layout, examples: Iterable[Example]) -> list[str]:
    """Names for each example what may not be in two splits; examples that files join, if only through others, have one name.

    It is the least of their first files; of an example without files the group, or else the whole example.
    """
    parts = [_paths(layout, example) or [_whole(layout, example)] for example in examples]
    ahead: dict[str, str] = {}

    def head(part: str) -> str:
        while ahead.setdefault(part, part) != part:
            ahead[part] = part = ahead[ahead[part]]  # shortens the way of those who come later
        return part

    for first, *others in parts:
        for other in others:
            ahead[head(other)] = head(first)
    least: dict[str, str] = {}
    for first, *_ in parts:
        least[head(first)] = min(first, least.get(head(first), first))
    return [least[head(first)] for first, *_ in parts]


def _whole(layout: Layout, example: Example) -> str:
    group = example.values.get(layout.group_by or "")
    return json.dumps(dict(example.values) if group is None else group, sort_keys=True)
