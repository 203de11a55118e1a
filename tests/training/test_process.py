"""A recipe alone decides what a call computes with, and the caller's process is as before when the call has ended."""

import logging
import os
import random
from contextlib import suppress

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmzoo.recipe.settings import Train
from mmzoo.training.backend import DEFAULTS
from mmzoo.training.process import borrowed, prepare, unchanged

FOREIGN = {"image_data_format": "channels_first", "floatx": "float16", "epsilon": 1e-3, "dtype_policy": "mixed_bfloat16"}


def settings() -> dict[str, object]:
    return {name: getattr(keras.config, name)() for name in FOREIGN}


def draws() -> list[float]:
    """Draws a number from everything that has a state; TensorFlow's and Keras' own come from two generators each."""
    return [
        random.random(),
        np.random.rand(),
        *(float(draw((), dtype="float32")) for draw in (tf.random.uniform, keras.random.uniform) for _ in range(2)),
    ]


@pytest.fixture
def foreign():
    """Sets what the caller of mmzoo may have set."""
    with unchanged():
        for name, value in FOREIGN.items():
            getattr(keras.config, f"set_{name}")(value)
        yield settings()


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_call_sets_is_put_back(foreign, monkeypatch, fails):
    mesh = keras.distribution.DeviceMesh((1,), ["batch"], ["cpu:0"])
    distribution = keras.distribution.DataParallel(device_mesh=mesh)
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    environment, level = dict(os.environ), logging.getLogger("absl").level
    keras.utils.set_random_seed(3)
    draws()
    expected = draws()
    keras.utils.set_random_seed(3)
    draws()
    with distribution.scope():
        with suppress(KeyError), borrowed("tensorflow"):
            prepare(Train(seed=5, precision="mixed_float16"))
            assert list(settings().values())[:3] == ["channels_last", "float32", 1e-7]
            assert keras.config.dtype_policy().name == "mixed_float16"
            assert keras.distribution.distribution() is None
            draws()
            if fails:
                raise KeyError
        assert keras.distribution.distribution() is distribution
    assert settings() == foreign
    assert draws() == expected
    assert (dict(os.environ), logging.getLogger("absl").level) == (environment, level)
