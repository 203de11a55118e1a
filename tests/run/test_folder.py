"""The run folder: what is written is there whole or not at all, and what is there is not overwritten in silence."""

import errno
import os
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmzoo.errors import RunError, TrainingError
from mmzoo.run.atomic import replacing, write_json, write_text, writing
from mmzoo.run.folder import FORMAT, LIBRARIES, Run

PLAN = SimpleNamespace(
    recipe=SimpleNamespace(text="name: toy\n", folder=Path("here")),
    plain=lambda: {"name": "toy"},
    versions=lambda: {"mmzoo-toys": "0.1"},
)


def said(call, *arguments, **options) -> str:
    with pytest.raises(RunError) as raised:
        call(*arguments, **options)
    return str(raised.value)


def begun(folder: Path) -> Run:
    run = Run(folder)
    run.begin(PLAN, "abc")
    return run


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Written whole or not at all


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    write_json(path, {"é": [1, 2]})
    write_json(path, {"é": 3})
    assert path.read_text("utf-8") == '{\n  "é": 3\n}\n'
    assert files(path.parent) == ["a.json"]


def test_what_fails_half_way_leaves_the_old(tmp_path):
    path = tmp_path / "a"
    write_text(path, "old")

    def half() -> None:
        with replacing(path) as beside:
            beside.write_text("ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert files(tmp_path) == ["a"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("old", [None, "file", "folder"])
def test_a_folder_is_replaced_whole(tmp_path, old):
    path = tmp_path / "1"
    if old == "file":
        path.write_text("old")
    if old == "folder":
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "old").write_text("old")
    if old == "file":
        assert "it cannot be written" in said(_write_folder, path)
        assert path.read_text() == "old"
    else:
        _write_folder(path)
        assert files(path) == ["new"]
    assert files(tmp_path)[0] == "1"


def _write_folder(path: Path) -> None:
    with replacing(path) as beside:
        beside.mkdir()
        (beside / "new").write_text("new")


def test_a_folder_that_fails_half_way_leaves_the_old(tmp_path):
    path = tmp_path / "1"
    path.mkdir()
    (path / "old").write_text("old")

    def half() -> None:
        with replacing(path) as beside:
            beside.mkdir()
            (beside / "new").write_text("ne")
            raise TrainingError("stop")

    with pytest.raises(TrainingError):
        half()
    assert files(tmp_path) == ["1", "1/old"]


@pytest.mark.parametrize("write", [_write_folder, lambda path: write_text(path, "new")])
def test_everything_is_on_the_disk_before_it_is_renamed_and_the_new_name_after(tmp_path, monkeypatch, write):
    path, synced = tmp_path / "1", []
    fsync, there = os.fsync, lambda: path.exists()
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append((os.fstat(number).st_ino, there())), fsync(number)))
    write(path)
    written = [path, *path.rglob("*")]
    assert {inode for inode, renamed in synced if not renamed} == {one.stat().st_ino for one in written}
    assert [inode for inode, renamed in synced if renamed] == [tmp_path.stat().st_ino]


def test_a_half_written_version_is_no_version_to_a_server(tmp_path):
    with replacing(tmp_path / "1") as beside:
        beside.mkdir()
        assert not beside.name.isdigit()


# Failures to write


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "no space"), "No space left on device"),
        (PermissionError(errno.EACCES, "no"), "Permission denied"),
        (OSError("Unable to synchronously create file (no space)"), "Unable to synchronously create file (no space)"),
        (RuntimeError("Can't write data (errno = 28, error message = 'No space left on device')"), "No space left on device"),
    ],
)
def test_a_failure_to_write_says_where_and_why(tmp_path, error, reason):
    def fail() -> None:
        with writing(tmp_path):
            raise error

    assert said(fail) == f"{tmp_path}: it cannot be written: {reason}."


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), TrainingError("nan"), KeyboardInterrupt()])
def test_other_failures_pass_as_they_are(tmp_path, error):
    with pytest.raises(type(error)), writing(tmp_path):
        raise error


def test_a_folder_that_is_a_file_cannot_be_written_to(tmp_path):
    (tmp_path / "a").write_text("")
    assert "it cannot be written" in said(write_text, tmp_path / "a" / "b", "text")


# The folder of a run


def test_a_run_begins_with_the_recipe_and_the_plan(tmp_path):
    run = begun(tmp_path / "runs" / "toy")
    assert run.recipe.read_text() == "name: toy\n"
    assert run.load_json(run.plan) == {
        "format": FORMAT,
        "fingerprint": "abc",
        "folder": str(Path("here").absolute()),
        "needs": {},
        "recipe": {"name": "toy"},
        "versions": {"mmzoo-toys": "0.1"} | {name: version(name) for name in LIBRARIES},
    }
    assert run.contents() == []


def test_every_part_of_a_run_has_a_place_of_its_own(tmp_path):
    parts = [value for value in vars(Run).values() if isinstance(value, property)]
    places = [part.fget(Run(tmp_path)) for part in parts]
    assert len(set(places)) == len(places) > 8
    assert all(place.parent == tmp_path for place in places)


def test_what_a_run_contains(tmp_path):
    run = begun(tmp_path / "toy")
    write_json(run.scores, {})
    run.weights.write_text("")
    write_json(run.checkpoint / "state.json", {"epoch": 3})
    assert run.contents() == ["a checkpoint after epoch 3", "trained weights", "scores"]


def test_the_stages_that_are_done_are_recorded(tmp_path):
    run = begun(tmp_path / "toy")
    assert run.load_stages() == {}
    run.finish_stage("training", {"train.epochs": 1})
    run.finish_stage("export", {})
    run.finish_stage("training", {"train.epochs": 2})
    assert run.load_stages() == {"training": {"train.epochs": 2}, "export": {}}


@pytest.mark.parametrize("text", [None, "", "{", '{"a": 1', "\xff"])
def test_a_broken_file_of_a_run(tmp_path, text):
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    assert said(Run(tmp_path).load_json, path).startswith(f"{path}: the run is incomplete or damaged: ")


class Remembers:
    """A processor that learned a number."""

    def __init__(self, number: int = 0):
        self.number, self.note = number, f"saw {number}" if number else ""

    def save(self, folder: Path) -> None:
        (folder / "number").write_text(str(self.number))

    def load(self, folder: Path) -> None:
        self.number = int((folder / "number").read_text())


def test_what_processors_learned_comes_back(tmp_path):
    run, again = begun(tmp_path / "toy"), {"a": Remembers(), "b": Remembers()}
    run.save_processors({"a": Remembers(1), "b": Remembers(2)})
    run.load_processors(again)
    assert run.load_processors({"c": Remembers()}, {"c": "b"})["c"].number == 2
    assert [(processor.number, processor.note) for processor in again.values()] == [(1, "saw 1"), (2, "saw 2")]


@pytest.mark.parametrize("broken", [True, False])
def test_what_processors_learned_is_missing_or_broken(tmp_path, broken):
    run = begun(tmp_path / "toy")
    if broken:
        (run.processors / "a").mkdir(parents=True)
        (run.processors / "a" / "number").write_text("many")
    assert said(run.load_processors, {"a": Remembers()}).startswith(
        f"{run.processors / 'a'}: the run is incomplete or damaged: "
    )
