"""Tar files of pairs: which examples they hold, what is wrong with one, and that examples are read by number."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from mmzoo_datasets.shards import ShardIndex
from mmzoo_datasets.webdataset import WebDataset

from mmzoo import ROW, DataError, fault_of
from mmzoo.testing import read_split


def tar(path: Path, **members: bytes) -> None:
    """Writes a tar file; `__` in a name stands for its dot."""
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", ".", 1))
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


def pairs(*keys: str) -> dict[str, bytes]:
    return {f"{key}__{kind}": f"{kind} of {key}".encode() for key in keys for kind in ("jpg", "txt")}


def opened(folder: Path, **options) -> WebDataset:
    given = {"shards": {"train": str(folder / "{00..01}.tar")}, "index_dir": str(folder / "index")} | options
    data = WebDataset(**given)
    data.prepare()
    return data


def test_members_of_one_key_are_an_example(tmp_path):
    tar(tmp_path / "00.tar", **pairs("a", "b"))
    tar(
        tmp_path / "01.tar",
        **{"sub/c__PNG": b"png", "sub/c__txt": "Ümläut".encode(), "sub/c__json": b"{}", "readme": b"no key"},
    )
    data = opened(tmp_path)
    assert data.card.sizes == {"train": 3}
    fine = {fault_of("image"): b"", fault_of("caption"): b""}
    assert read_split(data.splits()["train"]) == [
        {ROW: b"00.tar:a", "image": b"jpg of a", "caption": b"txt of a"} | fine,
        {ROW: b"00.tar:b", "image": b"jpg of b", "caption": b"txt of b"} | fine,
        {ROW: b"01.tar:sub/c", "image": b"png", "caption": "Ümläut".encode()} | fine,
    ]


def test_any_examples_are_read_in_any_order_and_field_by_field(tmp_path):
    for shard, keys in (("00", "abc"), ("01", "de")):
        tar(tmp_path / f"{shard}.tar", **pairs(*keys))
    split = opened(tmp_path).splits()["train"]
    read = split.read(np.array([4, 0, 3]), ["caption"])
    assert read == {
        ROW: ["01.tar:e", "00.tar:a", "01.tar:d"],
        "caption": [b"txt of e", b"txt of a", b"txt of d"],
        fault_of("caption"): [""] * 3,
    }


def test_a_file_that_an_example_lacks_is_a_fault_of_its_field(tmp_path):
    tar(tmp_path / "00.tar", a__txt=b"", b__jpg=b"x", c__gz=b"x")
    tar(tmp_path / "01.tar")
    fields = {"image": "jpg;png", "caption": "txt"}
    found = read_split(opened(tmp_path, fields=fields).splits()["train"])
    assert [(one[fault_of("image")].decode(), one[fault_of("caption")].decode()) for one in found] == [
        ("image: there is no file .jpg, .png of this key", "caption: its file .txt is empty"),
        ("", "caption: there is no file .txt of this key"),
        ("image: there is no file .jpg, .png of this key", "caption: there is no file .txt of this key"),
    ]


@pytest.mark.parametrize(
    ("written", "value", "fault"),
    [
        (json.dumps({"caption": "Ü", "n": 3}), "Ü", ""),
        ('{"caption": 3}', "3", ""),
        ('{"other": 3}', "", "caption: its file .json has no 'caption'"),
        ("[1]", "", "caption: its file .json is no JSON object"),
        ("{", "", "caption: its file .json is no JSON object"),
    ],
)
def test_a_value_of_the_json_file(tmp_path, written, value, fault):
    tar(tmp_path / "00.tar", a__json=written.encode())
    shards = {"train": str(tmp_path / "00.tar")}
    (found,) = read_split(opened(tmp_path, shards=shards, fields={"caption": "json:caption"}).splits()["train"])
    assert (found["caption"].decode(), found[fault_of("caption")].decode()) == (value, fault)


def test_members_are_looked_up_once_and_again_when_the_shard_changes(tmp_path, monkeypatch):
    tar(tmp_path / "00.tar", **pairs("a"))
    shards = {"train": str(tmp_path / "*.tar")}
    first = WebDataset(shards=shards, index_dir=str(tmp_path / "index"))
    assert first.card.needs == f"looks up the members of 1 tar files and keeps them in {tmp_path / 'index'}"
    first.prepare()
    assert first.card.needs == ""
    with monkeypatch.context() as patched:
        patched.setattr(ShardIndex, "make", None)
        again = opened(tmp_path, shards=shards)
    assert again.card.fingerprint == first.card.fingerprint
    tar(tmp_path / "00.tar", **pairs("a", "b", "c"))
    other = opened(tmp_path, shards=shards)
    assert other.card.sizes == {"train": 3}
    assert other.card.fingerprint != first.card.fingerprint


def test_a_shard_that_is_cut_after_it_was_indexed_is_a_fault_of_its_rows(tmp_path):
    tar(tmp_path / "00.tar", **pairs("a", "b"))
    split = opened(tmp_path, shards={"train": str(tmp_path / "00.tar")}).splits()["train"]
    with (tmp_path / "00.tar").open("r+b") as file:
        file.truncate(1030)  # after the header of b's picture would come
    faults = [one[fault_of("caption")].decode() for one in read_split(split)]
    assert faults == [f"caption: {tmp_path}/00.tar ends within this file"] * 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(b"not a tar file" * 100), "{t} is no tar file, is compressed, or is cut: "),
        (lambda path: path.write_bytes(b""), "{t} is no tar file, is compressed, or is cut: "),
        (
            lambda path: (tar(path, **pairs("a")), path.write_bytes(path.read_bytes()[:1600])),
            "{t} is no tar file, is compressed, or is cut: ",
        ),
        (
            lambda path: (tar(path, **pairs("a")), path.write_bytes(path.read_bytes()[:520])),
            "{t} is no tar file, is compressed, or is cut: ",
        ),
        (lambda path: None, "there is no tar file {t}."),
        (lambda path: path.mkdir(), "{t} is a folder; expected a tar file, or a pattern such as {t}/*.tar."),
        (lambda path: tar(path), "option shards: the tar files of 'train' hold no example."),
    ],
)
def test_what_is_no_shard_is_refused_by_its_name(tmp_path, make, said):
    make(tmp_path / "00.tar")
    with pytest.raises(DataError) as caught:
        opened(tmp_path, shards={"train": str(tmp_path / "00.tar")})
    assert said.format(t=tmp_path / "00.tar") in str(caught.value)
    assert not list((tmp_path / "index").glob("*.[0-9a-f]*[0-9a-f]"))  # nothing is left of an index that failed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shards": {"trian": "a.tar"}}, "option shards: there is no split 'trian'.\nNearest: train."),
        ({"shards": {"test": "a.tar"}}, "option shards: there is no split to train on; expected `train`."),
        ({"shards": {"train": "*.tar"}}, "option shards: 'train' names no tar file: *.tar."),
        ({"shards": {"train": []}}, "option shards: 'train' names no tar file: []."),
        (
            {"fields": {"caption": "json:"}},
            "option fields: 'caption' is 'json:'; expected suffixes such as `jpg;png`, or `json:KEY`.",
        ),
        ({"fields": {"caption": "txt;json:a"}}, "option fields: 'caption' is 'txt;json:a'"),
        ({"shards": {"train": "{0..1}.tar", "test": "1.tar"}}, "option shards: 1.tar is in 'train' and in 'test'."),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    for name in "01":
        tar(Path(f"{name}.tar"), **pairs("a"))
    (tmp_path / "empty").mkdir()
    if "*" in str(options):
        monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(DataError) as caught:
        opened(tmp_path, **options)
    assert said in str(caught.value)


def test_shards_of_another_file_system(tmp_path):
    import fsspec

    tar(tmp_path / "00.tar", **pairs("a", "b"))
    fsspec.filesystem("memory").pipe("/bucket/00.tar", (tmp_path / "00.tar").read_bytes())
    for address in ("memory://bucket/0*.tar", f"filecache::file://{tmp_path}/00.tar"):
        split = opened(tmp_path, shards={"train": address}).splits()["train"]
        assert split.read(np.array([1]), ["image"])["image"] == [b"jpg of b"]
