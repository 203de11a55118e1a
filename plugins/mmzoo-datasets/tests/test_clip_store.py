"""Clips in a user's table: decoded once, faulty ones told with their rows, empty ones absent."""

import io
import json
import os
from pathlib import Path
from unittest.mock import Mock

import pytest
from mmzoo_datasets import clip_store
from mmzoo_datasets.files import Files
from PIL import Image

from mmzoo import FAULT, ROW, DataError, FieldSpec, fault_of
from mmzoo.testing import read_split


def png(level: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (level, 0, 0)).save(target, "PNG")
    return target.getvalue()


def folder_of(folder: Path, *levels: int) -> None:
    folder.mkdir()
    for number, level in enumerate(levels, 1):
        (folder / f"{number}.png").write_bytes(png(level))


def gif(path: Path, frames: int) -> None:
    first, *rest = [Image.new("RGB", (8 + frames, 8), (20 * place, 0, 0)) for place in range(frames)]
    first.save(path, save_all=True, append_images=rest)


def table_of(folder: Path, *lines: str) -> str:
    (folder / "t.csv").write_text("\n".join(["video,question", *lines]), "utf-8")
    return str(folder / "t.csv")


def opened(table: str, **options) -> Files:
    shares = {} if "split_column" in options else {"validation": 0.0, "test": 0.0}
    folder = Path(table).parent / "kept"
    return Files(table=table, **{"videos": ["video"], "frames_dir": str(folder)} | shares | options)


def read(data: Files) -> list[dict]:
    """Reads a split; the first of the faults of a row's fields becomes its `FAULT`."""
    data.prepare()
    found = read_split(data.splits()["train"])
    fields = [fault_of(name) for name in data.card.fields]
    return [row | {FAULT: next((row[name] for name in fields if row[name]), b"")} for row in found]


def test_clips_are_lists_of_frames_of_unequal_lengths(tmp_path):
    folder_of(tmp_path / "a", 1, 2, 3)
    folder_of(tmp_path / "b", 4)
    gif(tmp_path / "c.gif", 2)
    data = opened(table_of(tmp_path, "a,what?", "b/,who?", "c.gif,when?", "a/2.png,where?"))
    assert data.card.fields == {"video": "frames of the clip, encoded pictures; several", "question": "value of the column"}
    first, second, third, fourth = read(data)
    assert first["video"] == [png(1), png(2), png(3)]
    assert (second["video"], second["question"], second[FAULT]) == ([png(4)], b"who?", b"")
    assert [Image.open(io.BytesIO(one)).size for one in third["video"]] == [(10, 8)] * 2
    assert fourth["video"] == [png(2)]
    assert data.splits()["train"].specs["video"] == FieldSpec("string", several=True)


def test_a_list_of_pictures_is_a_clip(tmp_path):
    folder_of(tmp_path / "a", 1, 2, 3)
    (tmp_path / "t.jsonl").write_text(json.dumps({"video": ["a/3.png", "a/1.png"]}), "utf-8")
    assert [row["video"] for row in read(opened(str(tmp_path / "t.jsonl")))] == [[png(3), png(1)]]


def test_frames_and_side_limit_what_is_kept(tmp_path):
    folder_of(tmp_path / "a", *range(10))
    [row] = read(opened(table_of(tmp_path, "a,what?"), frames=2))
    assert row["video"] == [png(2), png(7)]
    [row] = read(opened(table_of(tmp_path, "a,what?"), frames=1, side=4))
    assert [Image.open(io.BytesIO(one)).size for one in row["video"]] == [(4, 4)]


def test_faulty_clips_are_faults_of_their_rows(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    folder_of(tmp_path / "a", 1)
    found = read(opened(table_of(tmp_path, "gone.mp4,x", "empty,x", "text.mp4,x", "\0.mp4,x", "a,", "a,x")))
    wrong = "Invalid data found when processing input"
    pictures = ".jpg, .jpeg, .png, .bmp, .gif, .webp, .tif, .tiff"
    assert [(row[ROW].decode(), row[FAULT].decode()) for row in found] == [
        ("t.csv:2", f"video: there is no file {tmp_path / 'gone.mp4'}"),
        ("t.csv:3", f"video: the folder {tmp_path / 'empty'} holds no picture ({pictures})"),
        ("t.csv:4", f"video: the file {tmp_path / 'text.mp4'} is neither a picture nor a video: {wrong}"),
        ("t.csv:5", f"video: the file {tmp_path}/\0.mp4 cannot be read: embedded null byte"),
        ("t.csv:6", "the column 'question' is empty"),
        ("t.csv:7", ""),
    ]
    assert [len(row["video"]) for row in found] == [0, 0, 0, 0, 1, 1]


def test_an_empty_cell_is_a_clip_without_frames(tmp_path):
    folder_of(tmp_path / "a", 1)
    first, second = read(opened(table_of(tmp_path, ",what?", "a,what?")))
    assert (first["video"], first[FAULT], len(second["video"])) == ([], b"", 1)


def test_optional_fields_may_be_empty(tmp_path):
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "t.csv").write_text("image,question\na.png,\n,what?\n", "utf-8")
    data = Files(table=str(tmp_path / "t.csv"), optional=["image", "question"], validation=0.0, test=0.0)
    assert [(row["image"], row["question"], row[FAULT]) for row in read(data)] == [(png(1), b"", b""), (b"", b"what?", b"")]


