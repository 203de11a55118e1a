"""A table (CSV, JSON lines or JSON, UTF-8) -> rows with their line numbers. Imports no TensorFlow."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mmzoo import DataError
from mmzoo_datasets.cells import Quoting, Row, read_cells

CELLS = (".csv", ".tsv", ".txt", ".token")
"""Suffixes of CSV tables."""
LINES = (".jsonl", ".ndjson")
"""Suffixes of tables with one JSON object per line."""
JSON = (".json",)
"""Suffixes of tables that are one JSON text."""


def read_columns(table: Path, quoting: Quoting) -> list[str]:
    """Reads the names of the columns: the header of a CSV table, or the keys of the first JSON object.

    Raises:
        DataError: The table cannot be read, or its first line is not valid.
    """
    first = next(_read(table, quoting, header=True), None)
    if first is None:
        example = '{"image": "a.jpg", "caption": "A dog."}' if table.suffix.lower() in LINES + JSON else "image,caption"
        raise DataError(f"{table} is empty; expected a first line such as `{example}`.")
    return list(first.cells)


def read_rows(table: Path, quoting: Quoting) -> Iterator[Row]:
    """Reads the rows one by one; skips empty lines.

    Raises:
        DataError: A line is not UTF-8, has another number of cells than the header, or is not a JSON object.
    """
    return _read(table, quoting, header=False)


def _read(table: Path, quoting: Quoting, header: bool) -> Iterator[Row]:
    suffix = table.suffix.lower()
    if suffix not in CELLS + LINES + JSON:
        known = ", ".join(CELLS + LINES + JSON)
        raise DataError(f"{table}: the suffix '{table.suffix}' is not supported; expected one of {known}.")
    try:
        with table.open("rb") as file:
            lines = _decode(table, file)
            if suffix in JSON:
                yield from _read_json(table, "".join(lines))
            else:
                yield from _read_objects(table, lines) if suffix in LINES else read_cells(table, lines, quoting, header)
    except OSError as error:
        start = "" if table.is_absolute() else f"\nThe path starts in the current folder, {Path.cwd()}."
        raise DataError(f"the table {table} cannot be read: {error.strerror or error}.{start}") from error


def _decode(table: Path, lines: Iterator[bytes]) -> Iterator[str]:
    """Decodes lines that end with a line feed, a carriage return or both."""
    split = itertools.chain.from_iterable(line.splitlines(keepends=True) for line in lines)
    for number, line in enumerate(split, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = f"byte 0x{error.object[error.start]:02x} at position {error.start + 1}"
            raise DataError(f"{table}:{number}: {found} is not UTF-8.\nSave the table as UTF-8.") from error


def _read_json(table: Path, text: str) -> Iterator[Row]:
    """Reads a list of objects, COCO's `images` and `annotations`, or the `images` of Karpathy's `dataset_coco.json`."""
    found = _parse(f"{table}", text, f"If each line is a JSON object, give the file the suffix {LINES[0]}.")
    images: Any = found.get("images") if isinstance(found, dict) else None
    if _are_objects(images) and _are_objects(found.get("annotations")):
        files = {image.get("id"): image.get("file_name") for image in images}
        found = [{"image": files.get(one.get("image_id"))} | one for one in found["annotations"]]
    elif _are_objects(images) and images and all(map(_is_captioned, images)):
        found = list(map(_captioned, images))
    if not _are_objects(found):
        keys = ", ".join(list(found)[:9]) if isinstance(found, dict) else text.strip()[:40]
        what = f"found {keys}; expected a list of objects, COCO's `images` and `annotations`, or Karpathy's `images`."
        lists = [key for key, value in found.items() if _are_objects(value)] if isinstance(found, dict) else []
        command = f"\nOne of its lists as a table: jq -c '.{lists[0]}[]' {table} > {table.stem}.jsonl" if lists else ""
        raise DataError(f"{table}: {what}{command}")
    return itertools.starmap(Row, enumerate(found, 1))


def _is_captioned(image: dict[str, Any]) -> bool:
    """Returns whether an image is one of Karpathy's, with its captions."""
    named = all(isinstance(image.get(key), str) for key in ("filename", "split"))
    sentences: Any = image.get("sentences")
    return named and _are_objects(sentences) and all("raw" in sentence for sentence in sentences)


def _captioned(image: dict[str, Any]) -> dict[str, Any]:
    """Returns the row of one of Karpathy's images."""
    file = "/".join(str(part) for part in (image.get("filepath"), image["filename"]) if part)
    return {"image": file, "caption": [sentence["raw"] for sentence in image["sentences"]], "split": image["split"]}


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _read_objects(table: Path, lines: Iterator[str]) -> Iterator[Row]:
    for line, text in enumerate(lines, 1):
        if text.strip():
            found = _parse(f"{table}:{line}", text, "Each line must be one JSON object.")
            if not isinstance(found, dict):
                raise DataError(f"{table}:{line}: found {text.strip()[:40]}, expected a JSON object such as {{...}}.")
            yield Row(line, found)


def _parse(place: str, text: str, advice: str) -> Any:
    try:
        found = json.loads(text, object_pairs_hook=_unique)
        if "\\u" in text:  # half of a surrogate pair is not a character
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON: {error}.\n{advice}") from error
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {normalize("NFC", name): value for name, value in pairs}
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"'{next(name for name in names if names.count(name) > 1)}' occurs twice in one object")
    return found
