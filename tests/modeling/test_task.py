"""The task's loss is the weighted sum of means that it says, on one device and on several, in every precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from mmzoo import Head, Signature, make_stream
from mmzoo.modeling.task import Task, WeightedLoss

RNG = np.random.default_rng(0)
FEATURES = {"image": RNG.normal(size=(6, 5)).astype("float32"), "label": np.array([0, 1, 2, 1, 0, 2])}


class Look(keras.layers.Layer):
    """One dense layer with a loss of its own: a tenth of the squares of its weights."""

    def __init__(self, dim: int = 4, dropout: float = 0.0):
        super().__init__()
        self.dense = keras.layers.Dense(dim, kernel_regularizer=keras.regularizers.L2(0.1), use_bias=False)
        self.dropout = keras.layers.Dropout(dropout)

    def call(self, pixels, training=False):
        return make_stream(self.dropout(self.dense(pixels), training=training))


class Swap(keras.layers.Layer):
    """Names each stream anew."""

    def call(self, streams, training=False):
        return {f"new_{name}": stream for name, stream in streams.items()}


class Guess(Head):
    """Gives the first stream's token as scores of three classes, and the target that it was given."""

    targets = ("label",)

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, streams, targets=None, training=False):
        stream = next(iter(streams.values()))
        return {"logits": self.dense(stream["tokens"][:, 0]), "given": targets["label"]}

    def signatures(self):
        return {"guess": Signature(dict), "other": Signature(dict, inputs=("label",))}


def spread(logits):
    return ops.sum(logits**2, axis=-1)


def gap(logits, label):
    return ops.logsumexp(logits, axis=-1) - ops.take_along_axis(logits, ops.cast(label, "int32")[:, None], axis=-1)[:, 0]


def make_task(*losses: WeightedLoss, fusion=None, **options) -> Task:
    task = Task({"image": Look(**options)}, fusion, Guess(), losses)
    task(FEATURES)
    return task


GAP = WeightedLoss("gap", gap, {"logits": "logits", "label": "label"}, 2.0)
SPREAD = WeightedLoss("spread", spread, {"logits": "logits"}, 0.25)


def expected(task: Task, features: dict, rows: slice = slice(None)) -> dict[str, np.ndarray]:
    """Computes the losses' values and the layer's own in float64."""
    kernel, dense, bias = (np.asarray(variable.value, "float64") for variable in task.trainable_variables)
    logits = features["image"][rows].astype("float64") @ kernel @ dense + bias
    right = logits[np.arange(len(logits)), features["label"][rows]]
    own = 0.1 * (kernel**2).sum()
    return {"gap": np.log(np.exp(logits).sum(-1)) - right, "spread": (logits**2).sum(-1), "own": own}


def test_the_loss_is_the_weighted_sum_of_means_and_the_layers_own():
    task = make_task(GAP, SPREAD)
    want = expected(task, FEATURES)
    loss = task.compute_loss(x=FEATURES, y_pred=task(FEATURES))
    assert np.asarray(loss) == pytest.approx(want["own"] + 2 * want["gap"].mean() + 0.25 * want["spread"].mean(), rel=1e-5)


def test_trackers_average_over_examples_not_over_batches():
    task = make_task(GAP, SPREAD)
    for rows in (slice(0, 4), slice(4, 6)):
        part = {name: value[rows] for name, value in FEATURES.items()}
        task.compute_loss(x=part, y_pred=task(part))
    want = expected(task, FEATURES)
    assert {tracker.name for tracker in task.trackers} == {"gap", "spread"}
    for tracker in task.trackers:
        assert np.asarray(tracker.result()) == pytest.approx(want[tracker.name].mean(), rel=1e-5)
        assert tracker in task.metrics


def test_fit_reports_and_lowers_the_loss():
    task = make_task(GAP, SPREAD)
    task.compile(optimizer=keras.optimizers.SGD(0.01))
    want = expected(task, FEATURES)
    history = task.fit(FEATURES, batch_size=6, epochs=2, verbose=0).history
    assert history["loss"][0] == pytest.approx(want["own"] + 2 * want["gap"].mean() + 0.25 * want["spread"].mean(), rel=1e-5)
    assert history["gap"][0] == pytest.approx(want["gap"].mean(), rel=1e-5)
    assert history["loss"][1] < history["loss"][0]


