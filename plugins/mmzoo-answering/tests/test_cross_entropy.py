"""The cross-entropy and the focal loss against their formulas in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_answering.cross_entropy import cross_entropy
from mmzoo_answering.focal import focal

SMOOTHINGS = [0.0, 0.1, 0.9]


def wanted_shares(label, classes):
    """Each class's share, one example at a time: a label is its class's whole, one below 0 nobody's."""
    return np.stack([np.eye(classes)[one] * (one >= 0) if np.ndim(one) == 0 else np.array(one, "float64") for one in label])


def log_softmax(logits):
    rows = logits.astype("float64") - logits.max(1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(1, keepdims=True))


def formula(logits, label, smoothing):
    """The sum over the classes of - (smoothed share) * log p; what has no class costs nothing."""
    shares, classes = wanted_shares(label, logits.shape[1]), logits.shape[1]
    smoothed = shares * (1 - smoothing) + smoothing * shares.sum(1, keepdims=True) / classes
    return -(smoothed * log_softmax(logits)).sum(1)


def focal_formula(logits, label, gamma):
    logs = log_softmax(logits)
    return -(wanted_shares(label, logits.shape[1]) * (1 - np.exp(logs)) ** gamma * logs).sum(1)


@st.composite
def examples(draw):
    """Draws logits, labels by number or by shares, and weights or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, classes = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    logits = rng.normal(0, draw(st.sampled_from([0.1, 3, 30])), (batch, classes)).astype("float32")
    shares = (rng.dirichlet(np.ones(classes), batch) * rng.uniform(0, 1, (batch, 1))).astype("float32")
    label = shares if draw(st.booleans()) else rng.integers(-1, classes, batch).astype("int32")
    return logits, label, rng.uniform(0, 3, batch).astype("float32") if draw(st.booleans()) else None


@given(examples(), st.sampled_from(SMOOTHINGS))
@settings(max_examples=50, deadline=None)
def test_the_formula(example, smoothing):
    logits, label, weight = example
    found = cross_entropy(tf.constant(logits), tf.constant(label), weight, label_smoothing=smoothing)
    wanted = formula(logits, label, smoothing) * (1 if weight is None else weight)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@given(examples(), st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
@settings(max_examples=50, deadline=None)
def test_the_focal_formula(example, gamma):
    logits, label, weight = example
    found = focal(tf.constant(logits), tf.constant(label), weight, gamma=gamma)
    wanted = focal_formula(logits, label, gamma) * (1 if weight is None else weight)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_focal_without_gamma_is_the_cross_entropy_and_with_it_less():
    logits, label = tf.constant([[2.0, 0.0, -1.0], [0.0, 3.0, 1.0]]), tf.constant([0, 2])
    np.testing.assert_allclose(focal(logits, label, gamma=0.0), cross_entropy(logits, label), rtol=1e-6)
    assert (focal(logits, label, gamma=1.0) < cross_entropy(logits, label)).numpy().all()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_gradient_of_focal_is_finite_where_the_answer_is_sure(gamma):
    logits = tf.constant([[60.0, 0.0, 0.0], [-60.0, 60.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(focal(logits, tf.constant([0, 0]), gamma=gamma))
    gradient = tape.gradient(total, logits).numpy()
    np.testing.assert_allclose(gradient, [[0, 0, 0], [-1, 1, 0]], atol=1e-4)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_equal_logits_cost_the_logarithm_of_the_classes(smoothing):
    found = cross_entropy(tf.zeros((2, 8)), tf.constant([3, 7]), label_smoothing=smoothing)
    np.testing.assert_allclose(found, np.log([8, 8]), rtol=1e-6)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_the_gradient_is_probabilities_less_the_smoothed_target_and_none_without_a_class(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = tf.constant(rng.normal(size=(3, 4)), "float32"), np.array([2, -1, 0])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(cross_entropy(logits, tf.constant(labels), label_smoothing=smoothing))
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - (1 - smoothing) * np.eye(4)[labels] - smoothing / 4
    wanted[1] = 0
    np.testing.assert_allclose(tape.gradient(total, logits), wanted, atol=1e-6)


def test_a_batch_of_unknown_size():
    logits, labels = keras.KerasTensor((None, 5)), keras.KerasTensor((None,), "int32")
    assert cross_entropy(logits, labels).shape == (None,)
