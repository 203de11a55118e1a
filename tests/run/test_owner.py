"""Who owns a run folder: nothing but what mmzoo has written is moved or removed, and that only when its successor is there."""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmzoo.errors import RunError, TrainingError
from mmzoo.run import aside
from mmzoo.run.atomic import write_json
from mmzoo.run.folder import Run
from mmzoo.run.owner import check_usable, claimed, keeping_replaced


def plan(name: str) -> SimpleNamespace:
    return SimpleNamespace(recipe=SimpleNamespace(text=name, folder=Path()), plain=lambda: {"name": name}, versions=dict)


def built(folder: Path, name: str = "old") -> Run:
    """A complete run, with two exported versions and a file of the user."""
    run = Run(folder)
    run.begin(plan(name), name)
    run.weights.write_text(name)
    write_json(run.checkpoint / "state.json", {"epoch": 1, "weights": "epoch-0001.weights.h5"})
    (run.checkpoint / "epoch-0001.weights.h5").write_text(name)
    for version in "12":
        (run.export / version).mkdir(parents=True)
        (run.export / version / "saved_model.pb").write_text(name)
    run.finish_stage("export", {})
    (run.folder / "notes.txt").write_text("of the user")
    return run


def contents(run: Run) -> dict[str, str]:
    found = [path for path in sorted(run.folder.rglob("*")) if path.is_file() and path != run.lock]
    return {str(path.relative_to(run.folder)): path.read_text("utf-8") for path in found}


def claim(run: Run) -> str:
    lines: list[str] = []
    with claimed(run, lines.append):
        assert run.lock.exists()
    return "\n".join(lines)


def said(run: Run) -> str:
    with pytest.raises(RunError) as raised:
        check_usable(run)
    return str(raised.value)


# Usable folders


def test_a_run_may_be_written_into_an_absent_folder_or_that_of_a_run(tmp_path):
    for folder in (tmp_path / "a" / "b", built(tmp_path / "run").folder):
        check_usable(Run(folder))


def test_what_passes_is_no_file_of_somebody_else(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".17.plan.json").touch()
    check_usable(Run(tmp_path))


@pytest.mark.parametrize(
    ("found", "example"),
    [
        ({"thesis.tex": "years of work"}, "thesis.tex"),
        ({"chapter.tex": "", "plan.json": '{"chapters": 7}'}, "plan.json"),
        ({"plan.json": "{"}, "plan.json"),
    ],
)
def test_files_that_are_no_run_are_never_replaced(tmp_path, found, example):
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    message = f"{tmp_path}: the folder holds files that are not a run ({example} ...); they are not replaced.\n"
    assert said(Run(tmp_path)) == f"{message}Choose another folder with --out."
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == found


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "toy").write_text("")
    assert said(Run(tmp_path / "toy" / "deep")) == (
        f"{tmp_path}/toy/deep: the run cannot be written there: {tmp_path}/toy is a file, not a folder.\n"
        "Choose another folder with --out."
    )


def test_a_read_only_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the tests may run as root, who may write anywhere
    assert f"{tmp_path} is read-only." in said(Run(tmp_path / "toy"))


def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "run").symlink_to("gone")
    assert said(Run(tmp_path / "run")) == (
        f"{tmp_path}/run: it is a symbolic link to gone, which does not exist.\nChoose another folder with --out."
    )


# The claim


def test_a_folder_that_stays_empty_is_gone_after_the_claim(tmp_path):
    run = Run(tmp_path / "runs" / "toy")
    claim(run)
    assert list(tmp_path.iterdir()) == []
    with claimed(run, print), pytest.raises(RunError, match=f"^{run.folder}: process {os.getpid()} on "), claimed(run, print):
        pass
    built(run.folder)
    claim(run)
    assert run.exists()


def test_evaluate_and_export_claim_no_folder_without_a_run(tmp_path):
    with claimed(Run(tmp_path / "gone"), print, make=False):
        assert list(tmp_path.iterdir()) == []


