"""Several devices and batches in parts learn what one device learns from the whole batch at once."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from steps_on_devices import DATA, Pair, check_hold, check_parts, info_nce, make_task, prepare

from mmzoo.errors import TrainingError
from mmzoo.task import Task


def test_parts_have_the_gradient_of_the_whole():
    check_parts()


def test_an_encoder_is_held_still():
    check_hold()


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
    prepare(task, accumulate_contrastive=2)
    with pytest.raises(TrainingError) as raised:
        task.fit(DATA, batch_size=8, verbose=0)
    assert str(raised.value) == (
        "train.accumulate_contrastive encodes a batch in parts, but a layer adds a loss of its own (such as a regularizer), "
        "which has no place there. Leave one of the two out."
    )


def test_an_output_that_cannot_be_put_together_from_parts():
    class Table(Pair):
        def call(self, streams, targets=None, training=False):
            found = super().call(streams, targets)
            return found | {"logits": found["image_embedding"] @ keras.ops.transpose(found["text_embedding"])}

    task = make_task(info_nce)
    task = Task(task.encoders, None, Table(), task.weighted_losses)
    task({name: value[:2] for name, value in DATA.items()})
    with pytest.raises(TrainingError) as raised:
        prepare(task, accumulate_contrastive=2)
    assert str(raised.value) == (
        "train.accumulate_contrastive encodes a batch in parts, but the head's output 'logits' is not one row per example: "
        "it cannot be put together from parts. Remove the option, or use a head that gives embeddings."
    )
