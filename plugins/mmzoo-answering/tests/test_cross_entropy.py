"""The cross-entropy against its formula in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_answering.cross_entropy import cross_entropy

SMOOTHINGS = [0.0, 0.1, 0.9]


def formula(logits, labels, smoothing):
    """The sum over the classes of - (smoothed one-hot) * log p, one example at a time; 0 without a class."""
    values = []
    for row, label in zip(logits.astype("float64"), labels, strict=True):
        classes = len(row)
        wanted = np.eye(classes)[label] * (1 - smoothing) + smoothing / classes
        logs = row - row.max() - np.log(np.exp(row - row.max()).sum())
        values.append(-np.sum(wanted * logs) if label >= 0 else 0.0)
    return np.array(values)


@st.composite
def examples(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, classes = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    logits = rng.normal(0, draw(st.sampled_from([0.1, 3, 30])), (batch, classes))
    return logits.astype("float32"), rng.integers(-1, classes, batch).astype("int32")


@given(examples(), st.sampled_from(SMOOTHINGS))
@settings(max_examples=50, deadline=None)
def test_the_formula(example, smoothing):
    logits, labels = example
    found = cross_entropy(tf.constant(logits), tf.constant(labels), label_smoothing=smoothing)
    np.testing.assert_allclose(found, formula(logits, labels, smoothing), rtol=1e-5, atol=1e-5)


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
