"""Trains a small dual encoder on one device and on two, in a process of its own, and holds that both learn the same.

`steps_on_devices.py LOSS ...`, each loss a `module:attribute`; the backend is KERAS_BACKEND's.
"""

import contextlib
import os
import sys
from importlib import import_module
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np
from keras import ops

from mmzoo import Head, make_stream, whole_batch
from mmzoo.optimizer import make_optimizer
from mmzoo.plan import Train
from mmzoo.task import Task, WeightedLoss

RNG = np.random.default_rng(0)
STEPS, BATCH = 4, 8
DATA = {
    "image": RNG.normal(size=(STEPS * BATCH, 5)).astype("float32"),
    "text": RNG.integers(0, 9, size=(STEPS * BATCH, 3)).astype("int32"),
    "id": RNG.integers(0, 20, size=STEPS * BATCH).astype("int32"),
}
TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "clip": {"clip": 0.05},
    "clip, accumulate": {"clip": 0.05, "accumulate": 2},
    "parts, clip, averages": {"clip": 0.05, "accumulate_contrastive": 2, "ema": 0.9},
}


class Look(keras.layers.Layer):
    """Two dense layers, a dropout between them."""

    def __init__(self, dropout: float = 0.0):
        super().__init__()
        self.inside = keras.Sequential([keras.layers.Dense(6, "tanh"), keras.layers.Dropout(dropout), keras.layers.Dense(4)])

    def call(self, pixels: Any, training: bool = False) -> Any:
        return make_stream(self.inside(pixels, training=training))


class Read(keras.layers.Layer):
    """The mean of words' embeddings, normalised over the batch if asked for."""

    def __init__(self, normalised: bool = False):
        super().__init__()
        self.embed = keras.layers.Embedding(9, 4)
        self.normal = keras.layers.BatchNormalization() if normalised else keras.layers.Identity()

    def call(self, words: Any, training: bool = False) -> Any:
        return make_stream(self.normal(ops.mean(self.embed(words), axis=1), training=training))


class Pair(Head):
    """Embeddings of length 1 and their learned scale."""

    def build(self, streams_shape: Any, targets_shape: Any = None) -> None:
        self.scale = self.add_weight(shape=(), initializer="ones")

    def call(self, streams: Any, targets: Any = None, training: bool = False) -> Any:
        both = {f"{name}_embedding": ops.normalize(streams[name]["tokens"][:, 0]) for name in ("image", "text")}
        return both | {"scale": ops.exp(self.scale), "bias": ops.zeros(())}


@whole_batch
def info_nce(image_embedding: Any, text_embedding: Any, scale: Any, id: Any = None) -> Any:
    """Both directions; those with the same id share the target."""
    logits = scale * image_embedding @ ops.transpose(text_embedding)
    same = ops.cast(id[:, None] == id, "float32")
    share = same / ops.sum(same, axis=1, keepdims=True)
    rows, columns = ops.logsumexp(logits, axis=1), ops.logsumexp(logits, axis=0)
    return (rows + columns) / 2 - ops.sum(share * (logits + ops.transpose(logits)), axis=1) / 2


def make_task(loss: Any, dropout: float = 0.0, normalised: bool = False) -> Task:
    """Makes a task with one loss, its weights following from the seed."""
    keras.utils.set_random_seed(3)
    names = {name: name for name in loss.__code__.co_varnames[: loss.__code__.co_argcount]}
    weighted = WeightedLoss("loss", loss, names, whole=getattr(loss, "whole_batch", False))
    task = Task({"image": Look(dropout), "text": Read(normalised)}, None, Pair(), [weighted])
    task({name: value[:2] for name, value in DATA.items()})
    return task


def prepare(task: Task, **options: Any) -> None:
    """Compiles a task as a training does."""
    train = Train(batch=BATCH, optimizer={"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}, **options)
    task.compile(optimizer=make_optimizer(train, STEPS), jit_compile=train.jit)
    task.optimizer.build(task.trainable_variables)
    if train.accumulate_contrastive > 1:
        symbols = {name: keras.KerasTensor((None, *value.shape[1:]), value.dtype.name) for name, value in DATA.items()}
        task.train_in_parts(train.accumulate_contrastive, symbols)


def trained(loss: Any, scope: Any, **options: Any) -> dict[str, np.ndarray]:
    """Trains four steps; gives the weights, and the losses that were reported."""
    with scope:
        task = make_task(loss)
        prepare(task, **options)
        history = task.fit(data(), epochs=1, verbose=0).history
    weights = {f"weight {number}": np.asarray(one) for number, one in enumerate(task.trainable_variables)}
    return weights | {name: np.asarray(values) for name, values in history.items()}


def data() -> Any:
    """Gives the batches of one epoch."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(DATA).batch(BATCH, drop_remainder=True)


@contextlib.contextmanager
def two_devices() -> Any:
    """Enters what `train.devices: 2` enters."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            yield
    else:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"]))
        yield
        keras.distribution.set_distribution(None)


def compare(loss: Any) -> None:
    """Compares the weights and losses after four steps."""
    for name, options in TRAININGS.items():
        one, two = trained(loss, contextlib.nullcontext(), **options), trained(loss, two_devices(), **options)
        assert one.keys() == two.keys()
        for path, value in one.items():
            np.testing.assert_allclose(two[path], value, rtol=1e-5, atol=1e-5, err_msg=f"{loss.__name__}, {name}: {path}")


if __name__ == "__main__":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    for target in sys.argv[1:]:
        module, _, attribute = target.partition(":")
        compare(getattr(import_module(module), attribute) if module else globals()[attribute])
