"""A table (CSV or JSON lines, UTF-8) -> rows with their line numbers. Imports no TensorFlow."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmzoo import DataError

CELLS = (".csv", ".tsv", ".txt")
"""Suffixes of CSV tables, with a header."""
LINES = (".jsonl", ".ndjson")
"""Suffixes of tables with one JSON object per line."""
SEPARATORS = ",;\t"


class Row(NamedTuple):
    """One row: the line number where it begins, and its cells by column."""

    line: int
    cells: dict[str, Any]


def read_columns(table: Path) -> list[str]:
    """Reads the names of the columns: the header of a CSV table, or the keys of the first JSON object.

    Raises:
        DataError: The table cannot be read, or its first line is not valid.
    """
    first = next(_read(table, header=True), None)
    if first is None:
        example = '{"image": "a.jpg", "caption": "A dog."}' if table.suffix.lower() in LINES else "image,caption"
        raise DataError(f"{table} is empty; expected a first line such as `{example}`.")
    return list(first.cells)


def read_rows(table: Path) -> Iterator[Row]:
    """Reads the rows one by one; skips empty lines.

    Raises:
        DataError: A line is not UTF-8, has another number of cells than the header, or is not a JSON object.
    """
    return _read(table, header=False)


def _read(table: Path, header: bool) -> Iterator[Row]:
    suffix = table.suffix.lower()
    if suffix not in CELLS + LINES:
        known = ", ".join(CELLS + LINES)
        raise DataError(f"{table}: the suffix '{table.suffix}' is not supported; expected one of {known}.")
    try:
        with table.open("rb") as file:
            lines = _decode(table, file)
            yield from _read_objects(table, lines) if suffix in LINES else _read_cells(table, lines, header)
    except OSError as error:
        start = "" if table.is_absolute() else f"\nThe path starts in the current folder, {Path.cwd()}."
        raise DataError(f"the table {table} cannot be read: {error.strerror or error}.{start}") from error


def _decode(table: Path, lines: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x} at position {error.start + 1}"
            raise DataError(f"{table}:{number}: {found} is not UTF-8.\nSave the table as UTF-8.") from error


def _read_cells(table: Path, lines: Iterator[str], header: bool) -> Iterator[Row]:
    first = next(lines, "")
    separator = max(SEPARATORS, key=first.count)
    rows = csv.reader(_chain(first, lines), delimiter=separator, strict=True, skipinitialspace=True)
    names: list[str] = []
    for line, cells in _numbered(table, rows):
        if not names:
            names = _names(table, line, cells)
            if header:
                yield Row(line, dict.fromkeys(filter(None, names)))
        elif len(cells) != len(names):
            what = f"{table}:{line}: found {len(cells)} cells, expected {len(names)} ({', '.join(names)})."
            raise DataError(f"{what}\nA cell that contains a '{separator}' must be in double quotes.")
        else:
            yield Row(line, {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name})


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _numbered(table: Path, rows: Any) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = rows.line_num + 1  # a quoted cell may span several lines
        try:
            cells = next(rows, None)
        except csv.Error as error:
            advice = "Put a cell that contains a double quote in double quotes, and write that quote twice."
            raise DataError(f"{table}:{line}: not valid CSV: {error}.\n{advice}") from error
        if cells is None:
            return
        if cells:
            yield line, cells


def _names(table: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{table}:{line}: the header names '{twice[0]}' twice.")
    return names


def _read_objects(table: Path, lines: Iterator[str]) -> Iterator[Row]:
    for line, text in enumerate(lines, 1):
        if text.strip():
            try:
                found = json.loads(text, object_pairs_hook=_unique)
                if "\\u" in text:  # half of a surrogate pair is not a character
                    json.dumps(found, ensure_ascii=False).encode()
            except (ValueError, RecursionError) as error:
                raise DataError(f"{table}:{line}: not valid JSON: {error}.\nEach line must be one JSON object.") from error
            if not isinstance(found, dict):
                raise DataError(f"{table}:{line}: found {text.strip()[:40]}, expected a JSON object such as {{...}}.")
            yield Row(line, found)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' occurs twice in one object")
    return found
