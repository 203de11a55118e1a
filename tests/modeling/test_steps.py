"""Several devices and batches in parts learn what one device learns from the whole batch at once."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from steps_on_devices import DATA, Pair, check_freeze, check_parts, info_nce, make_task, prepare
from toy_trainings import arrays, assert_same, break_off, trained, weights

from mmzoo.errors import TrainingError
from mmzoo.modeling.task import Task

pytestmark = pytest.mark.slow


def test_parts_have_the_gradient_of_the_whole():
    check_parts()


def test_an_encoder_is_held_still():
    check_freeze()


def test_a_resumed_training_holds_an_encoder_as_long_as_an_unbroken_one(monkeypatch, toy_world, tmp_path):
    held = ("train.epochs=4", "encoders.image.trainable=3", "encoders.image.dropout=0.5", "train.ema_momentum=0.5")
    held += ("train.optimizer={type: adamw, learning_rate: {type: cosine_decay, initial_learning_rate: 0.01}}",)
    whole = trained(tmp_path / "whole", *held)
    first = weights(trained(tmp_path / "first", "encoders.image.trainable=false"))
    encoder = [path for path in first if "encoders" in path and first[path].dtype.kind == "f"]
    assert len(encoder) == 2
    assert all((weights(whole)[path] != first[path]).any() for path in encoder)
    broken = tmp_path / "broken"
    for epoch in (1, 2, 3):  # before it is trained, as it begins, and after
        with monkeypatch.context() as patch:
            break_off(patch, epoch)
            with pytest.raises(KeyboardInterrupt):
                trained(broken, *held, resume=epoch > 1)
        kept = arrays(broken / "checkpoint" / f"epoch-{epoch:04d}.weights.h5")
        assert all((kept[path] == first[path]).all() == (epoch < 3) for path in encoder)
    assert_same(whole, trained(broken, *held, resume=True))


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_learn_what_one_learns(backend):
    here = Path(__file__).with_name("steps_on_devices.py")
    two = {"KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, str(here), "steps_on_devices:info_nce"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | two)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_layer_with_a_loss_of_its_own_has_no_place_in_parts():
    task = make_task(info_nce)
    task.encoders["image"].inside.layers[0].kernel.regularizer = keras.regularizers.L2(0.1)
    prepare(task, grad_cache_chunks=2)
    with pytest.raises(TrainingError) as raised:
        task.fit(DATA, batch_size=8, verbose=0)
    assert str(raised.value) == (
        "train.grad_cache_chunks computes a batch in chunks, but a layer adds a loss of its own (such as a regularizer), "
        "which chunks do not support. Remove one of the two."
    )


def test_an_output_that_cannot_be_put_together_from_parts():
    class Table(Pair):
        def call(self, streams, targets=None, training=False):
            found = super().call(streams, targets)
            return found | {"logits": found["candidate_embedding"] @ keras.ops.transpose(found["query_embedding"])}

    task = make_task(info_nce)
    task = Task(task.encoders, None, Table(), task.weighted_losses)
    task({name: value[:2] for name, value in DATA.items()})
    with pytest.raises(TrainingError) as raised:
        prepare(task, grad_cache_chunks=2)
    assert str(raised.value) == (
        "train.grad_cache_chunks computes a batch in chunks, but the head's output 'logits' is not one row per example, "
        "so its chunks cannot be joined. Remove the option, or use a head that gives embeddings."
    )