def test_a_loss_finds_outputs_and_inputs_by_the_names_it_is_given():
    taken = {}

    def look(first, second):
        taken.update(first=first, second=second)
        return ops.zeros(len(first))

    found = {"label": FEATURES["label"], "logits": np.ones((6, 3), "float16"), "given": np.zeros(6)}
    WeightedLoss("look", look, {"first": "label", "second": "logits"})(found)
    assert taken["first"] is found["label"]  # whole numbers stay as they are
    assert keras.backend.standardize_dtype(taken["second"].dtype) == "float32"


def test_a_loss_that_is_there_twice_is_told_apart_by_its_tensors():
    twice = [WeightedLoss("spread", spread, {"logits": name}) for name in ("real", "fake")]
    assert [tracker.name for tracker in Task({}, None, Guess(), [*twice, GAP]).trackers] == [
        "spread_real",
        "spread_fake",
        "gap",
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_losses_are_taken_in_float32_whatever_the_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        task = make_task(GAP, SPREAD)
        outputs = task(FEATURES)
        loss = task.compute_loss(x=FEATURES, y_pred=outputs)
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(outputs["logits"].dtype) == policy.removeprefix("mixed_")
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    logits = np.asarray(ops.cast(outputs["logits"], "float32"), "float64")  # what the head gave, rounded as it is
    right = logits[np.arange(6), FEATURES["label"]]
    want = 2 * (np.log(np.exp(logits).sum(-1)) - right).mean() + 0.25 * (logits**2).sum(-1).mean()
    assert np.asarray(loss) == pytest.approx(want + expected(task, FEATURES)["own"], rel=1e-5)


def test_inputs_that_are_not_given_are_not_encoded():
    task = Task({"image": Look(), "other": Look()}, Swap(), Guess(), [])
    assert list(task.streams({"other": FEATURES["image"]})) == ["new_other"]
    assert list(task.streams(FEATURES | {"other": FEATURES["image"]})) == ["new_image", "new_other"]


def test_the_head_is_given_its_targets_and_no_other_input():
    seen = []

    class Watching(Guess):
        def call(self, streams, targets=None, training=False):
            seen.append((list(streams), list(targets)))
            return super().call(streams, targets)

    Task({"image": Look()}, None, Watching(), [])(FEATURES)
    assert seen[-1] == (["image"], ["label"])


def test_training_and_answering_are_told_apart():
    task = make_task(GAP, dropout=0.9)
    answered = [np.asarray(task(FEATURES)["logits"]) for _ in range(2)]
    assert (answered[0] == answered[1]).all()
    assert (np.asarray(task(FEATURES, training=True)["logits"]) != answered[0]).any()


def test_a_signature_takes_every_encoded_input_unless_it_names_its_own():
    assert {name: signature.inputs for name, signature in make_task(GAP).signatures().items()} == {
        "guess": ("image",),
        "other": ("label",),
    }


def trained(scope) -> tuple[list[np.ndarray], list[np.ndarray], dict]:
    """Trains two steps; gives the weights before and after them, and the losses that were reported."""
    keras.utils.set_random_seed(3)
    with scope:
        task = make_task(GAP, SPREAD)
        before = [variable.numpy() for variable in task.trainable_variables]
        task.compile(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    history = task.fit(tf.data.Dataset.from_tensors(FEATURES).repeat(2), epochs=1, verbose=0).history
    return before, [variable.numpy() for variable in task.trainable_variables], history


def check_replicas(two_devices) -> None:
    """Holds that two devices learn what one learns from the whole batch; `test_steps.py` runs it where there are two."""
    first, one, alone = trained(tf.device("CPU:0"))
    _, two, shared = trained(two_devices())
    for before, after, same in zip(first, one, two, strict=True):
        assert abs(after - before).max() > 1e-2
        np.testing.assert_allclose(after, same, rtol=1e-5, atol=1e-6)
    for name, values in alone.items():
        np.testing.assert_allclose(values, shared[name], rtol=1e-5)
    odd = tf.data.Dataset.from_tensor_slices(FEATURES).take(5).batch(4)  # 4 and 1: a device gets nothing of the last batch
    with two_devices():
        task = make_task(GAP, SPREAD)
        task.compile(optimizer="sgd")
    found = task.evaluate(odd, return_dict=True, verbose=0)
    want = expected(task, FEATURES, slice(5))
    for name in ("gap", "spread"):
        np.testing.assert_allclose(found[name], want[name].mean(), rtol=1e-5)
    total = want["own"] + 2 * want["gap"].mean() + 0.25 * want["spread"].mean()
    np.testing.assert_allclose(found["loss"], total, rtol=1e-5)


# What is there


class Watch(Look):
    """Is told what is there of each of two columns, and answers nothing of what is not."""

    def call(self, pixels, padding_mask=None, training=False):
        return super().call(pixels * ops.cast(ops.any(padding_mask, axis=1, keepdims=True), pixels.dtype), training=training)


def test_of_an_example_that_is_not_there_the_whole_stream_is_masked():
    task = make_task(GAP)
    there = np.array([True, False, True, True, False, True])
    streams = task.streams(FEATURES | {"image@mask": there})
    assert np.asarray(streams["image"]["mask"])[:, 0].tolist() == there.tolist()
    assert np.asarray(task.streams(FEATURES)["image"]["mask"]).all()


def test_an_encoder_that_asks_is_told_what_is_there_of_each_part():
    task = Task({"image": Watch()}, None, Guess(), [GAP])
    parts = np.array([[True, True], [True, False], [False, False]] * 2)
    stream = task.streams(FEATURES | {"image@mask": parts})["image"]
    assert np.asarray(stream["mask"])[:, 0].tolist() == [True, True, False] * 2
    assert (np.abs(np.asarray(stream["tokens"])).sum(axis=(1, 2)) > 0).tolist() == [True, True, False] * 2


def two_streams(rate: float) -> Task:
    return Task({"image": Look(), "other": Look()}, None, Guess(), [GAP], modality_dropout=rate)


def test_streams_are_dropped_in_training_as_often_as_asked_and_never_all_of_an_example():
    keras.utils.set_random_seed(1)
    pixels, lone = np.ones((4000, 5), "float32"), np.arange(4000) % 4 > 0
    batch = {"image": pixels, "other": pixels, "other@mask": lone}
    streams = two_streams(0.3).streams(batch, training=True)
    image, other = (np.asarray(streams[name]["mask"])[:, 0] for name in ("image", "other"))
    assert (image | other).all()
    assert image[~lone].all()  # what is an example's only one
    assert not other[~lone].any()
    gone = 0.3 * 0.7 + 0.3 * 0.3 / 2  # it alone is drawn, or both are and the other stays
    assert (~image[lone]).mean() == pytest.approx(gone, abs=0.03)
    assert (~other[lone]).mean() == pytest.approx(gone, abs=0.03)


def test_no_stream_is_dropped_in_answering_or_unless_asked():
    batch = {"image": FEATURES["image"], "other": FEATURES["image"]}
    for task, training in ((two_streams(0.9), False), (two_streams(0.0), True)):
        assert all(np.asarray(stream["mask"]).all() for stream in task.streams(batch, training=training).values())


class Total(keras.layers.Layer):
    """Gives each stream what all of them add up to."""

    def call(self, streams, training=False):
        total = sum(stream["tokens"] for stream in streams.values())
        return {name: stream | {"tokens": total} for name, stream in streams.items()}


def test_an_input_of_several_values_for_an_example_is_fused_apart():
    task = Task({"image": Look(), "other": Look()}, Total(), Guess(), [GAP])
    batch = {"image": FEATURES["image"], "other": np.repeat(FEATURES["image"], 3, axis=0)}
    streams = task.streams(batch, apart=["other"])
    for name in batch:
        np.testing.assert_array_equal(streams[name]["tokens"], task.streams({name: batch[name]})[name]["tokens"])