def test_what_killed_builds_have_left_is_removed_or_gets_its_name_back(tmp_path):
    run = built(tmp_path / "run")
    kept = contents(run)
    (run.export / "2").rename(run.export / ".17.old.2")  # between two renamings
    (run.export / ".17.2").mkdir()
    for name in (".17.plan.json", ".9..lock", "checkpoint/.17.epoch-0002.weights.h5", "checkpoint/epoch-0002.weights.h5"):
        (run.folder / name).write_text("half")
    (run.folder / ".17.notes.txt").write_text("of the user")
    assert claim(run) == (
        f"run       {run.folder}: removed what a killed build has left: .17.plan.json, .9..lock, .17.epoch-0002.weights.h5, "
        ".17.2, epoch-0002.weights.h5"
    )
    assert contents(run) == kept | {".17.notes.txt": "of the user"}


# Replaced


@pytest.mark.parametrize("linked", [False, True])
def test_a_replaced_run_is_there_until_the_new_one_is_complete(tmp_path, linked):
    run = built(tmp_path / "run")
    if linked:
        (tmp_path / "link").symlink_to("run")
        run = Run(tmp_path / "link")
    old = contents(run)
    run.begin(plan("new"), "new")
    now = contents(run)
    assert {name: now[name] for name in ("recipe.yaml", "notes.txt")} == {"recipe.yaml": "new", "notes.txt": "of the user"}
    served = {name: text for name, text in old.items() if name.startswith("export")}
    assert {name: text for name, text in now.items() if name.startswith("export")} == served
    assert {name: now[f".replaced/{name}"] for name in old if not name.startswith(("export", "notes"))}
    assert run.contents() == []
    assert run.exporter() == Run(run.replaced)
    (run.export / "1" / "saved_model.pb").write_text("new")
    run.finish_stage("export", {})
    assert run.exporter() == run
    run.complete(1)
    assert contents(run).keys() == {"plan.json", "recipe.yaml", "stages.json", "notes.txt", "export/1/saved_model.pb"}
    assert run.folder.is_symlink() == linked


def test_the_unfinished_successor_is_not_kept_when_it_is_replaced(tmp_path):
    run = built(tmp_path / "run")
    run.begin(plan("new"), "new")
    run.weights.write_text("new")
    run.begin(plan("newer"), "newer")
    assert not run.weights.exists()
    assert (run.replaced / "task.weights.h5").read_text() == "old"
    run.begin(plan("newer"), "newer", resume=True)
    assert run.replaced.exists()


@pytest.mark.parametrize("begun", [False, True])
def test_a_build_that_fails_puts_the_old_run_back_unless_it_can_go_on(tmp_path, begun):
    run = built(tmp_path / "run")
    old = contents(run)

    def build() -> None:
        run.begin(plan("new"), "new")
        if begun:
            write_json(run.checkpoint / "state.json", {})
        raise TrainingError("the loss is NaN")

    with pytest.raises(TrainingError) as raised, keeping_replaced(run):
        build()
    assert raised.value.__notes__ == [
        f"The run that was there before is kept in {run.replaced} until this build, done again, is complete."
        if begun
        else "The run that was there before is put back."
    ]
    assert begun or contents(run) == old


class KilledError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize(("change", "first"), [("replace", 0), ("put back", 1)])
def test_a_kill_while_files_are_moved_loses_nothing(tmp_path, change, first):
    for step in count(first):
        run = built(tmp_path / str(step))
        old = contents(run)
        if change == "put back":
            run.begin(plan("new"), "new")
            run.processors.mkdir()
        done = killed_at(step, aside.set_aside if change == "replace" else aside.put_back, run)
        check_usable(run)
        line = claim(run)
        assert bool(line) == (step > 0 and not (done and change == "put back"))
        assert contents(run) == old
        if done:
            break
    assert step > 6


def killed_at(step: int, call: Callable[[Path, list[str]], object], run: Run) -> bool:
    """Ends a call after some steps in the file system; returns whether it was done by then."""
    steps = iter(range(step))

    def counted(action):
        def act(*arguments):
            if next(steps, None) is None:
                raise KilledError
            return action(*arguments)

        return act

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((Path, "rename"), (Path, "mkdir"), (Path, "rmdir"), (aside, "remove")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            call(run.folder, run.names())
        except KilledError:
            return False
    return True
