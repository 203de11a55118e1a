"""The classifying head against a softmax in NumPy, and what it refuses."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_answering.classify import Classify
from mmzoo_answering.cross_entropy import cross_entropy

from mmzoo import StreamError

BATCH, TOKENS, DIM, CLASSES = 3, 4, 5, 7


def make_head(vocabulary=CLASSES, shape=(), **options):
    inputs = {"kind": {"shape": list(shape), "dtype": "int32", "vocabulary": vocabulary}}
    return Classify(inputs=inputs, target="kind", **options)


def make_streams():
    rng = np.random.default_rng(0)
    mask = np.array([[True] * 4, [True, False, True, False], [False] * 4])
    return {"image": {"tokens": tf.constant(rng.normal(size=(BATCH, TOKENS, DIM)), "float32"), "mask": tf.constant(mask)}}


def answer(head, streams):
    (signature,) = head.signatures().values()
    return {name: value.numpy() for name, value in signature.answer(streams).items()}


def test_logits_and_answers():
    head, streams = make_head(top_k=3), make_streams()
    targets = {"kind": tf.constant([1, -1, 6])}
    head(streams, targets=targets)
    kernel, bias = (np.random.default_rng(one).normal(size=weight.shape) for one, weight in enumerate(head.get_weights()))
    head.set_weights([kernel, bias])
    outputs = head(streams, targets=targets)
    tokens, mask = (streams["image"][part].numpy() for part in ("tokens", "mask"))
    means = np.stack([row[real].mean(0) if real.any() else np.zeros(DIM) for row, real in zip(tokens, mask, strict=True)])
    logits = means @ kernel + bias
    np.testing.assert_allclose(outputs["logits"], logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(outputs["label"], targets["kind"])
    found, best = answer(head, streams), np.argsort(-logits, axis=1)[:, :3]
    np.testing.assert_array_equal(found["label"], best)
    np.testing.assert_array_equal(found["answer"], best[:, 0])
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(found["score"], np.take_along_axis(chances, best, axis=1), rtol=1e-4)


@pytest.mark.parametrize("classes", [1, 2])
def test_fewer_labels_than_asked_for_are_all_answered(classes):
    head, streams = make_head(vocabulary=classes, top_k=5), make_streams()
    head(streams, targets={"kind": tf.constant([0, 0, 0])})
    found = answer(head, streams)
    assert found["label"].shape == found["score"].shape == (BATCH, classes)
    np.testing.assert_allclose(found["score"].sum(1), 1, rtol=1e-6)


def test_dropout_is_for_training_alone():
    keras.utils.set_random_seed(0)
    head, streams, targets = make_head(dropout=0.5), make_streams(), {"kind": tf.constant([1, 0, 6])}
    still = head(streams, targets=targets)["logits"].numpy()
    np.testing.assert_array_equal(head(streams, targets=targets)["logits"], still)
    assert not np.allclose(head(streams, targets=targets, training=True)["logits"][0], still[0])


def test_logits_are_float32_whatever_the_precision():
    policy = keras.dtype_policies.DTypePolicy("mixed_bfloat16")
    outputs = make_head(dtype=policy)(make_streams(), targets={"kind": tf.constant([1, 0, 6])})
    assert outputs["logits"].dtype == tf.float32


@pytest.mark.parametrize(
    ("vocabulary", "shape", "what"), [(None, (8, 8, 3), "no ids"), (None, (), "no ids"), (9, (12,), "12 ids per example")]
)
def test_a_target_that_is_no_label(vocabulary, shape, what):
    text = f"the head 'classify' needs a target with one id per example, 'kind' has {what}. "
    with pytest.raises(StreamError, match=re.escape(text + "Read it with the processor 'label'.") + "$"):
        make_head(vocabulary=vocabulary, shape=shape)


def test_as_many_ids_as_there_are_classes_are_no_shares():
    with pytest.raises(StreamError, match="'kind' has 9 ids per example"):
        make_head(vocabulary=9, shape=(9,))


# Several streams


def make_several(absent=(), seed=0):
    """Makes streams of several dims; `absent` are pairs of a name and a row whose stream is masked."""
    rng = np.random.default_rng(seed)
    streams = {}
    for name, tokens, dim in [("video", 4, 5), ("text", 2, 3), ("joint", 1, 6)]:
        mask = rng.random((BATCH, tokens)) < 0.7
        mask[:, 0] = True
        for row in [row for one, row in absent if one == name]:
            mask[row] = False
        streams[name] = {"tokens": rng.normal(size=(BATCH, tokens, dim)).astype("float32"), "mask": mask}
    return streams


def make_late(**options):
    head = make_head(**options)
    head(make_several(), targets={"kind": tf.constant([1, -1, 6])})
    rng = np.random.default_rng(3)
    head.set_weights([rng.normal(size=weight.shape) for weight in head.get_weights()])
    return head


def late_formula(head, streams):
    """The weighted sum of the streams' logits, one example at a time, in float64."""
    rows = []
    for row in range(BATCH):
        there = {name: stream["mask"][row].any() for name, stream in streams.items()}
        heard = [name for name in head.decisions if there.get(name)] or [name for name in head.decisions if name in streams]
        numbers = dict(zip(head.decisions, np.array(head.shares, "float64"), strict=True))
        total = sum(np.exp(numbers[name]) for name in heard)
        logits = 0.0
        for name in heard:
            kernel, bias = (np.array(one, "float64") for one in head.decisions[name].weights)
            real = streams[name]["tokens"][row][streams[name]["mask"][row]].astype("float64")
            mean = real.mean(0) if len(real) else np.zeros(len(kernel))
            logits = logits + np.exp(numbers[name]) / total * (mean @ kernel + bias)
        rows.append(logits)
    return np.array(rows)


