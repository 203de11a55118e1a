"""Atomic writes: a file or folder is replaced as a whole or not at all. Light."""

import contextlib
import errno
import json
import os
import re
import shutil
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from mmzoo.errors import MmzooError, RunError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of a full, read-only or broken disk."""
TEMPORARY = re.compile(r"\.\d+\.(?P<old>old\.)?(?P<name>.+)")
"""Names of what is being written, `.PROCESS.NAME`, and of a folder that is being replaced, `.PROCESS.old.NAME`."""


@contextlib.contextmanager
def writing(path: Path, replaces: bool = False) -> Iterator[None]:
    """Turns a failed write in its block into a `RunError` that names `path`.

    Args:
        path: What is written.
        replaces: Whether the block leaves what is there untouched if it fails, so that the message says so.

    Raises:
        RunError: The disk is full, the folder is read-only, or another error of the file system.
    """
    try:
        yield
    except MmzooError:
        raise
    except Exception as error:
        reason = _system_reason(error)
        if not reason:
            raise
        kept = " What was there before is untouched." if replaces and path.exists() else ""
        raise RunError(f"{path}: it cannot be written: {reason}.{kept}") from error


def _system_reason(error: Exception) -> str:
    """Returns the system's reason for a failed write; empty for any other error."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    # HDF5 and TensorFlow raise other errors, with the reason inside a long text.
    hidden = [reason for reason in map(os.strerror, DISK_ERRORS) if reason in str(error)]
    return hidden[0] if hidden else str(error) if isinstance(error, OSError) else ""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to. Renames it to `path` if the block succeeds, else removes it.

    The data is flushed to disk before the renaming, so a power cut leaves either the old file or the new one. Replacing an
    existing folder takes two renamings. In between no folder has the name; the old one is beside it under a temporary name,
    and `sweep` gives it its name back if the process is killed there.

    Raises:
        RunError: The file system refuses; `path` is as it was.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with writing(path, replaces=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            if path.is_dir():
                _replace_folder(path, temporary)
            else:
                temporary.replace(path)
            _fsync(path.parent)
    finally:
        remove(temporary)


def _replace_folder(path: Path, new: Path) -> None:
    old = path.with_name(f".{os.getpid()}.old.{path.name}")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    remove(old)


def remove(path: Path) -> None:
    """Removes a file, a folder with everything in it, or a symbolic link alone; does nothing if there is none of them."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def sweep(folder: Path, names: Container[str] | None = None) -> list[Path]:
    """Removes what writers that were killed have left in a folder, while nobody writes there; returns what it removed.

    A replaced folder without its successor gets its name back.

    Args:
        folder: The folder; it need not exist.
        names: Names that are written there; any by default.
    """
    removed = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = TEMPORARY.fullmatch(path.name)
        if found is None or (names is not None and found["name"] not in names):
            continue
        if found["old"] and not (folder / found["name"]).exists():
            path.rename(folder / found["name"])
        else:
            remove(path)
            removed.append(path)
    return removed


def _sync(path: Path) -> None:
    """Flushes a file, or a folder with everything in it, to disk."""
    for inner in path.rglob("*") if path.is_dir() else ():
        _fsync(inner)
    _fsync(path)


def _fsync(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
