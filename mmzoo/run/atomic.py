"""Atomic writes: a file or folder is replaced as a whole or not at all. Light."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmzoo.errors import MmzooError, RunError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of a full, read-only or broken disk."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failed write in its block into a `RunError` that names `path`.

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
        raise RunError(f"{path}: it cannot be written: {reason}. What was saved before is untouched.") from error


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
    existing folder takes two renamings. In between no folder has the name; the old one is beside it under a temporary name.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _sync(temporary)
            if path.is_dir():
                old = path.with_name(f".{os.getpid()}.old.{path.name}")
                path.rename(old)
                temporary.rename(path)
                shutil.rmtree(old)
            else:
                temporary.replace(path)
            _fsync(path.parent)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():
            temporary.unlink()


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
