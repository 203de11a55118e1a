"""The data set `webdataset`: tar files of pairs, as img2dataset writes and OpenCLIP reads them. Imports no TensorFlow."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from braceexpand import braceexpand

from mmzoo import ROW, SPLITS, Card, DataError, FieldSpec, FilePath, Screen, fault_of, suggest
from mmzoo_datasets.clip_store import data_folder
from mmzoo_datasets.shards import Shard, ShardError, ShardIndex

PICTURES = "jpg;jpeg;png;webp;gif;bmp"
"""Suffixes of files that hold a picture."""


class WebDataset:
    """Reads tar files whose members `KEY.jpg`, `KEY.txt`, `KEY.json` together are the example `KEY`.

    The members of all tar files are looked up once, and the index is kept; then examples are read by number, so all of them are
    shuffled in each epoch. A tar file must not be compressed. It may lie on this machine or wherever `fsspec` reads (`s3://`,
    `gs://`, `https://`; install its package, such as s3fs). From there each example is a request of its own; to copy each tar
    file here when it is first read, write `filecache::` before its address.

    An example without one of its files, or with an empty one, is faulty; the option `on_error` decides what happens then.

    Args:
        shards: Split (train, validation, test) -> its tar files: paths with brace ranges (`data/{00000..00099}.tar`, as Bash
            reads them) or patterns (`data/*.tar`), relative to the current folder.
        fields: Field -> suffixes of its file, the first that an example has: `jpg;png`. `json:KEY` is a value of `KEY.json`.
            Files are bytes; text is given as it is.
        index_dir: Folder of the indexes; `mmzoo_shards` in the data folder of TFDS if not given.
    """

    def __init__(
        self,
        *,
        shards: dict[str, str | list[str]],
        fields: dict[str, str] = {"image": PICTURES, "caption": "txt"},  # noqa: B006  # the default is shown in the help
        index_dir: FilePath | None = None,
    ):
        for split in shards:
            if split not in SPLITS:
                raise DataError(f"option shards: there is no split '{split}'.\n{suggest(split, SPLITS)}")
        if "train" not in shards:
            raise DataError("option shards: there is no split to train on; expected `train`.")
        self.fields = {field: _members(field, given) for field, given in fields.items()}
        self.shards = {split: _addresses(split, given) for split, given in shards.items()}
        self.index = ShardIndex(Path(index_dir).expanduser() if index_dir else data_folder() / "mmzoo_shards")

    @property
    def card(self) -> Card:
        read = "_splits" in self.__dict__
        addresses = [address for split in self.shards.values() for address in split]
        return Card(
            fields={field: f"the file {', '.join(wanted)}" for field, wanted in self.fields.items()},
            sizes={split: len(rows) for split, rows in self._splits.items()} if read else {},
            about=f"The pairs in {len(addresses):,} tar files.",
            source=addresses[0].rpartition("/")[0],
            needs=self._needs,
            fingerprint=self._fingerprint,
        )

    def prepare(self) -> None:
        _ = self._splits
        self.__dict__["_needs"] = ""

    def splits(self) -> Mapping[str, "ShardSplit"]:
        return self._splits

    @cached_property
    def _fingerprint(self) -> str:
        """The digest of all shards' states; the card is asked for often."""
        return blake2b(repr(self._states).encode(), digest_size=16).hexdigest()

    @cached_property
    def _states(self) -> dict[str, list[Shard]]:
        """The shards of each split, as they are now."""
        found = {split: list(map(self.index.look, addresses)) for split, addresses in self.shards.items()}
        seen: dict[str, str] = {}
        for split, shards in found.items():
            for shard in shards:
                if seen.setdefault(shard.address, split) != split:
                    raise DataError(f"option shards: {shard.address} is in '{seen[shard.address]}' and in '{split}'.")
        return found

    @cached_property
    def _needs(self) -> str:
        try:
            new = [shard for shards in self._states.values() for shard in shards if not self.index.has(shard)]
        except DataError:  # `prepare` raises it again
            return ""
        return f"looks up the members of {len(new):,} tar files and keeps them in {self.index.folder}" if new else ""

    @cached_property
    def _splits(self) -> "dict[str, ShardSplit]":
        shards = [shard for split in self._states.values() for shard in split]
        for shard in Screen().track(filter(lambda one: not self.index.has(one), shards), "index shards", None):
            self.index.make(shard)
        found = {split: ShardSplit(self.index, shards, self.fields) for split, shards in self._states.items()}
        if empty := next((split for split, rows in found.items() if not len(rows)), None):
            raise DataError(f"option shards: the tar files of '{empty}' hold no example.")
        return found


