"""Devices share a batch evenly, or it is said why not. What they learn together stands in test_steps.py."""

import os
import re
from importlib import import_module

import keras
import numpy as np
import pytest
from toy_trainings import open_once

import mmzoo
from mmzoo.contracts.progress import Screen
from mmzoo.errors import TrainingError
from mmzoo.modeling.devices import describe_devices, devices, find_devices, on_global_batch
from mmzoo.recipe.settings import Train
from mmzoo.training.optimizer import make_optimizer


@pytest.mark.parametrize(
    ("found", "train", "message"),
    [
        (2, {"batch_size": 7}, "train.batch_size is 7, which 2 devices cannot share evenly. Give a multiple of 2."),
        (
            2,
            {"batch_size": 10, "grad_cache_chunks": 4},
            "train.batch_size is 10, which does not make 4 equal chunks (train.grad_cache_chunks) on each of 2 devices. "
            "Give a multiple of 8.",
        ),
        (
            0,
            {"batch_size": 6, "grad_cache_chunks": 4},
            "train.batch_size is 6, which does not make 4 equal chunks (train.grad_cache_chunks) on each of 1 device. "
            "Give a multiple of 4.",
        ),
    ],
)
def test_a_batch_that_cannot_be_shared(monkeypatch, found, train, message):
    monkeypatch.setattr("mmzoo.modeling.devices.accelerators", lambda: [f"GPU:{number}" for number in range(found)])
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}$"):
        find_devices(Train(**train))


@pytest.mark.parametrize(
    ("found", "wanted", "chosen"),
    [
        (2, "auto", ["GPU:0", "GPU:1"]),
        (2, "gpu", ["GPU:0", "GPU:1"]),
        (2, "cpu", []),
        (2, 1, ["GPU:0"]),
        (0, "auto", []),
        (0, "cpu", []),
        (0, 1, []),
        (2, 3, "train.devices is 3, but 2 accelerators were found. Give `auto` or fewer."),
        (0, "gpu", "train.devices is gpu, but there is no GPU that TensorFlow finds; `auto` and `cpu` train on the CPU.\nWhy."),
        (0, 2, "train.devices is 2, but there is no GPU that TensorFlow finds; `auto` and `cpu` train on the CPU.\nWhy."),
    ],
)
def test_devices_are_those_that_the_recipe_names_or_none(monkeypatch, found, wanted, chosen):
    monkeypatch.setattr("mmzoo.modeling.devices.accelerators", lambda: [f"GPU:{number}" for number in range(found)])
    monkeypatch.setattr("mmzoo.modeling.devices.why_none", lambda: "Why.")
    if isinstance(chosen, list):
        assert find_devices(Train(devices=wanted)) == chosen
    else:
        with pytest.raises(TrainingError, match=f"^{re.escape(chosen)}$"):
            find_devices(Train(devices=wanted))


CORES = f"on the CPU ({os.cpu_count()} cores)"


@pytest.mark.parametrize(
    ("found", "there", "wanted", "line"),
    [
        (["H200", "H200"], True, "auto", "train     on 2 GPUs: H200"),
        (["H200", "A100"], True, 1, "train     on 1 GPU: H200"),
        (["H200"], True, "cpu", f"train     {CORES}"),
        ([], False, "auto", f"train     {CORES}"),
        ([], True, "cpu", f"train     {CORES}"),
        ([], True, 1, f"warning   this machine has a GPU, but training is {CORES}.\nWhy."),
    ],
)
def test_a_line_says_which_devices_train(monkeypatch, found, there, wanted, line):
    monkeypatch.setattr("mmzoo.modeling.devices.accelerators", lambda: [f"/GPU:{number}" for number in range(len(found))])
    for name, value in {"models": found, "has_gpu": there, "why_none": "Why."}.items():
        monkeypatch.setattr(f"mmzoo.modeling.devices.{name}", lambda value=value: value)
    assert describe_devices(Train(devices=wanted)) == line


def test_one_device_sees_the_whole_batch():
    assert devices() == 1
    assert on_global_batch(lambda left, right: left - right, {"left": 3, "right": 1}) == 2


@pytest.fixture
def trained(toy_world, tmp_path, monkeypatch):
    """Trains the toy as if there were so many devices; gives its history and what was said."""

    def train(count: int, *overrides: str):
        said: list[str] = []
        screen = Screen(quiet=True)
        monkeypatch.setattr(screen, "say", said.append)
        monkeypatch.setattr("mmzoo.training.train.devices", lambda: count)
        for skipped in ("_rehearse", "finish"):
            monkeypatch.setattr(import_module("mmzoo.build"), skipped, lambda *_: None)
        monkeypatch.setattr("mmzoo.data.open.open_data", open_once)
        run = mmzoo.build("r.yaml", out=tmp_path / f"{count}", overrides=overrides, screen=screen)
        return run.load_json(run.history), [line for line in said if "leaves out" in line]

    return train


@pytest.mark.slow
def test_the_validation_loss_leaves_out_what_devices_cannot_share(trained):
    """Of twelve examples five devices share ten, eight and two; the loss is the mean over those."""
    whole, silent = trained(1, "train.batch_size=1", "train.optimizer={type: sgd, learning_rate: 0.0}")
    left, said = trained(5, "train.batch_size=1", "train.optimizer={type: sgd, learning_rate: 0.0}")
    assert silent == []
    assert said == ["train     the validation loss leaves out the last 2 of 12, which 5 devices cannot share"]
    assert whole["loss"] == pytest.approx(left["loss"])
    assert whole["val_loss"] != pytest.approx(left["val_loss"], rel=1e-4)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.batch_size=30"], "the only batch of the training split has 24 examples, which 16 devices cannot share evenly"),
        ([], "the split 'validation' has 12 examples, too few for 16 devices. Give fewer devices."),
    ],
)
@pytest.mark.slow
def test_splits_too_small_for_the_devices(trained, overrides, message):
    with pytest.raises(TrainingError, match=message):
        trained(16, *overrides)


def test_weights_that_are_held_take_no_step_and_no_decay():
    made = make_optimizer(Train(optimizer={"type": "adamw", "learning_rate": 0.1, "weight_decay": 0.1}), 10)
    still, moved = keras.Variable([1.0, 2.0]), keras.Variable([1.0, 2.0])
    made.build([still, moved])
    made.frozen_ids = frozenset({id(still)})
    made.apply([keras.ops.ones(2), keras.ops.ones(2)])
    np.testing.assert_array_equal(still, [1.0, 2.0])
    np.testing.assert_allclose(moved, np.array([1.0, 2.0]) * (1 - 0.1 * 0.1) - 0.1, rtol=1e-5)
    assert int(made.iterations) == 1


def test_a_schedule_counts_steps_whether_they_update_or_accumulate():
    schedule = {"type": "polynomial_decay", "initial_learning_rate": 1.0, "end_learning_rate": 0.0}
    made = make_optimizer(Train(optimizer={"type": "sgd", "learning_rate": schedule}, gradient_accumulation_steps=4), 16)
    variable = keras.Variable(0.0)
    made.build([variable])
    for step in range(16):
        assert float(made.learning_rate) == pytest.approx(1 - step / 16)
        made.apply([keras.ops.ones(())], [variable])
    # Each update is made in the last of four steps, at its rate, with the mean gradient 1.
    assert float(variable.value) == pytest.approx(-sum(1 - step / 16 for step in (3, 7, 11, 15)))
