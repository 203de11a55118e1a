"""What a recipe sets of the process: Keras' settings and the random state. A call puts back what its caller had. Light."""

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

from mmzoo.recipe.settings import Train
from mmzoo.training.backend import DEFAULTS, set_backend


@contextmanager
def borrowed(backend: str) -> Iterator[None]:
    """Sets Keras' backend for a call, and puts back at its end what the call has set of the process, also if it fails.

    The backend itself stays, with the variable KERAS_BACKEND that says so: Keras is imported with one, and TensorFlow reads
    its own variables once.

    Raises:
        TrainingError: As in `set_backend`.
    """
    absl = logging.getLogger("absl")
    level, environment = absl.level, {name: os.environ.get(name) for name in DEFAULTS}
    try:
        set_backend(backend)
        with unchanged():
            yield
    finally:
        absl.setLevel(level)
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def unchanged() -> Iterator[None]:
    """Puts back Keras' settings, its distribution and the random state of Python, NumPy, Keras and TensorFlow."""
    import keras
    import numpy as np
    from keras.src.backend.common import global_state  # no public name returns the seed and the generator of Keras,
    from tensorflow.python.eager import context  # nor the generator of TensorFlow

    settings = {name: getattr(keras.config, name)() for name in ("image_data_format", "floatx", "epsilon", "dtype_policy")}
    distribution, tensorflow = keras.distribution.distribution(), context.context()
    keras_random = {name: global_state.get_global_attribute(name) for name in ("global_random_seed", "global_seed_generator")}
    seed, generator = tensorflow._seed, getattr(tensorflow, "_rng", None)
    states = random.getstate(), np.random.get_state(), generator and generator.getstate()
    try:
        yield
    finally:
        for name, value in settings.items():
            getattr(keras.config, f"set_{name}")(value)
        keras.distribution.set_distribution(distribution)
        for name, value in keras_random.items():
            global_state.set_global_attribute(name, value)
        random.setstate(states[0])
        np.random.set_state(states[1])
        tensorflow._seed, tensorflow._rng = seed, generator
        if generator is not None:
            generator.setstate(states[2])


def prepare(train: Train) -> None:
    """Sets the global seed and the settings of Keras; call it before the task is assembled."""
    import keras

    configure(train.precision)
    # With a global seed of 0 TensorFlow cannot shuffle with a seed that is a tensor, as each epoch's is.
    keras.utils.set_random_seed(train.seed or 2**31 - 2)


def configure(precision: str) -> None:
    """Sets the settings of Keras. The recipe alone decides: those of the caller and of `~/.keras/keras.json` do not count."""
    import keras

    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy(precision)
    keras.distribution.set_distribution(None)
