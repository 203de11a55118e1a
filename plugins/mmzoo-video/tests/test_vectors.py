"""Given vectors: taken as they are, masked where there are none; and the linear layer that reads them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_video.given_features import GivenFeatures
from mmzoo_video.vectors import Vectors

from mmzoo import DataError, Processed, StreamError
from mmzoo.testing import features


def read(rows: list[list[float]], **options) -> Processed:
    return Vectors(**options)(tf.ragged.constant(rows, tf.float32, ragged_rank=1).to_tensor())


def numbers(count: int, dim: int = 3) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, dim)).astype("float32")


def test_one_vector_for_each_time_in_order():
    short, long = numbers(2), numbers(9)
    found = read([short.ravel().tolist(), long.ravel().tolist()], dim=3, time=4)
    np.testing.assert_array_equal(found.features[0], [*short, [0] * 3, [0] * 3])
    np.testing.assert_array_equal(found.features[1], long[[1, 3, 5, 7]])
    assert found.mask.numpy().tolist() == [[True, True, False, False], [True] * 4]
    assert found.fault.numpy().tolist() == [b"", b""]


def test_a_vector_of_zeros_is_a_missing_one_and_zeros_at_the_end_of_another_are_numbers():
    found = read([[1, 0, 0, 0, 0, 0, 0, 2, 0]], dim=3, time=3)
    assert found.features.numpy().tolist() == [[[1, 0, 0], [0, 0, 0], [0, 2, 0]]]
    assert found.mask.numpy().tolist() == [[True, False, True]]


def test_one_vector():
    found = read([[1, 2, 3], [0, -1, 0], [0, 0, 0]], dim=3)
    assert found.features.numpy().tolist() == [[1, 2, 3], [0, -1, 0], [0, 0, 0]]
    assert found.mask.numpy().tolist() == [True, True, False]
    assert found.fault.numpy().tolist() == [b"", b"", b"there are no numbers, or only zeros"]


@pytest.mark.parametrize(
    ("row", "time", "reason"),
    [
        ([1.0, float("nan"), 0.0], None, "a number is not finite"),
        ([1.0, 2.0, 3.0, 4.0, 5.0, float("inf")], 1, "a number is not finite"),
        ([1.0, 2.0, 3.0, 4.0], None, "expected 3 numbers, received 4"),
        ([1.0, 2.0], None, "expected 3 numbers, received 2"),
        ([1.0, 2.0, 3.0, 4.0], 2, "expected vectors of 3 numbers, received 4"),
        ([], 2, "there are no numbers, or only zeros"),
    ],
)
def test_numbers_that_are_no_vectors(row, time, reason):
    found = read([row], dim=3, time=time)
    assert found.fault.numpy().tolist() == [reason.encode()]
    assert not found.features.numpy().any()
    assert found.mask.numpy().any() == bool(row)  # what is wrong is not missing


def test_a_bad_row_leaves_the_others_alone():
    found = read([[1, 2, 3], [float("nan"), 1, 1], [4, 5, 6]], dim=3)
    assert found.features.numpy().tolist() == [[1, 2, 3], [0, 0, 0], [4, 5, 6]]
    assert found.fault.numpy().tolist() == [b"", b"a number is not finite", b""]


def test_lists_of_another_dim_are_found_before_a_batch_pads_them():
    lists = tf.data.Dataset.from_generator(lambda: iter([[1.0] * 12, [], [1.0] * 8]), output_signature=Vectors.raw)
    Vectors(dim=4, time=3).adapt(lists)
    with pytest.raises(DataError) as error:
        Vectors(dim=3, time=3).adapt(lists)
    assert str(error.value) == "expected vectors of 3 numbers, received a list of 8.\nSet `dim` to the size of one vector."


def test_what_is_known_of_them():
    assert Vectors(dim=5).features == {"shape": [5], "dtype": "float32", "vocabulary": None}
    assert Vectors(dim=5, time=2).features == {"shape": [2, 5], "dtype": "float32", "vocabulary": None, "mask": [2]}


def test_features_are_linear_in_the_vectors_and_keep_their_mask():
    encoder = GivenFeatures(features=features(4, 3, mask=[4]), dim=2)
    vectors, there = numbers(8).reshape(2, 4, 3), np.array([[True, False, True, True], [False] * 4])
    stream = encoder(vectors, padding_mask=there)
    weights, bias = (keras.ops.convert_to_numpy(value) for value in encoder.get_weights())
    np.testing.assert_allclose(stream["tokens"], vectors.astype("float64") @ weights + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(stream["mask"], there)
    one = GivenFeatures(features=features(3), dim=2)(vectors[:, 0], padding_mask=np.array([True, False]))
    assert (one["tokens"].shape, one["mask"].shape) == ((2, 1, 2), (2, 1))


@pytest.mark.parametrize("known", [features(4, 4, 3, dtype="uint8"), features(7, dtype="int32", vocabulary=9)])
def test_features_that_are_no_vectors_are_refused(known):
    with pytest.raises(StreamError) as error:
        GivenFeatures(features=known)
    assert str(error.value) == (
        f"features takes vectors, one or several with their mask, received {known['shape']} {known['dtype']}. "
        "Read them by `vectors`, or choose another encoder."
    )
