"""The label processor against a count in Python."""

import json
from collections import Counter
from unicodedata import normalize

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_text.label import Label

RAW = ["cat", "dog", "cat", "Ziege", "été", "dog", "cat", "two words", "a\nb", "été"]
ORDER = ["cat", "dog", "été", "Ziege", "a\nb", "two words"]
"""By how often they occur, then by their bytes."""


def adapted(raw, **options):
    processor = Label(**options)
    processor.adapt(tf.data.Dataset.from_tensor_slices(tf.constant(list(raw), tf.string)))
    return processor


def ids(processor, raw):
    return processor(tf.constant(raw)).features.numpy().tolist()


def test_numbers_go_from_the_most_frequent_label_up():
    processor = adapted(RAW)
    assert processor.labels == ORDER
    assert processor.features == {"shape": [], "dtype": "int32", "vocabulary": 6, "labels": ORDER, "counts": [3, 2, 2, 1, 1, 1]}
    assert ids(processor, ORDER) == [0, 1, 2, 3, 4, 5]
    assert processor.note == ""


@given(st.lists(st.text(max_size=3), min_size=1), st.one_of(st.none(), st.integers(1, 4)))
@settings(max_examples=30, deadline=None)
def test_numbers_are_those_of_a_count(raw, largest):
    raw = [normalize("NFC", text).encode() for text in raw if text]
    counts = Counter(raw)
    known = sorted(counts, key=lambda label: (-counts[label], label))[:largest]
    processor = adapted(raw, max_tokens=largest)
    found = processor(tf.constant([*raw, b"none of these"], tf.string)).features.numpy()
    assert found.tolist() == [*(known.index(label) if label in known else -1 for label in raw), -1]
    decoded = processor.decode(tf.constant(found)).numpy().tolist()
    assert decoded == [*(label if label in known else b"" for label in raw), b""]


@pytest.mark.parametrize("output_mode", ["id", "shares"])
def test_unicode_forms_of_a_label_are_one_label(output_mode):
    raw = [[normalize("NFC", "été")], [normalize("NFD", "été")], ["ete"]]
    processor = adapted(raw if output_mode == "shares" else [row[0] for row in raw], output_mode=output_mode)
    assert processor.counts == {"été": 2, "ete": 1}
    features = processor(tf.constant(raw if output_mode == "shares" else [row[0] for row in raw])).features
    assert [answer.decode() for answer in processor.decode(features).numpy()] == ["été", "été", "ete"]


def test_a_label_that_is_not_known_belongs_to_no_class_and_is_no_fault():
    values, fault, _ = adapted(RAW)(tf.constant(["cat", "Cat", "cow", " cat"]))
    np.testing.assert_array_equal(values, [0, -1, -1, -1])
    assert set(fault.numpy()) == {b""}


def test_those_that_are_left_out_are_counted():
    processor = adapted(RAW, max_tokens=2)
    assert processor.labels == ["cat", "dog"]
    assert processor.note == "5 of 10 labels are not among the 2 most frequent and belong to no class"


def test_bad_labels_are_faults_of_their_rows_and_are_not_learned():
    raw = ["cat", "", b"\xff\xfe", "dog"]
    processor = adapted(raw)
    values, fault, _ = processor(tf.constant(raw))
    assert processor.labels == ["cat", "dog"]
    assert fault.numpy().tolist() == [b"", b"this label is empty", b"this is not UTF-8 text", b""]
    np.testing.assert_array_equal(values, [0, -1, -1, 1])


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_decoding_keeps_the_shape(shape):
    processor = adapted(RAW)
    numbers = np.random.default_rng(0).integers(-1, 6, (4, *shape)).astype("int32")
    wanted = np.array([*(label.encode() for label in ORDER), b""], object)[numbers]
    for turn in (processor.decode, processor.tokens):
        np.testing.assert_array_equal(turn(tf.constant(numbers)).numpy(), wanted)


def test_what_is_saved_is_how_often_each_label_is_there(tmp_path):
    processor = adapted(RAW)
    processor.save(tmp_path)
    saved = json.loads((tmp_path / "labels.json").read_text("utf-8"))
    assert list(saved.items()) == [(label, RAW.count(label)) for label in ORDER]
    again = Label()
    again.load(tmp_path)
    assert ids(again, RAW) == ids(processor, RAW)
    assert again.features == processor.features


def test_a_run_that_saved_a_list_of_labels_is_read(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps(ORDER), "utf-8")
    again = Label()
    again.load(tmp_path)
    assert ids(again, RAW) == ids(adapted(RAW), RAW)
    assert again.features == {"shape": [], "dtype": "int32", "vocabulary": 6, "labels": ORDER}
    again.save(tmp_path)
    assert json.loads((tmp_path / "labels.json").read_text("utf-8")) == ORDER


SEVERAL = [["yes", "yes", "no"], ["no"], ["yes", "maybe", "", ""]]


def shares_of(raw, **options):
    processor = Label(output_mode="shares", **options)
    processor.adapt(tf.data.Dataset.from_tensor_slices(tf.ragged.constant(raw)))
    return processor


@pytest.mark.parametrize("largest", [None, 2])
def test_shares_are_how_many_of_the_values_are_each_label(largest):
    processor = shares_of(SEVERAL, max_tokens=largest)
    labels = ["yes", "no", "maybe"][:largest]
    assert processor.labels == labels
    assert processor.features == {
        "shape": [len(labels)],
        "dtype": "float32",
        "vocabulary": len(labels),
        "labels": labels,
        "counts": [3, 2, 1][:largest],
    }
    values, fault, _ = processor(tf.ragged.constant(SEVERAL).to_tensor())
    wanted = [[row.count(label) / sum(map(bool, row)) for label in labels] for row in SEVERAL]
    np.testing.assert_allclose(values, wanted, rtol=1e-6)
    assert set(fault.numpy()) == {b""}
    assert processor.decode(values).numpy().tolist() == [b"yes", b"no", b"yes"]
    assert processor.decode(tf.constant([1, -1])).numpy().tolist() == [b"no", b""]


def test_bad_values_among_several_are_a_fault_of_their_row():
    values, fault, _ = shares_of(SEVERAL)(tf.constant([["yes", ""], ["", ""], ["yes", b"\xff"], ["cow", "cow"]]))
    assert fault.numpy().tolist() == [b"", b"there is no label", b"this is not UTF-8 text", b""]
    np.testing.assert_array_equal(values, [[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_before_it_has_learned_there_is_one_class():
    assert Label().features == {"shape": [], "dtype": "int32", "vocabulary": 1, "labels": [], "counts": []}
    assert ids(Label(), ["cat"]) == [-1]
