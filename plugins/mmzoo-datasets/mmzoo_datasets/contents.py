"""Files that a table names -> which are copies of each other, and a digest of their contents. Imports no TensorFlow."""

import sys
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from hashlib import blake2b, file_digest
from os import SEEK_END
from pathlib import Path
from typing import TypeVar

from mmzoo_datasets.clips import ClipError, find_frames
from mmzoo_datasets.examples import Example, Layout

TAIL = 4096
"""Bytes at the end of a file that are compared before the whole file is."""
SMALL = 64 << 20
"""The most bytes that all files together may have for the digest to read them."""

T = TypeVar("T")
Sizes = Mapping[str, tuple[int, ...] | None]
"""Path of each file, or folder of frames -> the sizes of its files; None if it cannot be read or is empty."""
Copies = Mapping[str, str]
"""Path of each file or folder whose contents another one also has -> the first of the paths with these contents."""


def find_sizes(layout: Layout, examples: Iterable[Example]) -> Sizes:
    """Looks up the sizes of all files that examples name, in the order of the table."""
    paths = (path for example in examples for field in layout.paths for path in layout.paths_in(example, field))
    return {path: _look(path, _size) for path in dict.fromkeys(paths)}


def find_copies(sizes: Sizes) -> Copies:
    """Finds files with the same bytes, and folders of frames with the same bytes: copies and links of each other.

    Reads only files of the same size, and whole only those of them that also end alike.
    """
    groups = _alike([[path for path, size in sizes.items() if size is not None]], sizes.__getitem__)
    for look in (_tail, _digest):
        groups = _alike(groups, partial(_seen, look))
    return {path: group[0] for group in groups for path in group}


def digest_of(sizes: Sizes) -> str:
    """Returns a digest of the contents of files: of their bytes if they are `SMALL` together, else of their sizes.

    It is the same wherever the files lie.
    """
    small = sum(sum(size) for size in sizes.values() if size is not None) <= SMALL
    found = [_look(path, _digest) if small and size is not None else size for path, size in sizes.items()]
    return blake2b(repr(found).encode(), digest_size=16).hexdigest()


def _alike(groups: list[list[str]], look: Callable[[str], Hashable]) -> list[list[str]]:
    """Divides groups of paths into those that look alike; leaves out paths that are like no other."""
    alike: dict[Hashable, list[str]] = defaultdict(list)
    for number, group in enumerate(groups):
        for path in group:
            alike[number, look(path)].append(path)
    return [group for group in alike.values() if len(group) > 1]


def _seen(look: Callable[[Path], bytes], path: str) -> Hashable:
    """Looks at a file, or at the frames in a folder. What cannot be read is like nothing else."""
    return _look(path, look) or path


def _look(path: str, look: Callable[[Path], T]) -> tuple[T, ...] | None:
    """Looks at a file, or at the frames in a folder. Returns None if they cannot be read or are empty."""
    try:
        found = tuple(map(look, find_frames([Path(path)], sys.maxsize)))
    except (ClipError, OSError, ValueError):  # ValueError: a path that no file can have
        return None
    return found if any(found) else None


def _size(file: Path) -> int:
    return file.stat().st_size


def _tail(file: Path) -> bytes:
    with file.open("rb") as opened:
        opened.seek(-min(TAIL, _size(file)), SEEK_END)
        return opened.read()


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return file_digest(opened, blake2b).digest()
