"""Augmentation by Keras' layers, named by their identifiers."""

import numpy as np
import pytest
from mmzoo_image.augment import make_augmentation

from mmzoo import StreamError

PIXELS = np.random.default_rng(0).uniform(0, 255, (16, 8, 8, 3)).astype("float32")


def test_a_layer_is_made_from_its_identifier_and_changes_pixels_in_training_alone():
    augment = make_augmentation([{"type": "random_flip", "mode": "horizontal", "seed": 1}])
    np.testing.assert_array_equal(augment(PIXELS, training=False), PIXELS)
    changed = np.asarray(augment(PIXELS, training=True))
    flipped = [np.array_equal(new, old[:, ::-1]) for new, old in zip(changed, PIXELS, strict=True)]
    kept = [np.array_equal(new, old) for new, old in zip(changed, PIXELS, strict=True)]
    assert all(a != b for a, b in zip(flipped, kept, strict=True))
    assert 0 < sum(flipped) < len(PIXELS)


@pytest.mark.parametrize("name", ["random_grayscale", "RandomGrayscale", "randomgrayscale"])
def test_layers_are_applied_in_order(name):
    grey = make_augmentation([{"type": "random_flip", "mode": "vertical"}, {"type": name, "factor": 1.0}])
    changed = np.asarray(grey(PIXELS, training=True))
    np.testing.assert_allclose(changed[..., 0], changed[..., 2], atol=1e-3)


def test_no_layers_change_nothing():
    np.testing.assert_array_equal(make_augmentation([])(PIXELS, training=True), PIXELS)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("random_flop", r"^Keras has no augmentation layer 'random_flop'\. Nearest: randomflip"),
        ("dense", r"^Keras has no augmentation layer 'dense'\.$"),
        ({"mode": "horizontal"}, r"^Keras has no augmentation layer ''\.$"),
        ({"type": "random_flip", "mood": 1}, r"^Keras' layer 'random_flip' does not take these options: .*mood"),
        ({"type": "random_rotation", "factor": "far"}, r"^Keras' layer 'random_rotation' does not take these options: "),
    ],
)
def test_a_layer_that_cannot_be_made(layer, message):
    with pytest.raises(StreamError, match=message):
        make_augmentation([layer])
