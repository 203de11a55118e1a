"""Trainings of the toys' recipe, and what is compared of their runs."""

import json
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest

import mmzoo
from mmzoo.contracts.progress import Screen
from mmzoo.run.folder import Run


def trained(name: Path, *overrides: str, screen: Screen | None = None, **options) -> Run:
    """Trains the toy and neither rehearses, evaluates nor exports it."""
    with pytest.MonkeyPatch.context() as patch:
        for skipped in ("_rehearse", "finish"):
            patch.setattr(import_module("mmzoo.build"), skipped, lambda *_: None)
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

    def stop(self, number, logs=None):
        if number == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr("mmzoo.training.callbacks.ProgressBar.on_epoch_begin", stop)
    monkeypatch.setattr("mmzoo.training.callbacks.ProgressBar.epoch", 0, raising=False)
