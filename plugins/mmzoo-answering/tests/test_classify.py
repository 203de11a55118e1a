"""The classifying head against a softmax in NumPy, and what it refuses."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_answering.classify import Classify

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
    head, streams = make_head(top=3), make_streams()
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
    found = answer(make_head(vocabulary=classes, top=5), make_streams())
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
    ("vocabulary", "shape", "what"), [(None, (8, 8, 3), "no ids"), (None, (), "no ids"), (9, (12,), "12 ids for an example")]
)
def test_a_target_that_is_no_label(vocabulary, shape, what):
    text = f"the head 'classify' takes one id for an example as its target, 'kind' gives {what}. "
    with pytest.raises(StreamError, match=re.escape(text + "Read it with the processor 'label'.") + "$"):
        make_head(vocabulary=vocabulary, shape=shape)


def test_several_streams():
    streams = make_streams()
    text = "the head 'classify' takes one stream, received 2 (image, text). Add a fusion that joins them."
    with pytest.raises(StreamError, match=re.escape(text)):
        make_head().call({"image": streams["image"], "text": streams["image"]}, targets={"kind": tf.constant([1, 0, 6])})
