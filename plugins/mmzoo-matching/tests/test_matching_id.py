"""The processor `id`."""

import numpy as np
import pytest
import tensorflow as tf
from mmzoo_matching.id import Id


def test_equal_texts_have_equal_numbers_and_others_differ():
    ids = [f"COCO_train2014_{number:012d}" for number in range(20_000)]
    numbers, fault, _ = Id()(tf.constant(ids + ids))
    numbers = numbers.numpy()
    assert numbers.dtype == "int32"
    assert numbers.min() >= 0
    assert (numbers[:20_000] == numbers[20_000:]).all()
    assert len(set(numbers.tolist())) > 20_000 - 3  # 0.1 collisions are expected among 2 ** 31 numbers
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
def test_numbers_in_range_stay_as_they_are(number, expected):
    numbers, fault, _ = Id(of="number")(tf.constant([number], tf.int64))
    assert (numbers.dtype, numbers.numpy().tolist(), fault.numpy().tolist()) == (tf.int32, [expected], [b""])


def test_an_empty_id_is_a_fault_of_its_row():
    assert Id()(tf.constant(["a", "", " "]))[1].numpy().tolist() == [b"", b"this id is empty", b""]
