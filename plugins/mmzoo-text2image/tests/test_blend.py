"""The signature `blend`: the mean of several texts, with the words of all of them."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.attngan import AttnGAN
from mmzoo_text2image.stackgan import StackGAN
from mmzoo_text2image.text2image import TextToImage

from mmzoo import FeatureSpec, make_stream

SMALL = {"discriminator_width": 4, "noise": 3, "condition": 4}


def inputs(size: int) -> dict[str, FeatureSpec]:
    pictures = FeatureSpec(shape=[size, size, 3], dtype="uint8", vocabulary=None)
    return {"image": pictures, "caption": FeatureSpec(shape=[5], dtype="int32", vocabulary=9)}


def stackgan() -> TextToImage:
    return StackGAN(inputs=inputs(16), width=2, **SMALL)


def attngan() -> TextToImage:
    return AttnGAN(inputs=inputs(16), scales=[8, 16], width=8, residuals=1, sentence="mean", **SMALL)


def texts(*rows: int) -> dict[str, Any]:
    """Returns the streams of some of four texts with 5, 3, 2 and no words."""
    tokens = np.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")
    mask = np.arange(5) < np.array([[5], [3], [2], [0]])
    return {"caption": make_stream(ops.convert_to_tensor(tokens[list(rows)]), ops.convert_to_tensor(mask[list(rows)]))}


def seeds(*numbers: int) -> Any:
    return ops.convert_to_tensor(numbers, "int64")


def built(make: Any) -> TextToImage:
    keras.utils.set_random_seed(1)
    head = make()
    head.from_seeds(texts(0), seeds(0))
    return head


@pytest.mark.parametrize("make", [stackgan, attngan])
def test_one_text_several_times_is_that_text(make):
    head = built(make)
    signatures = head.signatures()
    assert signatures["blend"].reads == {"captions": "caption"}
    alone = signatures["generate"].answer(texts(0, 1), seed=seeds(7, 8))["image_bytes"]
    blended = signatures["blend"].answer(texts(0, 0, 0, 1, 1, 1), seed=seeds(7, 8))["image_bytes"]
    np.testing.assert_allclose(blended, alone, atol=1e-3)
    assert np.abs(np.array(alone)[0] - np.array(alone)[1]).max() > 0.01


@pytest.mark.parametrize("make", [stackgan, attngan])
def test_empty_texts_do_not_count(make):
    head = built(make)
    alone = head.signatures()["generate"].answer(texts(0, 1), seed=seeds(7, 8))["image_bytes"]
    blended = head.signatures()["blend"].answer(texts(0, 3, 3, 1), seed=seeds(7, 8))["image_bytes"]
    np.testing.assert_allclose(blended, alone, atol=1e-3)


def test_sentences_are_averaged_and_words_joined():
    head, drawn = built(attngan), []
    head.draw = lambda *given: drawn.append(given) or {"pictures": [ops.zeros((2, 16, 16, 3))]}
    sentence, words, mask = (np.array(value) for value in head.read(texts(0, 1, 2)))
    head.signatures()["blend"].answer(texts(0, 0, 1, 2, 1, 0), seed=seeds(1, 2))
    found, _, found_words, found_mask = (np.array(value) for value in drawn[0])
    for row, order in enumerate([(0, 0, 1), (2, 1, 0)]):
        mean = sentence[list(order)].astype("float64").mean(axis=0)
        np.testing.assert_allclose(found[row], mean / np.sqrt(np.mean(mean**2)), rtol=1e-4)
        np.testing.assert_allclose(found_words[row], np.concatenate(words[list(order)]), rtol=1e-6)
        np.testing.assert_array_equal(found_mask[row], np.concatenate(mask[list(order)]))