def test_numbers_are_not_optional(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"n": 1}\n{"n": null}\n', "utf-8")
    with pytest.raises(DataError, match=r"^option optional: the column 'n' holds a whole number; expected text or files.$"):
        Files(table=str(tmp_path / "t.jsonl"), files=[], optional=["n"]).prepare()


def test_a_clip_is_decoded_once(tmp_path, monkeypatch):
    decoded = []
    reading = clip_store.read_frames
    monkeypatch.setattr(clip_store, "read_frames", lambda files, *rest: decoded.append(files[0].name) or reading(files, *rest))
    gif(tmp_path / "a.gif", 2)
    gif(tmp_path / "b.gif", 3)
    (tmp_path / "wrong.mp4").write_text("no video")
    table = table_of(tmp_path, "a.gif,one", "a.gif,two", "b.gif,three", "wrong.mp4,four", "gone.mp4,five")
    assert opened(table).card.needs == f"decodes 3 clips and keeps their frames in {tmp_path / 'kept'}"
    once = read(opened(table))
    assert sorted(decoded) == ["a.gif", "b.gif", "wrong.mp4"]
    again = opened(table)
    assert again.card.needs == ""
    assert [row["video"] for row in read(again)] == [row["video"] for row in once]
    assert len(decoded) == 3
    os.utime(tmp_path / "b.gif", (1, 1))
    read(opened(table))
    assert sorted(decoded) == ["a.gif", "b.gif", "b.gif", "wrong.mp4"]
    assert [len(row["video"]) for row in read(opened(table, frames=1))] == [1, 1, 1, 0, 0]


def test_frames_that_are_gone_are_a_fault(tmp_path):
    gif(tmp_path / "a.gif", 2)
    data = opened(table_of(tmp_path, "a.gif,one"))
    data.prepare()
    [kept] = (tmp_path / "kept").iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])
    what = f"video: the file {kept}, which holds its frames, is gone or damaged; remove it and build again"
    assert [row[FAULT].decode() for row in read(data)] == [what]


@pytest.mark.parametrize(("name", "reason"), [("file", "File exists"), ("x" * 300, "File name too long")])
def test_frames_that_cannot_be_kept(tmp_path, name, reason):
    gif(tmp_path / "a.gif", 2)
    (tmp_path / "file").touch()
    data = opened(table_of(tmp_path, "a.gif,one"), frames_dir=str(tmp_path / name))
    assert data.card.needs in ("", f"decodes 1 clips and keeps their frames in {tmp_path / name}")
    with pytest.raises(DataError, match=f"^the frames cannot be kept in {tmp_path / name}: {reason}.$"):
        data.prepare()


def test_what_is_not_the_clips_fault_is_not_kept(tmp_path, monkeypatch):
    gif(tmp_path / "a.gif", 2)
    table = table_of(tmp_path, "a.gif,one")
    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
        [row] = read(opened(table))
    assert row[FAULT].decode() == f"video: the file {tmp_path / 'a.gif'} cannot be read: Permission denied"
    assert list((tmp_path / "kept").iterdir()) == []
    [row] = read(opened(table))
    assert (row[FAULT], len(row["video"])) == (b"", 2)


def test_of_a_clip_that_cannot_be_written_nothing_stays(tmp_path, monkeypatch):
    gif(tmp_path / "a.gif", 2)
    monkeypatch.setattr(Path, "replace", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(DataError, match=f"^the frames cannot be kept in {tmp_path / 'kept'}: No space left on device.$"):
        opened(table_of(tmp_path, "a.gif,one")).prepare()
    assert list((tmp_path / "kept").iterdir()) == []


def test_rows_of_a_clip_stay_in_one_split(tmp_path):
    lines = [f"{'./' * (number % 3)}{number // 3}.mp4,text {number}" for number in range(60)]
    data = Files(table=table_of(tmp_path, *lines), videos=["video"], frames_dir=str(tmp_path / "kept"))
    data.prepare()
    found = {name: [int(row["question"].split()[1]) // 3 for row in read_split(split)] for name, split in data.splits().items()}
    assert {name: (len(clips), len(set(clips))) for name, clips in found.items()} == {
        "train": (48, 16),
        "validation": (6, 2),
        "test": (6, 2),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"videos": ["clip"]}, "option videos: the table {t} has no column 'clip'.\nKnown: video, question."),
        ({"files": ["video"]}, "options files and videos: both name 'video'."),
        ({"columns": ["question"]}, "option videos: the field 'video' is not read; the fields are question."),
        ({"optional": ["text"]}, "option optional: the table {t} has no column 'text'.\nKnown: video, question."),
    ],
)
def test_wrong_option(tmp_path, options, message):
    table = table_of(tmp_path, "a.gif,one")
    with pytest.raises(DataError) as caught:
        opened(table, **options)
    assert str(caught.value) == message.format(t=table)