class ShardSplit:
    """A split of tar files; an `mmzoo.Indexed`.

    Args:
        index: Where the members of shards are kept.
        shards: The shards, indexed.
        fields: Field -> suffixes of its file, or `json:KEY`.
    """

    def __init__(self, index: ShardIndex, shards: list[Shard], fields: Mapping[str, list[str]]):
        self.index, self.shards, self.fields = index, shards, fields
        self.specs = dict.fromkeys(fields, FieldSpec())
        self.members = [index.load(shard) for shard in shards]
        self.ends = np.cumsum([len(members) for members in self.members])

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def read(self, numbers: np.ndarray, fields: Collection[str]) -> dict[str, list[Any]]:
        """Reads fields of some examples; see `mmzoo.Indexed`."""
        places = np.searchsorted(self.ends, numbers, side="right")
        found: dict[str, list[Any]] = {ROW: [], **{name: [] for field in fields for name in (field, fault_of(field))}}
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            members, shard = self.members[place], self.shards[place]
            row = number - (int(self.ends[place - 1]) if place else 0)
            found[ROW].append(f"{shard.address.rpartition('/')[2]}:{members.key(row)}")
            files = members.files(row)
            for field in fields:
                value, fault = self._read(shard, files, field)
                found[field].append(value)
                found[fault_of(field)].append(fault and f"{field}: {fault}")
        return found

    def _read(self, shard: Shard, files: Mapping[str, tuple[int, int]], field: str) -> tuple[bytes, str]:
        wanted = self.fields[field]
        suffix, _, key = wanted[0].partition(":")
        suffix = suffix if key else next((one for one in wanted if one in files), "")
        if suffix not in files:
            return b"", f"there is no file .{', .'.join(['json'] if key else wanted)} of this key"
        try:
            data = self.index.read(shard, *files[suffix])
        except ShardError as error:
            return b"", str(error)
        return _json_value(data, key) if key else (data, "" if data else f"its file .{suffix} is empty")


def _json_value(data: bytes, key: str) -> tuple[bytes, str]:
    try:
        value = json.loads(data).get(key)
    except (ValueError, AttributeError):
        return b"", "its file .json is no JSON object"
    if value is None or value == "":
        return b"", f"its file .json has no '{key}'"
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace"), ""


def _members(field: str, given: str) -> list[str]:
    wanted = [one.strip().lstrip(".").lower() if ":" not in one else one.strip() for one in given.split(";")]
    keyed = [one for one in wanted if ":" in one]
    if not all(wanted) or (keyed and (len(wanted) > 1 or not keyed[0].startswith("json:") or keyed[0] == "json:")):
        raise DataError(f"option fields: '{field}' is {given!r}; expected suffixes such as `jpg;png`, or `json:KEY`.")
    return wanted


def _addresses(split: str, given: str | list[str]) -> list[str]:
    """Expands brace ranges and patterns to addresses."""
    patterns = [one for text in ([given] if isinstance(given, str) else given) for one in braceexpand(text)]
    found = [address for pattern in patterns for address in _matching(pattern)]
    if not found:
        raise DataError(f"option shards: '{split}' names no tar file: {given}. Relative paths start in {Path.cwd()}.")
    return list(dict.fromkeys(found))


def _matching(pattern: str) -> Iterator[str]:
    if not any(mark in pattern for mark in "*?["):
        yield pattern
        return
    try:
        fs, path = fsspec.core.url_to_fs(pattern)
        yield from (fs.unstrip_protocol(one) if "://" in pattern else one for one in sorted(fs.glob(path)))
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"option shards: {pattern} cannot be listed: {error}.") from error
