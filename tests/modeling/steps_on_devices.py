"""A small dual encoder, and what holds of its training on any backend.

`steps_on_devices.py LOSS ...` runs it in a process of its own, that has two devices, with the sum of these losses; each is a
`module:attribute`.
"""

import contextlib
import functools
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import keras
import numpy as np
from keras import ops

from mmzoo import Head, global_batch, make_stream
from mmzoo.modeling.task import Task, WeightedLoss
from mmzoo.recipe.settings import Train
from mmzoo.training.callbacks import FreezeEncoders
from mmzoo.training.optimizer import make_optimizer

RNG = np.random.default_rng(0)
STEPS, BATCH = 4, 8
DATA = {
    "image": RNG.normal(size=(STEPS * BATCH, 5)).astype("float32"),
    "text": RNG.integers(0, 9, size=(STEPS * BATCH, 3)).astype("int32"),
    "id": RNG.integers(0, 20, size=STEPS * BATCH).astype("int32"),
}
TRAININGS: dict[str, dict[str, Any]] = {
    "clip, accumulate": {"global_clipnorm": 0.05, "gradient_accumulation_steps": 2},
    "clip, averages, parts": {"global_clipnorm": 0.05, "ema_momentum": 0.9, "grad_cache_chunks": 2},
}
"""What two devices do; one does the same without parts."""


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
        image, text = (ops.normalize(streams[name]["tokens"][:, 0]) for name in ("image", "text"))
        scalars = {"logit_scale": ops.exp(self.scale), "logit_bias": ops.zeros(())}
        return {"candidate_embedding": image, "query_embedding": text} | scalars


@global_batch
def info_nce(candidate_embedding: Any, query_embedding: Any, logit_scale: Any, id: Any = None) -> Any:
    """Both directions; those with the same id share the target."""
    logits = logit_scale * candidate_embedding @ ops.transpose(query_embedding)
    same = ops.cast(id[:, None] == id, "float32")
    share = same / ops.sum(same, axis=1, keepdims=True)
    rows, columns = ops.logsumexp(logits, axis=1), ops.logsumexp(logits, axis=0)
    return (rows + columns) / 2 - ops.sum(share * (logits + ops.transpose(logits)), axis=1) / 2


def make_task(*losses: Any, dropout: float = 0.0, normalised: bool = False) -> Task:
    """Makes a task with some losses, its weights following from the seed."""
    keras.utils.set_random_seed(3)
    task = Task({"image": Look(dropout), "text": Read(normalised)}, None, Pair(), map(weighted, losses))
    task({name: value[:2] for name, value in DATA.items()})
    return task


def weighted(loss: Any) -> WeightedLoss:
    """Names a loss, and each of its tensors, after itself."""
    names = {name: name for name in loss.__code__.co_varnames[: loss.__code__.co_argcount]}
    return WeightedLoss(loss.__name__, loss, names, global_batch=getattr(loss, "global_batch", False))


