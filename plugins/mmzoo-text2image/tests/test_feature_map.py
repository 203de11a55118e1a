"""What a discriminator reads of a frozen encoder: the map of its tokens, of pictures that are large enough for it."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.adversary import Adversary
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.feature_map import FeatureMap

from mmzoo import FeatureSpec, Stream, StreamError, make_stream

PICTURES = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype("float32")


class Patches(keras.layers.Layer):
    """An encoder of pictures: the pixels of each patch, row by row, after `more` tokens of zeros."""

    def __init__(self, features: FeatureSpec, patch: int, more: int = 0):
        super().__init__()
        self.side, self.patch, self.more = features["shape"][0] // patch, patch, more

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, features: Any, training: bool = False) -> Stream:
        parts = ops.reshape(features * self.gain, (-1, self.side, self.patch, self.side, self.patch, 3))
        tokens = ops.reshape(ops.transpose(parts, (0, 1, 3, 2, 4, 5)), (-1, self.side**2, 3 * self.patch**2))
        return make_stream(ops.pad(tokens, ((0, 0), (self.more, 0), (0, 0))))


def feature_map(patch: int, more: int = 0, size: int = 8) -> FeatureMap:
    spec = FeatureSpec(shape=[size, size, 3], dtype="uint8", vocabulary=None)
    return FeatureMap(lambda features: Patches(features, patch, more), spec, "the head 'x'")


def test_tokens_become_a_map_row_by_row_of_pixels_from_0_to_255():
    read = feature_map(patch=2)
    found = np.array(read(ops.convert_to_tensor(PICTURES)))
    assert found.shape == (2, *read.shape) == (2, 4, 4, 12)
    np.testing.assert_allclose(found[:, 1, 2], ((PICTURES[:, 2:4, 4:6] + 1) * 127.5).reshape(2, 12), rtol=1e-4)
    assert not read.encoder.trainable_variables


def test_pictures_are_enlarged_until_the_map_is_4_by_4():
    read = feature_map(patch=8)
    assert (read.size, read.shape) == (32, (4, 4, 192))
    flat = ops.full((1, 8, 8, 3), 0.2)
    np.testing.assert_allclose(np.array(read(flat)), np.full((1, 4, 4, 192), 1.2 * 127.5), rtol=1e-4)


@pytest.mark.parametrize(("patch", "more", "size", "tokens"), [(32, 0, 8, 4), (2, 1, 8, 17), (4, 0, 24, 36)])
def test_tokens_that_are_no_such_map_are_refused_in_words(patch, more, size, tokens):
    with pytest.raises(
        StreamError, match=rf"`feature_network` returns {tokens} tokens .* expected a square map of at least 4 x 4"
    ):
        feature_map(patch, more, size)


def test_the_first_scores_are_those_of_the_map_of_the_last_picture():
    keras.utils.set_random_seed(1)
    read, text = feature_map(patch=2), ops.convert_to_tensor(np.eye(2, 3, dtype="float32"))
    of_map = Discriminator(4, width=2, text_dim=3, input_channels=12, norm="none", projection=4)
    of_pixels = Discriminator(8, width=2, text_dim=3, norm="none", projection=4)
    judge = Adversary([of_map, of_pixels], feature_map=read)
    real, generated = ops.convert_to_tensor(PICTURES), ops.convert_to_tensor(PICTURES[::-1].copy())
    scores = judge([real], [generated], text)
    for name, pictures in (("real", real), ("generated", generated), ("fooling", generated)):
        expected = [of_map.score(read(pictures), text), of_pixels.score(of_pixels.features(pictures), text)]
        np.testing.assert_allclose(np.array(scores[name]), np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)
