"""Tar file -> the places of its members, kept on disk; and members read by their places. Imports no TensorFlow."""

import os
import tarfile
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, NamedTuple
from uuid import uuid4

import fsspec
import pyarrow as pa
import pyarrow.ipc  # not loaded with pyarrow

from mmzoo import DataError

FORMAT = 1
"""Version of a kept index; part of the name of every file."""
SCHEMA = pa.schema(
    {"key": pa.string(), "suffixes": pa.list_(pa.string()), "offsets": pa.list_(pa.int64()), "sizes": pa.list_(pa.int64())}
)


class ShardError(Exception):
    """A member cannot be read; the message says why."""


class Shard(NamedTuple):
    """A tar file as it was when it was looked at.

    Args:
        address: Its path, or its address as `fsspec` reads it.
        state: What tells that it has changed: its size, and its time or tag.
    """

    address: str
    state: str


class Members:
    """The examples of a shard, memory-mapped.

    Args:
        table: A row for each key: `key`, `suffixes`, `offsets`, `sizes`.
    """

    def __init__(self, table: pa.Table):
        self.keys = table["key"].combine_chunks()
        self.columns = [table[name].combine_chunks() for name in ("suffixes", "offsets", "sizes")]

    def __len__(self) -> int:
        return len(self.keys)

    def key(self, row: int) -> str:
        """Returns the key of an example."""
        return str(self.keys[row])

    def files(self, row: int) -> Mapping[str, tuple[int, int]]:
        """Returns suffix -> first byte and size of an example's files."""
        suffixes, offsets, sizes = (column[row].as_py() for column in self.columns)
        return dict(zip(suffixes, zip(offsets, sizes, strict=True), strict=True))


class ShardIndex:
    """Keeps the places of the members of tar files in a folder, one file for each tar file.

    Args:
        folder: The folder; it is made when it is needed.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._opened: dict[str, Any] = {}
        self._lock = Lock()

    def look(self, address: str) -> Shard:
        """Looks at a tar file without reading it.

        Raises:
            DataError: It is not there, or cannot be reached.
        """
        try:
            fs, path = fsspec.core.url_to_fs(address)
            info = fs.info(path)
        except FileNotFoundError as error:
            raise DataError(f"there is no tar file {address}. Relative paths start in {Path.cwd()}.") from error
        except Exception as error:  # each file system has exceptions of its own
            raise DataError(f"the tar file {address} cannot be reached: {type(error).__name__}: {error}.") from error
        if info["type"] == "directory":
            raise DataError(f"{address} is a folder; expected a tar file, or a pattern such as {address}/*.tar.")
        return Shard(address, repr([info.get("size"), info.get("mtime") or info.get("ETag") or info.get("LastModified")]))

    def has(self, shard: Shard) -> bool:
        """Returns whether the members of a shard are kept."""
        return self._path(shard).exists()

    def make(self, shard: Shard) -> None:
        """Looks up the members of a shard and keeps them.

        Raises:
            DataError: It is no tar file, or is cut; or the index cannot be written.
        """
        rows = _find_members(shard.address)
        part = self._path(shard).with_suffix(f".{uuid4().hex}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with pa.ipc.new_file(part, SCHEMA) as written:
                written.write_table(pa.Table.from_pylist(rows, SCHEMA))
            part.replace(self._path(shard))
        except OSError as error:
            raise DataError(f"the index cannot be kept in {self.folder}: {error.strerror or error}.") from error
        finally:
            part.unlink(missing_ok=True)  # if writing failed

    def load(self, shard: Shard) -> Members:
        """Opens the members of a shard, which are kept."""
        return Members(pa.ipc.open_file(pa.memory_map(str(self._path(shard)))).read_all())

    def read(self, shard: Shard, offset: int, size: int) -> bytes:
        """Reads a member.

        Raises:
            ShardError: It cannot be read.
        """
        try:
            opened = self._open(shard.address)
            data = (
                os.pread(opened, size, offset)
                if isinstance(opened, int)
                else opened[0].cat_file(opened[1], offset, offset + size)
            )
        except Exception as error:  # each file system has exceptions of its own
            raise ShardError(f"{shard.address} cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if len(data) < size:
            raise ShardError(f"{shard.address} ends within this file")
        return bytes(data)

    def _open(self, address: str) -> Any:
        """Returns the file descriptor of a local file, which stays open; else the file system and the path."""
        with self._lock:
            if address not in self._opened:
                fs, path = fsspec.core.url_to_fs(address)
                self._opened[address] = os.open(path, os.O_RDONLY) if fs.protocol[0] == "file" else (fs, path)
            return self._opened[address]

    def _path(self, shard: Shard) -> Path:
        address = shard.address if "://" in shard.address else str(Path(shard.address).absolute())
        return self.folder / f"{blake2b(repr((FORMAT, address, shard.state)).encode(), digest_size=16).hexdigest()}.arrow"


def _find_members(address: str) -> list[dict[str, Any]]:
    """Looks up the members of a tar file: a row of `SCHEMA` for each key."""
    files: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with fsspec.open(address, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                stem, dot, suffix = path.name.partition(".")
                if member.isfile() and dot and stem:
                    files.setdefault(str(path.with_name(stem)), {})[suffix.lower()] = (member.offset_data, member.size)
                    last = member.offset_data + member.size
            if files and file.seek(0, os.SEEK_END) < last:  # tarfile is content with a last member that is cut
                raise tarfile.ReadError("it ends within its last file")
    except tarfile.TarError as error:
        what = f"{address} is no tar file, is compressed, or is cut: {error}"
        raise DataError(f"{what}.\nMake or download it again, or leave it out of `shards`.") from error
    except OSError as error:
        raise DataError(f"the tar file {address} cannot be read: {error.strerror or error}.") from error
    columns = {key: (list(own), *map(list, zip(*own.values(), strict=True))) for key, own in files.items()}
    return [dict(zip(SCHEMA.names, (key, *column), strict=True)) for key, column in columns.items()]
