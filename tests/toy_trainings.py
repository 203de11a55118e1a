"""Trainings of the toys' recipe, and what is compared of their runs."""

import copy
import itertools
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mmzoo
from mmzoo.contracts.progress import Screen
from mmzoo.data.open import open_data
from mmzoo.data.splits import Data
from mmzoo.recipe.plan import Plan
from mmzoo.run.folder import Run
from mmzoo.training.callbacks import ProgressBar

OPENED: dict[str, Data] = {}
"""The data of the toys' recipes that were trained, opened once in a process."""


def open_once(plan: Plan, screen: Screen, learned: Any = None) -> Data:
    """Opens the data of a recipe, or takes what another training with the same data opened."""
    recipe = plan.plain()
    key = json.dumps([recipe["data"], recipe["inputs"]])
    if key not in OPENED:
        OPENED[key] = open_data(plan, screen)
    data = copy.copy(OPENED[key])
    data.plan = plan
    return data


def trained(name: Path, *overrides: str, screen: Screen | None = None, fresh: bool = False, **options) -> Run:
    """Trains the toy and neither rehearses, evaluates nor exports it; `fresh` opens its data anew."""
    with pytest.MonkeyPatch.context() as patch:
        for skipped in ("_rehearse", "finish"):
            patch.setattr(import_module("mmzoo.build"), skipped, lambda *_: None)
        if not fresh:
            patch.setattr("mmzoo.data.open.open_data", open_once)
        return mmzoo.build("r.yaml", out=name, overrides=overrides, screen=screen or Screen(quiet=True), **options)


def arrays(file: Path) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(file) as opened:
        opened.visititems(lambda path, item: found.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def weights(run: Run) -> dict[str, np.ndarray]:
    return {path: value for path, value in arrays(run.weights).items() if not path.startswith("optimizer")}


def history(run: Run) -> dict[str, list[float]]:
    found = json.loads(run.history.read_text("utf-8"))
    assert len(found.pop("seconds")) == len(found["loss"])
    return found


def assert_same(one: Run, other: Run) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    for path, value in left.items():
        np.testing.assert_array_equal(value, right[path], err_msg=path)
    assert history(one) == history(other)


def break_off(monkeypatch, epoch: int) -> None:
    """Presses Ctrl-C at the beginning of an epoch."""
    begin = ProgressBar.on_epoch_begin

    def stop(self, number, logs=None):
        if number == epoch:
            raise KeyboardInterrupt
        begin(self, number, logs)

    monkeypatch.setattr(ProgressBar, "on_epoch_begin", stop)


def kill_after(monkeypatch, files: int) -> None:
    """Presses Ctrl-C when a training has written so many files of its checkpoints and is about to write the next one."""
    written = itertools.count()
    for name in ("replacing", "write_json"):
        write = getattr(import_module("mmzoo.training.checkpoint"), name)

        def count(*arguments: Any, write: Any = write) -> Any:
            if next(written) == files:
                raise KeyboardInterrupt
            return write(*arguments)

        monkeypatch.setattr(f"mmzoo.training.checkpoint.{name}", count)
