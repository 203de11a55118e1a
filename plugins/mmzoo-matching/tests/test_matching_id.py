"""The processor of ids."""

import numpy as np
import pytest
import tensorflow as tf
from mmzoo_matching.id import Id


def test_texts_are_told_apart_and_equal_ones_are_not():
    ids = [f"COCO_train2014_{number:012d}" for number in range(20_000)]
    numbers, fault, _ = Id()(tf.constant(ids + ids))
    numbers = numbers.numpy()
    assert numbers.dtype == "int32"
    assert numbers.min() >= 0
    assert (numbers[:20_000] == numbers[20_000:]).all()
    assert len(set(numbers.tolist())) > 20_000 - 3  # of 2 ** 31 numbers, 0.1 pairs of these are expected to be the same
    assert not any(fault.numpy())


def test_hashes_use_the_whole_range():
    numbers = Id()(tf.strings.as_string(tf.range(10_000)))[0].numpy()
    counts = np.bincount(numbers >> 28, minlength=8)
    assert len(counts) == 8
    assert (abs(counts - 1250) < 200).all()  # six deviations of a fair draw


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, 0), (391895, 391895), (2**31 - 1, 2**31 - 1), (2**31, 0), (2**31 + 5, 5), (-1, 2**31 - 1), (2**63 - 1, 2**31 - 1)],
)
def test_numbers_stay_as_they_are_where_they_can(number, expected):
    numbers, fault, _ = Id(of="number")(tf.constant([number], tf.int64))
    assert (numbers.dtype, numbers.numpy().tolist(), fault.numpy().tolist()) == (tf.int32, [expected], [b""])


def test_an_example_without_an_id_is_its_own_fault():
    assert Id()(tf.constant(["a", "", " "]))[1].numpy().tolist() == [b"", b"this id is empty", b""]