def prepare(task: Task, **options: Any) -> None:
    """Compiles a task as a training does."""
    train = Train(**{"batch_size": BATCH, "optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}} | options)
    task.compile(optimizer=make_optimizer(train, STEPS), jit_compile=train.jit_compile)
    task.optimizer.build(task.trainable_variables)
    if train.grad_cache_chunks > 1:
        symbols = {name: keras.KerasTensor((None, *value.shape[1:]), value.dtype.name) for name, value in DATA.items()}
        task.train_in_chunks(train.grad_cache_chunks, symbols)


def values(variables: Any) -> list[np.ndarray]:
    """Reads variables."""
    return [np.asarray(keras.ops.convert_to_numpy(one)) for one in variables]


def trained(losses: Iterable[Any], scope: Any, **options: Any) -> dict[str, np.ndarray]:
    """Trains four steps; gives the weights, and the losses that were reported."""
    with scope:
        task = make_task(*losses)
        prepare(task, **options)
        found = dict(task.fit(data(), epochs=1, shuffle=False, verbose=0).history)
        if keras.backend.backend() == "tensorflow":  # a batch of eight, and one that two devices share as four and three
            found["held out"] = task.evaluate(data().unbatch().take(15).batch(8), verbose=0)
    return {f"weight {number}": one for number, one in enumerate(values(task.trainable_variables))} | found


def data(examples: Any = DATA) -> Any:
    """Gives the batches of one epoch."""
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(examples).batch(BATCH, drop_remainder=True)


@functools.cache
def mirrored() -> Any:
    """Makes the strategy of this process: TensorFlow's collectives fail now and then where there are several."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@contextlib.contextmanager
def two_devices() -> Any:
    """Enters what `train.devices: 2` enters."""
    if keras.backend.backend() == "tensorflow":
        with mirrored().scope():
            yield
    else:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"]))
        yield
        keras.distribution.set_distribution(None)


def compare(losses: Iterable[Any], trainings: Iterable[str] = TRAININGS) -> None:
    """Holds that two devices learn what one learns from the whole batch at once."""
    for name in trainings:
        options = TRAININGS[name]
        two = trained(losses, two_devices(), **options)
        one = trained(losses, contextlib.nullcontext(), **options | {"grad_cache_chunks": 1})
        assert one.keys() == two.keys()
        for path, value in one.items():
            np.testing.assert_allclose(two[path], value, rtol=1e-5, atol=1e-5, err_msg=f"{name}: {path}")


def check_parts() -> None:
    """Holds that parts, each with its own dropout and batch, give the gradient and state of a pass over all with one tape."""
    options = {"dropout": 0.5, "normalised": True}
    before, wanted, state = straight(make_task(info_nce, **options), parts=4)
    task = make_task(info_nce, **options)
    prepare(task, grad_cache_chunks=4, optimizer={"type": "sgd", "learning_rate": 1.0})
    task.fit(data().take(1), shuffle=False, verbose=0)
    for start, slope, after in zip(before, wanted, values(task.trainable_variables), strict=True):
        assert abs(slope).max() > 1e-3
        np.testing.assert_allclose(start - after, slope, rtol=1e-5, atol=1e-6)
    for found, one in zip(values(task.non_trainable_variables), state, strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-6)


def straight(task: Task, parts: int) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Gives the weights, the gradient of the first batch's loss, and the state after it."""
    first = {name: value[:BATCH] for name, value in DATA.items()}
    order = np.argsort(np.concatenate([np.arange(BATCH)[part::parts] for part in range(parts)]))

    def joined(outputs: list[Any]) -> Any:
        whole = {
            name: ops.take(ops.concatenate([one[name] for one in outputs]), order, axis=0)
            for name in outputs[0]
            if name.endswith("_embedding")
        }
        tensors = outputs[0] | whole | first
        return ops.mean(task.weighted_losses[0](tensors))

    def part(number: int) -> Any:
        return {name: value[number::parts] for name, value in first.items()}

    before = values(task.trainable_variables)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = joined([task(part(number), training=True) for number in range(parts)])
        slopes = [tf.convert_to_tensor(slope) for slope in tape.gradient(loss, task.trainable_variables)]
        return before, values(slopes), values(task.non_trainable_variables)
    import jax

    def total(weights: Any) -> Any:
        state, outputs = [one.value for one in task.non_trainable_variables], []
        for number in range(parts):
            found, state = task.stateless_call(weights, state, part(number), training=True)
            outputs.append(found)
        return joined(outputs), state

    slopes, state = jax.jit(jax.grad(total, has_aux=True))([one.value for one in task.trainable_variables])
    return before, values(slopes), values(state)


def check_freeze() -> None:
    """Holds that an encoder stands still, running means and weight decay and all, until its epoch, and then is trained."""
    task = make_task(info_nce, normalised=True)
    prepare(task, optimizer={"type": "adamw", "learning_rate": 0.1, "weight_decay": 0.1}, ema_momentum=0.5)
    seen = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: seen.append([values(one.variables) for one in layers]))
    layers = [task.encoders["text"], task.encoders["image"]]
    start = values(layers[0].variables)
    callbacks = [FreezeEncoders({"image": True, "text": 3}), watch]
    task.fit(data().repeat(), epochs=3, steps_per_epoch=2, shuffle=False, verbose=0, callbacks=callbacks)
    (one, other), (two, _), (three, _) = seen
    assert len(start) == 5  # the embedding; scale, shift, mean and variance of batch normalisation
    assert all((a == b).all() for a, b in zip(start, one, strict=True))
    assert all((a == b).all() for a, b in zip(start, two, strict=True))
    assert all((a != b).any() for a, b in zip(start, three, strict=True))
    assert all((a != b).any() for a, b in zip(other, seen[1][1], strict=True) if a.dtype.kind == "f")


def check_overflow() -> None:
    """Holds that a gradient which is infinite on the second device alone changes no weight, and halves the loss's scale."""
    keras.config.set_dtype_policy("mixed_float16")
    with two_devices():
        task = make_task(info_nce)
        prepare(task, global_clipnorm=1.0)
    start = values(task.trainable_variables)
    task.fit(data().repeat(3), shuffle=False, verbose=0)  # the first scales are too large
    before, (scale,) = values(task.trainable_variables), values([task.optimizer.dynamic_scale])
    assert all((a != b).any() for a, b in zip(start, before, strict=True))
    broken = DATA | {"image": np.where(np.arange(STEPS * BATCH)[:, None] == BATCH - 1, np.inf, DATA["image"])}
    task.fit(data(broken).take(1), shuffle=False, verbose=0)
    assert all((a == b).all() for a, b in zip(before, values(task.trainable_variables), strict=True))
    assert values([task.optimizer.dynamic_scale]) == [scale / 2]
    keras.config.set_dtype_policy("float32")


if __name__ == "__main__":
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    named = [target.partition(":") for target in sys.argv[1:]]
    losses = [getattr(import_module(module), attribute) for module, _, attribute in named]
    own = "steps_on_devices:info_nce" in sys.argv
    compare(losses, TRAININGS if own else [list(TRAININGS)[-1]])  # accumulation knows no loss
    if keras.backend.backend() == "jax":
        check_parts()
        check_freeze()
    elif own:
        check_overflow()
        import_module("test_task").check_replicas(two_devices)
