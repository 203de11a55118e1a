"""Lines of a CSV table -> rows with their line numbers. Imports no TensorFlow."""

import csv
import re
import shlex
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from mmzoo import DataError

SEPARATORS = ",;\t|"
PLAIN = "\t|"
"""Separators of tables that are often written without quoting, so that a double quote may be text."""
LONGEST = 2**31 - 1
"""Largest number of characters in a cell; by default Python's CSV reader refuses more than 131,072."""
EXCEL = re.compile(r'"?sep=(.)"?\s*')
"""A first line with which Excel names the separator."""
FLICKR = re.compile(r"(\S+\.\w+)#(\d+)\t")
"""The start of each line in the caption files of Flickr8k and Flickr30k, which have no header: `1.jpg#0<TAB>A dog.`"""
FILE = re.compile(r"\.(?:jpe?g|png|gif|bmp|webp|tiff?|mp4|avi|mov|webm|mkv)(?:#\d+)?$", re.IGNORECASE)
"""The end of a cell that names a picture or a video."""

Quoting = Literal["auto", "csv", "none"]
"""What double quotes are; see the option `quoting` of `Files`."""


class Row(NamedTuple):
    """One row: the number of the line, or of the JSON object, where it begins, and its cells by column."""

    line: int
    cells: dict[str, Any]


class _SwallowedError(Exception):
    """A cell in double quotes takes in a line that looks like a row."""


class _Lines(Iterator[str]):
    """Lines with their number, which can be put back."""

    def __init__(self, lines: Iterator[str], number: int = 0):
        self.lines, self.number, self.back = lines, number, list[str]()

    def __next__(self) -> str:
        line = self.back.pop() if self.back else next(self.lines)
        self.number += 1
        return line

    def put_back(self, lines: list[str]) -> None:
        self.back += reversed(lines)
        self.number -= len(lines)


def read_cells(table: Path, lines: Iterator[str], quoting: Quoting, header: bool) -> Iterator[Row]:
    """Reads the rows of a table, or its header alone; skips empty lines.

    Args:
        table: The table, for messages.
        lines: Its lines, with their ends.
        quoting: What double quotes are.
        header: Whether to return the header, a row of empty cells.

    Raises:
        DataError: There is no header, or a row has another number of cells; or a cell takes in what looks like other rows.
    """
    first = next(lines, "")
    source, separator = _Lines(lines), max(SEPARATORS, key=first.count)
    if excel := EXCEL.fullmatch(first):
        source.number, separator = 1, excel[1]
    elif FLICKR.match(first):
        source, quoting = _Lines((FLICKR.sub(r"\1\t\2\t", line) for line in lines), -1), "none"
        source.back = [FLICKR.sub(r"\1\t\2\t", first), "image\tnumber\tcaption\n"]
    else:
        source.back = [first]
    names: list[str] = []
    for line, cells in _records(table, source, separator, quoting):
        if not names:
            names = _names(table, line, cells, separator)
            if header:
                yield Row(line, dict.fromkeys(filter(None, names)))
        elif len(cells) != len(names):
            what = f"{table}:{line}: found {len(cells)} cells, expected {len(names)} ({', '.join(names)})."
            advice = "must be in double quotes" if quoting != "none" else "needs double quotes and `quoting: csv`"
            raise DataError(f"{what}\nA cell that contains a '{separator}' {advice}.")
        else:
            yield Row(line, {name: cell.strip() for name, cell in zip(names, cells, strict=True) if name})


def _records(table: Path, source: _Lines, separator: str, quoting: Quoting) -> Iterator[tuple[int, list[str]]]:
    """Yields the cells of each row, with the number of its first line; a cell in double quotes may span several lines."""
    columns = 0
    for first in source:
        start, rest = source.number, list[str]()
        try:
            lines = chain([first], _continued(first, source, rest, separator, columns if quoting == "auto" else 0))
            cells = _plain(first, separator) if quoting == "none" else _quoted(lines, separator)
        except (csv.Error, _SwallowedError) as error:
            cells = _plain(first, separator)
            if quoting == "csv" or separator not in PLAIN or len(cells) != (columns or len(cells)):
                raise DataError(f"{table}:{start}: {_quoting_fault(error, source.number)}") from error
            source.put_back(rest)
        columns = columns or len(cells)
        if cells:
            yield start, cells


def _continued(first: str, source: _Lines, taken: list[str], separator: str, columns: int) -> Iterator[str]:
    """Yields the lines after the first one of a row, and adds them to `taken`.

    Raises:
        _SwallowedError: A line looks like a row of its own: it has as many cells as the table has columns. A line of prose, in
            which a blank follows each comma, looks like one only if the first line is written so too.
    """
    spaced = separator in first and all(cell[:1].isspace() for cell in first.split(separator)[1:])
    for line in source:
        taken.append(line)
        cells = next(csv.reader([line], delimiter=separator))
        if columns > 1 and len(cells) == columns and (spaced or not any(cell[:1].isspace() for cell in cells[1:])):
            raise _SwallowedError
        yield line


def _quoted(lines: Iterable[str], separator: str) -> list[str]:
    """Reads the cells of one row, as CSV has them; takes only the lines of this row."""
    limit = csv.field_size_limit(LONGEST)
    try:
        return next(csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=True))
    finally:
        csv.field_size_limit(limit)


def _plain(line: str, separator: str) -> list[str]:
    """Reads the cells of one row whose double quotes are text."""
    text = line.rstrip("\r\n")
    return text.split(separator) if text else []


def _quoting_fault(error: Exception, line: int) -> str:
    """Returns what is wrong with the double quotes of a row, and what to do."""
    if isinstance(error, _SwallowedError):
        return (
            f"a cell in double quotes begins here and takes in line {line}, which looks like a row of its own.\n"
            "Set `quoting: none` if the quotes are text, or `quoting: csv` if that line is part of the cell."
        )
    return (
        f"not valid CSV: {error}.\n"
        "Put a cell that contains a double quote in double quotes, and write that quote twice; or set `quoting: none` if the "
        "quotes are text."
    )


def _names(table: Path, line: int, cells: list[str], separator: str) -> list[str]:
    names = [normalize("NFC", cell.strip()) for cell in cells]
    if files := list(filter(FILE.search, names)):
        other = "caption" if len(names) == 2 else "column_{}"
        missing = ["image" if name == files[0] else other.format(place) for place, name in enumerate(names, 1)]
        header = separator.join(missing).replace("\t", "\\t")
        what = f"found '{files[0]}', which looks like a file, where the names of the columns are expected."
        raise DataError(f"{table}:{line}: {what}\nWrite a header: sed -i '{line}i {header}' {shlex.quote(str(table))}")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{table}:{line}: the header names '{twice[0]}' twice.")
    return names
