"""DiffAugment: what each augmentation keeps, and that the gradient is that of what is kept."""

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.diff_augment import diff_augment
from mmzoo_text2image.gradients import input_gradients

PICTURES = np.random.default_rng(0).uniform(0.1, 1, (400, 16, 24, 3)).astype("float32")


def augmented(policy, pictures=PICTURES, seed=1):
    return np.asarray(diff_augment(ops.convert_to_tensor(pictures), policy, keras.random.SeedGenerator(seed)))


def shifted(picture, down, across):
    """Moves a picture down and across; what moves in is 0."""
    height, width = picture.shape[:2]
    moved = np.zeros_like(picture)
    rows = [row for row in range(height) if 0 <= row - down < height]
    columns = [column for column in range(width) if 0 <= column - across < width]
    for row in rows:
        for column in columns:
            moved[row, column] = picture[row - down, column - across]
    return moved


def test_no_policy_changes_nothing():
    np.testing.assert_array_equal(augmented(()), PICTURES)


def test_translation_moves_each_picture_by_up_to_an_eighth():
    found, shifts = augmented(("translation",))[:100], []
    for picture, moved in zip(PICTURES, found, strict=False):
        fits = [(d, a) for d in range(-3, 4) for a in range(-4, 5) if np.array_equal(shifted(picture, d, a), moved)]
        assert len(fits) == 1
        shifts += fits
    assert {down for down, _ in shifts} == set(range(-2, 3))
    assert {across for _, across in shifts} == set(range(-3, 4))


def test_cutout_clears_a_square_of_half_of_the_sides():
    found, seen = augmented(("cutout",)), set()
    for picture, cut in zip(PICTURES, found, strict=True):
        hole = np.all(cut == 0, axis=-1)
        np.testing.assert_array_equal(cut[~hole], picture[~hole])
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)  # a rectangle
        # All of it where it does not touch the border.
        assert len(rows) == 8 or {0, 15} & set(rows)
        assert len(columns) == 12 or {0, 23} & set(columns)
        assert 4 <= len(rows) <= 8
        assert 6 <= len(columns) <= 12
        seen.add((rows[0], rows[-1]))
    assert len(seen) == 17  # centres from 0 to 16


def test_cutout_of_an_odd_side_has_its_centre_in_the_picture():
    pictures = np.ones((400, 5, 6, 1), "float32")
    holes = augmented(("cutout",), pictures)[..., 0] == 0
    assert {tuple(np.flatnonzero(hole.any(1))) for hole in holes} == {(0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4)}
    assert {len(np.flatnonzero(hole.any(0))) for hole in holes} == {2, 3}


def test_colour_is_affine_and_each_picture_has_its_own():
    # Mean of the picture: only brightness moves it. Distance from the mean of the channels: times saturation and contrast.
    found = augmented(("colour",))
    brightness = found.mean((1, 2, 3)) - PICTURES.mean((1, 2, 3))
    assert np.abs(brightness).max() <= 0.5 + 1e-5
    grey = found.mean(3) - found.mean((1, 2, 3), keepdims=True)[..., 0]
    contrast = grey / (PICTURES.mean(3) - PICTURES.mean((1, 2, 3), keepdims=True)[..., 0])
    contrast = np.median(contrast, axis=(1, 2))
    assert 0.5 - 1e-3 <= contrast.min() < 0.55 < 1.45 < contrast.max() <= 1.5 + 1e-3
    factor = (found - found.mean(3, keepdims=True)) / (PICTURES - PICTURES.mean(3, keepdims=True))
    saturation = np.median(factor, axis=(1, 2, 3)) / contrast
    assert -1e-3 <= saturation.min() < 0.1 < 1.9 < saturation.max() <= 2 + 1e-3
    expected = PICTURES.mean(3, keepdims=True) + saturation[:, None, None, None] * (PICTURES - PICTURES.mean(3, keepdims=True))
    middle = expected.mean((1, 2, 3), keepdims=True)
    expected = middle + contrast[:, None, None, None] * (expected - middle) + brightness[:, None, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    for values in (brightness, contrast, saturation):
        assert len(np.unique(values.round(5))) > 350


@pytest.mark.parametrize("policy", [("translation",), ("cutout",), ("colour",), ("colour", "translation", "cutout")])
def test_it_is_seeded_and_every_call_draws_anew(policy):
    pictures, seeds = PICTURES[:20], keras.random.SeedGenerator(3)
    np.testing.assert_array_equal(augmented(policy, pictures, 3), augmented(policy, pictures, 3))
    first, second = (np.asarray(diff_augment(ops.convert_to_tensor(pictures), policy, seeds)) for _ in range(2))
    assert not np.array_equal(first, second)


def test_only_what_is_left_has_a_gradient():
    def total(pictures):
        return diff_augment(pictures, ("translation", "cutout"), keras.random.SeedGenerator(5))

    (gradient,) = input_gradients(total, [ops.convert_to_tensor(PICTURES)])
    gradient, left = np.asarray(gradient), augmented(("translation", "cutout"), seed=5) != 0
    assert set(np.unique(gradient)) == {0, 1}
    np.testing.assert_array_equal(gradient.sum((1, 2, 3)), left.sum((1, 2, 3)))