ABSENT = [[], [("video", 1)], [("video", 0), ("text", 0)], [("video", 2), ("text", 2), ("joint", 2)]]


@pytest.mark.parametrize("absent", ABSENT)
def test_late_decisions_are_a_weighted_mean_over_the_streams_that_are_there(absent):
    head, streams = make_late(), make_several(absent, seed=1)
    logits = head(streams, targets={"kind": tf.constant([1, -1, 6])})["logits"]
    np.testing.assert_allclose(logits, late_formula(head, streams), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names", [["text"], ["joint", "video"]])
def test_a_stream_that_is_not_given_is_absent(names):
    head, streams = make_late(), make_several()
    given = {name: streams[name] for name in names}
    masked = make_several([(name, row) for name in streams if name not in names for row in range(BATCH)])
    np.testing.assert_allclose(answer(head, given)["score"], answer(head, masked)["score"], rtol=1e-5)


def test_what_an_absent_stream_holds_changes_nothing():
    head, streams = make_late(), make_several([("video", 1)])
    before = answer(head, streams)
    streams["video"]["tokens"][1] = 1e6
    for name, value in answer(head, streams).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("names", [[], ["video", "audio"]])
def test_streams_that_it_was_not_made_with(names):
    streams = make_several() | {"audio": make_several()["text"]}
    with pytest.raises(StreamError) as caught:
        answer(make_late(), {name: streams[name] for name in names})
    made, given = ", ".join(make_late().decisions), ", ".join(names) or "none"
    assert str(caught.value) == f"the head 'classify' takes the streams that it was built with, {made}; received {given}."


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.slow
def test_several_streams_learn_from_each_what_it_knows(precision):
    """Each stream tells the label of half of the examples and says nothing in the others; nobody says which."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    labels, half = rng.integers(0, CLASSES, 400), np.arange(400) % 2
    codes, streams = rng.normal(size=(2, CLASSES, 8)), {}
    for index, name in enumerate(["video", "text"]):
        tokens = np.where((half == index)[:, None], codes[index][labels], 0)[:, None] + 0.05 * rng.normal(size=(400, 1, 8))
        streams[name] = {"tokens": tf.constant(tokens, "float32"), "mask": tf.ones((400, 1), "bool")}
    head = make_head(dtype=keras.dtype_policies.DTypePolicy(precision))
    targets = {"kind": tf.constant(labels)}
    head(streams, targets=targets)
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(40):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(**head(streams, targets=targets, training=True)))
        optimizer.apply(tape.gradient(loss, [one.value for one in head.trainable_variables]), head.trainable_variables)
    right = {name: answer(head, {name: streams[name]})["answer"] == labels for name in streams}
    assert (answer(head, streams)["answer"] == labels).mean() > 0.95
    assert all(0.45 < one.mean() < 0.7 for one in right.values())  # its own half, and chance in the other


# Weights of labels

NAMES, COUNTS = ["no", "yes", "maybe"], [6, 3, 1]


def make_weighed(class_weights, shape=()):
    known = {"shape": list(shape), "dtype": "float32" if shape else "int32", "vocabulary": 3, "labels": NAMES, "counts": COUNTS}
    return Classify(inputs={"kind": known}, target="kind", class_weights=class_weights)


@pytest.mark.parametrize(
    ("wanted", "weights"), [("balanced", [10 / 18, 10 / 9, 10 / 3]), ({"maybe": 4.0, "no": 0.5}, [0.5, 1, 4]), ({}, [1, 1, 1])]
)
def test_weights_of_labels(wanted, weights):
    outputs = make_weighed(wanted)(make_streams(), targets={"kind": tf.constant([2, 0, 1])})
    np.testing.assert_allclose(outputs["class_weight"], np.array(weights)[[2, 0, 1]], rtol=1e-6)


def test_balanced_labels_count_alike_and_one_example_counts_one_on_average():
    labels = np.repeat(np.arange(3), COUNTS)
    stream = {"image": {"tokens": tf.zeros((10, 1, 2)), "mask": tf.ones((10, 1), "bool")}}
    weights = make_weighed("balanced")(stream, targets={"kind": tf.constant(labels)})["class_weight"].numpy()
    np.testing.assert_allclose([weights[labels == label].sum() for label in range(3)], 10 / 3, rtol=1e-6)


def test_without_weights_there_is_no_such_output():
    assert set(make_weighed(None)(make_streams(), targets={"kind": tf.constant([2, 0, 1])})) == {"logits", "label"}


def test_the_loss_of_weighed_shares_is_the_mean_over_labels_drawn_by_them():
    shares = np.array([[0.5, 0.5, 0], [0.1, 0.2, 0.3], [0, 0, 0]])
    head = make_weighed({"maybe": 4.0, "no": 0.5}, shape=(3,))
    outputs = head(make_streams(), targets={"kind": tf.constant(shares, "float32")})
    logs = outputs["logits"].numpy().astype("float64")
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    wanted = -(shares * [0.5, 1, 4] * logs).sum(1)
    np.testing.assert_allclose(cross_entropy(**outputs), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wanted", ["balanced", {"maybe": 4.0}])
def test_before_labels_are_learned_all_weigh_one(wanted):
    known = {"shape": [], "dtype": "int32", "vocabulary": 1, "labels": [], "counts": []}
    head = Classify(inputs={"kind": known}, target="kind", class_weights=wanted)
    outputs = head(make_streams(), targets={"kind": tf.constant([0, -1, -1])})
    np.testing.assert_array_equal(outputs["class_weight"], [1, 1, 1])


def test_weights_of_labels_that_there_are_not():
    with pytest.raises(StreamError) as caught:
        make_weighed({"mayb": 2.0})
    what = "the option `class_weights` of the head 'classify' names 'mayb', which is not a label of 'kind'."
    assert str(caught.value) == f"{what} Nearest: maybe. Known: no, yes, maybe."


def test_a_target_that_does_not_tell_its_labels():
    with pytest.raises(StreamError) as caught:
        make_head(class_weights="balanced")
    what = "the option `class_weights` of the head 'classify' needs the labels of 'kind', which does not list any."
    assert str(caught.value) == f"{what} Read it with the processor 'label'."
