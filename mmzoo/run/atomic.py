"""Atomic writes: a file or folder is the old one or the new one, never half. Light."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmzoo.errors import MmzooError, RunError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Why a disk takes no more."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write into an error that says where.

    Raises:
        RunError: The disk is full, the folder is read-only, and the like.
    """
    try:
        yield
    except MmzooError:
        raise
    except Exception as error:
        reason = _reason(error)
        if not reason:
            raise
        raise RunError(f"{path}: it cannot be written: {reason}. What was saved before is untouched.") from error


def _reason(error: Exception) -> str:
    """Finds what the system said when a file could not be written; empty for another failure."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    # HDF5 and TensorFlow raise errors of other kinds, and hide the reason in a long text.
    hidden = [reason for reason in map(os.strerror, FULL) if reason in str(error)]
    return hidden[0] if hidden else str(error) if isinstance(error, OSError) else ""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to, and renames it to `path` when that went well; else removes it.

    What is written is on the disk before it is renamed, so a power cut leaves the old file or the new one. A folder that is
    there takes two renamings: in between there is none of that name, and the old one stands beside it.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            _sync(beside)
            if path.is_dir():
                old = path.with_name(f".{os.getpid()}.old.{path.name}")
                path.rename(old)
                beside.rename(path)
                shutil.rmtree(old)
            else:
                beside.replace(path)
            _sync_one(path.parent)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside)
        elif beside.exists():
            beside.unlink()


def _sync(path: Path) -> None:
    """Waits until a file, or a folder with everything in it, is on the disk."""
    for one in path.rglob("*") if path.is_dir() else ():
        _sync_one(one)
    _sync_one(path)


def _sync_one(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
