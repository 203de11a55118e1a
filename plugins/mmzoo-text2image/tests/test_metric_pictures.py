"""Decoding, resizing and drawing the pictures that metrics compare."""

import numpy as np
import pytest
import tensorflow as tf
from mmzoo_text2image.pictures import blurred, decode, encode, fitted, shrunk, shuffled
from mmzoo_text2image.training_pictures import draw_pictures

from mmzoo import DataError


def test_transparent_pixels_become_white_and_grey_stays():
    pixels = np.zeros((2, 2, 4), "uint8")
    pixels[0, 0] = 255, 0, 0, 255
    found = decode(tf.io.encode_png(pixels).numpy(), "it")
    assert found[0, 0].tolist() == [255, 0, 0]
    assert (found[1] == 255).all()
    grey = tf.io.encode_png(np.full((2, 2, 1), 40, "uint8")).numpy()
    assert (decode(grey, "it") == 40).all()
    assert decode(tf.io.encode_jpeg(np.full((8, 8, 3), 200, "uint8")).numpy(), "it") == pytest.approx(200, abs=2)


def test_data_that_are_no_picture_are_refused():
    with pytest.raises(DataError) as error:
        decode(b"a red square", "the metric 'x'")
    assert str(error.value) == (
        "the metric 'x' reads a picture that cannot be decoded, b'a red square'...; expected PNG, JPEG, GIF or BMP. "
        "Name an output or an input that holds encoded pictures."
    )


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_pictures_are_fitted_as_the_processor_does(fit):
    processors, rng = pytest.importorskip("mmzoo_image.image"), np.random.default_rng(1)
    shapes = [(20, 11), (9, 30), (40, 1), (16, 16), (8, 8), (5, 5)]
    pictures = [rng.integers(0, 256, (*shape, 3)).astype("float32") for shape in shapes]
    expected = processors.Image(size=8, fit=fit)(tf.constant([encode(picture) for picture in pictures])).features.numpy()
    assert np.stack([fitted(picture, (8, 8), fit) for picture in pictures]).astype(int).tolist() == expected.tolist()


def test_areas_are_averaged():
    picture = np.random.default_rng(2).integers(0, 256, (16, 16, 3)).astype("float32")
    means = picture.reshape(4, 4, 4, 4, 3).mean(axis=(1, 3))
    assert shrunk(picture, 4) == pytest.approx(means, abs=0.51)
    soft = blurred(picture)
    assert soft.shape == picture.shape
    assert soft[1:3, 1:3].mean(axis=(0, 1)) == pytest.approx(means[0, 0], abs=20)
    assert np.abs(np.diff(soft, axis=0)).mean() < 0.3 * np.abs(np.diff(picture, axis=0)).mean()


def test_shuffling_depends_on_the_values_alone():
    rows = [(f"{number % 7}", number) for number in range(30)]
    assert shuffled(rows) == shuffled(rows[::-1]) != sorted(rows)
    assert sorted(shuffled(rows)) == sorted(rows)


def test_pictures_are_drawn_uniformly():
    pictures = [bytes([number]) for number in range(200)]
    assert draw_pictures(pictures, 500) == pictures
    drawn = draw_pictures(pictures, 100)
    assert len(set(drawn)) == 100
    assert abs(np.mean([data[0] for data in drawn]) - 99.5) < 4 * 58 / np.sqrt(2 * 100)  # half of a uniform population
