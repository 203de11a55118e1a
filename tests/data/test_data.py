"""What reaches the training: each example once an epoch, in an order that seed and epoch fix, and no faulty one in silence."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmzoo import Card, FeatureSpec, FieldSpec, Processed, Processor, no_faults
from mmzoo.contracts.dataset import FAULT, ROW, fault_of
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import first_values, plain_values
from mmzoo.data.batches import examples_at, examples_of, ordered_batches, training_batches
from mmzoo.data.open import learned_processors, open_data, read_data
from mmzoo.data.raw_split import permuted
from mmzoo.data.scan import scan
from mmzoo.data.splits import Data
from mmzoo.errors import DataError, RecipeError, late_faults
from mmzoo.recipe.plan import BoundComponent, Input
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.catalog import Component, Plugin

RECIPE = parse_recipe("inputs:\n  number:\n    type: number\n", "r.yaml")


class Table:
    """A data set of given splits, each a column of texts or of lists of texts; other fields by name."""

    def __init__(self, needs: str = "", **splits: Any):
        self.card, self.raw = Card({"text": "text"}, needs=needs, note="2 copies"), splits

    def prepare(self) -> None:
        assert not self.card.needs

    def splits(self) -> dict[str, tf.data.Dataset]:
        return {split: as_dataset(column) for split, column in self.raw.items()}


def as_dataset(column: Any) -> tf.data.Dataset:
    columns = column if isinstance(column, dict) else {"text": column}
    ragged = any(isinstance(one, list) for one in columns["text"])
    return tf.data.Dataset.from_tensor_slices(columns | ({"text": tf.ragged.constant(columns["text"])} if ragged else {}))


class Number(Processor):
    """Reads a whole number, and counts what it reads."""

    modality = "text"

    features = FeatureSpec(shape=[], dtype="int32", vocabulary=None)
    note = "nothing was cut"

    def __init__(self) -> None:
        super().__init__(name="number")
        self.read = tf.Variable(0)
        self.seen: list[bytes] = []

    def adapt(self, values: tf.data.Dataset) -> None:
        self.seen += values.as_numpy_iterator()

    def __call__(self, raw: tf.Tensor) -> Processed:
        self.read.assign_add(tf.shape(raw)[0])
        good = tf.strings.regex_full_match(raw, r"\d+")
        return Processed(tf.strings.to_number(tf.where(good, raw, "0"), tf.int32), tf.where(good, "", "this is no number"))


class Pair(Processor):
    """Reads any texts as how many there are."""

    modality = "video"

    raw = tf.TensorSpec((None,), tf.string)
    features = FeatureSpec(shape=[], dtype="int32", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        return Processed(tf.reduce_sum(tf.cast(raw != "", tf.int32), axis=1), no_faults(raw))


def make_plan(table: Table, processor: type = Number, cache: Any = "auto", on_error: str = "stop") -> Any:
    node = dict(dict(RECIPE.root.items())["inputs"].items())["number"]
    bound = BoundComponent(
        Component("processor", "number", f"{__name__}:{processor.__name__}", Plugin("p", "1", "m")), {}, node
    )
    inputs = {"number": Input("number", "text", bound, node)}
    return SimpleNamespace(
        dataset=table, inputs=inputs, encoders={}, on_error=on_error, train=SimpleNamespace(cache=cache, patience=None)
    )


def opened(table: Table, **options: Any) -> Data:
    return open_data(make_plan(table, **options), Screen(quiet=True))


def texts(numbers: Iterable[int]) -> list[str]:
    return list(map(str, numbers))


def numbers(batches: tf.data.Dataset) -> list[list[int]]:
    return [batch["number"].numpy().tolist() for batch in batches]


def epochs(data: Data, batch: int, seed: int, which: range) -> list[list[list[int]]]:
    """Gives the batches of each epoch as `fit` draws them."""
    steps = data.steps(batch)
    drawn = numbers(training_batches(data, "train", batch, seed, which).take(steps * len(which)))
    return [drawn[start : start + steps] for start in range(0, len(drawn), steps)]


def flat(epoch: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(epoch))


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)


class Blank(Number):
    """Reads a number of two digits, and says itself which of them are there."""

    def __call__(self, raw: tf.Tensor) -> Processed:
        return super().__call__(raw)._replace(mask=tf.stack([raw != "", tf.strings.length(raw) > 1], axis=1))

    features = FeatureSpec(shape=[], dtype="int32", vocabulary=None, mask=[2])


class Length(Processor):
    """Reads any text as its length."""

    modality = "text"

    features = FeatureSpec(shape=[], dtype="int32", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        return Processed(tf.strings.length(raw), no_faults(raw))


# The order


def test_a_resumed_training_sees_what_an_unbroken_one_would():
    unbroken = epochs(opened(Table(train=texts(range(11)))), 4, 7, range(4))
    tf.random.normal([3])  # whatever else was drawn before
    resumed = epochs(opened(Table(train=texts(range(11)))), 4, 7, range(2, 4))
    assert resumed == unbroken[2:]


def test_every_epoch_has_every_example_once_and_an_order_of_its_own():
    found = [flat(epoch) for epoch in epochs(opened(Table(train=texts(range(12)))), 4, 7, range(4))]
    assert all(sorted(epoch) == list(range(12)) for epoch in found)
    assert len(set(map(tuple, found))) == 4


def test_two_seeds_give_two_orders():
    data = opened(Table(train=texts(range(12))))
    assert epochs(data, 4, 7, range(1)) == epochs(data, 4, 7, range(1)) != epochs(data, 4, 8, range(1))


def test_the_last_small_batch_is_left_out_in_training_and_kept_in_validation():
    data = opened(Table(train=texts(range(11)), validation=texts(range(11))))
    assert data.steps(4) == 2
    assert [len(batch) for batch in epochs(data, 4, 0, range(1))[0]] == [4, 4]
    assert numbers(ordered_batches(data, "validation", 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_nothing_waits_for_a_tuner_of_the_pipeline():
    data = opened(Table(train=texts(range(3)), validation=texts(range(3))))
    for batches in (training_batches(data, "train", 2, 0, range(1)), ordered_batches(data, "validation", 2)):
        assert batches.options().autotune.enabled is False


def test_a_split_smaller_than_a_batch_is_a_batch():
    data = opened(Table(train=texts(range(3))))
    assert data.steps(8) == 1
    assert [[sorted(batch) for batch in epoch] for epoch in epochs(data, 8, 0, range(2))] == [[[0, 1, 2]]] * 2


# Several values for an example

SEVERAL = [texts(range(10 * row, 10 * row + count)) for row, count in enumerate((3, 1, 2, 3, 3, 3))]


def test_an_epoch_has_one_of_several_values_at_random_and_all_are_seen_in_time():
    found = [flat(epoch) for epoch in epochs(opened(Table(train=SEVERAL)), 3, 7, range(20))]
    assert all(sorted(value // 10 for value in epoch) == list(range(6)) for epoch in found)
    assert {str(value) for epoch in found for value in epoch} == {value for values in SEVERAL for value in values}


def test_which_of_several_values_follows_from_seed_and_epoch_alone():
    data = opened(Table(train=SEVERAL))
    assert epochs(data, 3, 7, range(3, 5)) == epochs(data, 3, 7, range(5))[3:]


def test_which_of_several_values_is_drawn_anew_for_each_seed():
    """The second epoch of one seed is not the first of the next."""
    data = opened(Table(train=[texts(range(10 * row, 10 * row + 9)) for row in range(30)]))
    which = range(2)
    drawn = [[value % 10 for value in flat(epoch)] for seed in which for epoch in epochs(data, 30, seed, which)]
    assert len(set(map(tuple, drawn))) == 4


def test_the_first_of_several_values_counts_in_validation():
    data = opened(Table(train=["1"], validation=SEVERAL))
    assert numbers(ordered_batches(data, "validation", 6)) == [[0, 10, 20, 30, 40, 50]]


def test_a_fixed_number_of_values_works_as_any_other():
    data = opened(Table(train={"text": np.array([["1", "2"], ["3", "4"]])}))
    assert data.processors["number"].seen == [b"1", b"2", b"3", b"4"]
    assert numbers(ordered_batches(data, "train", 2)) == [[1, 3]]
    assert list(data.references("train", "number")) == [["1", "2"], ["3", "4"]]
    assert first_values(next(iter(data.raw_batches("train", 4)))["number"], 1).numpy().tolist() == [b"1", b"3"]


def test_an_example_without_any_value_is_a_fault():
    data = opened(Table(train=[["1"], [], ["2", "x"]]), on_error="skip")
    assert data.faults["train"] == ["example 1: number: there is no value", "example 2: number: this is no number"]
    assert numbers(ordered_batches(data, "train", 2)) == [[1]]
    assert first_values(next(iter(data.raw_batches("train", 4)))["number"], 1).numpy().tolist() == [b"1", b"", b"2"]


def test_a_list_that_is_one_value_is_not_several():
    data = opened(Table(train=[["a", "b"], ["c"]]), processor=Pair)
    assert numbers(ordered_batches(data, "train", 2)) == [[2, 1]]


# Faulty examples


def test_a_fault_stops_the_build_and_is_named_by_its_row():
    with pytest.raises(DataError) as caught:
        opened(Table(train={"text": ["1", "x", "3"], ROW: ["t.csv:2", "t.csv:3", "t.csv:4"], FAULT: ["", "", "no such file"]}))
    assert str(caught.value) == (
        "2 of the 3 examples of 'train' cannot be read.\n"
        "  t.csv:3: number: this is no number\n"
        "  t.csv:4: no such file\n"
        "Repair or remove them, or leave them out with `on_error: skip` under `data`."
    )


def test_the_fault_of_a_field_matters_where_an_input_reads_it():
    faults = {fault_of("text"): ["", "no text", ""], fault_of("other"): ["no other", "", "no other"]}
    columns = {"text": ["1", "x", "3"], "other": ["", "", ""], FAULT: ["", "no such row", ""]} | faults
    assert opened(Table(train=columns), on_error="skip").faults["train"] == ["example 1: no such row"]
    del columns[FAULT]
    assert opened(Table(train=columns), on_error="skip").faults["train"] == ["example 1: no text"]


def test_faulty_examples_are_left_out_and_counted_if_asked(capsys):
    table = Table(train=["1", "x", "3", "", "5"], test=["6", "y"])
    data = open_data(make_plan(table, on_error="skip"), Screen())
    assert data.sizes == {"train": 3, "test": 1}
    assert data.faults["train"] == ["example 1: number: this is no number", "example 3: number: this is no number"]
    assert {name: flags.tolist() for name, flags in data.readable.items()} == {
        "train": [True, False, True, False, True],
        "test": [True, False],
    }
    assert numbers(ordered_batches(data, "train", 8)) == [[1, 3, 5]]
    assert sorted(flat(epochs(data, 3, 0, range(1))[0])) == [1, 3, 5]
    assert capsys.readouterr().out.splitlines() == [
        "data      2 copies",
        "data      number: nothing was cut",
        "data      left out 2 of the 5 examples of 'train':",
        "  example 1: number: this is no number",
        "  example 3: number: this is no number",
        "data      left out 1 of the 2 examples of 'test':",
        "  example 1: number: this is no number",
    ]


def test_of_many_faults_ten_are_shown():
    with pytest.raises(DataError, match=r"example 9: number: this is no number\n  \.\.\. and 2 more\nRepair"):
        opened(Table(train=["x"] * 12))


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_a_readable_example_is_an_error(split):
    table = Table(**{"train": ["1"], "test": ["2"]} | {split: ["x", "y"]})
    with pytest.raises(DataError) as caught:
        opened(table, on_error="skip")
    assert str(caught.value) == f"none of the 2 examples of '{split}' can be read."


def test_of_the_first_held_out_examples_no_others_are_read():
    plan = make_plan(Table(train=["x", "y"], test=["1", "x", "3", "y"]), on_error="skip")
    data = open_data(plan, Screen(quiet=True), {"number": Number()}, most=3)
    assert (data.sizes, data.readable["test"].tolist()) == ({"test": 2}, [True, False, True])
    assert [example["number"].numpy() for example in data.raw["test"].examples()] == [b"1", b"x", b"3"]
    plan.on_error = "stop"
    with pytest.raises(DataError, match=r"^1 of the first 2 examples of 'test' cannot be read\.\n  example 1: number: this is"):
        open_data(plan, Screen(quiet=True), {"number": Number()}, most=2)


def test_there_must_be_a_split_to_train_on():
    with pytest.raises(DataError) as caught:
        opened(Table(validation=["1"], other=["2"]))
    assert str(caught.value) == "the data set has no split 'train'; it has validation, other."


@pytest.mark.parametrize(
    ("column", "processor", "found", "wanted"),
    [
        ([1, 2], Number, "int32 ()", "string ()"),
        (np.array([[["a"]]]), Number, "string (1, 1)", "string ()"),
        (["a", "b"], Pair, "string ()", "string (None,)"),
    ],
)
def test_a_field_must_hold_what_its_processor_reads(column, processor, found, wanted):
    with pytest.raises(RecipeError) as caught:
        opened(Table(train={"text": column}), processor=processor)
    assert str(caught.value) == (
        f"r.yaml:3:5  inputs.number: the field 'text' holds {found} per example; the processor 'number' reads {wanted}."
    )


# What is kept in memory


@pytest.mark.parametrize(("cache", "memory"), [(True, 2 << 30), ("auto", 2 << 30), ("auto", 4 * 150 - 1)])
def test_the_cache_changes_only_how_often_an_example_is_processed(cache, memory, monkeypatch):
    kept = memory > 4 * 150
    monkeypatch.setattr("mmzoo.data.splits.MEMORY", memory)
    without = opened(Table(train=texts(range(150))), cache=False)
    data = opened(Table(train=texts(range(150))), cache=cache)
    found, expected = epochs(data, 40, 5, range(2)), epochs(without, 40, 5, range(2))
    assert (found == expected) or not kept  # what a small buffer shuffles has another order
    assert all(len({*flat(epoch)}) == 120 for epoch in found)
    assert without.processors["number"].read.numpy() >= 3 * 150  # the first scan, two epochs, and what was fetched ahead
    read = data.processors["number"].read.numpy()
    assert read <= 150 + 150 if kept else read >= 3 * 150  # a kept split is tried with its first examples, and scanned


class Largest(Number):
    """Remembers the largest batch that it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = tf.Variable(0)

    def __call__(self, raw: tf.Tensor) -> Processed:
        self.largest.assign(tf.maximum(self.largest, tf.shape(raw)[0]))
        return super().__call__(raw)


@pytest.mark.parametrize(("most", "largest"), [(1, 1), (40, 10), (1 << 20, 128)])
def test_as_many_examples_are_processed_at_a_time_as_fit(most, largest, monkeypatch):
    monkeypatch.setattr("mmzoo.data.splits.CHUNK_BYTES", most)
    data = opened(Table(train=texts(range(150))), processor=Largest)
    assert data.processors["number"].largest.numpy() == largest


@pytest.mark.parametrize(("column", "values"), [(["1", "2"], 1), ([["1", "2", "3"], ["4"]], 3), ([[], ["1"]], 0)])
def test_the_memory_of_an_example_is_that_of_its_numbers_and_of_two_strings(column, values):
    assert opened(Table(train=column), on_error="skip").bytes_each("train") == 4 * values + 2


def test_as_many_streamed_examples_are_shuffled_as_fit_into_memory(monkeypatch):
    data = opened(Table(train=texts(range(1000, 1200))), cache=False)
    monkeypatch.setattr("mmzoo.data.splits.MEMORY", 10 * (4 + len("example 199")))
    drawn = flat(epochs(data, 200, 7, range(1))[0])
    assert sorted(drawn) == list(range(1000, 1200)) != drawn
    assert all(
        value < 1000 + place + 12 for place, value in enumerate(drawn)
    )  # of about ten at a time, none comes before its turn


class Wary(Number):
    """Learns from nothing."""

    def adapt(self, values: tf.data.Dataset) -> None:
        raise DataError("expected few numbers.")


def test_what_a_processor_cannot_learn_is_said_with_its_input():
    with pytest.raises(DataError, match=r"^number: expected few numbers\.$"):
        opened(Table(train=texts(range(3))), processor=Wary)


def test_processors_that_have_learned_learn_nothing_more():
    learned = {"number": Number()}
    data = open_data(make_plan(Table(train=["1"])), Screen(quiet=True), learned)
    assert data.processors == learned
    assert learned["number"].seen == []


def test_of_a_split_of_unknown_size_nothing_is_kept_unless_asked():
    table = Table(train=["1", "2", "3"])
    table.splits = lambda: {"train": as_dataset(["1", "2", "3"]).filter(lambda example: True)}
    data = opened(table)
    assert data.sizes == {"train": 3}
    assert numbers(ordered_batches(data, "train", 2)) == [[1, 2], [3]]
    assert data.processors["number"].read.numpy() == 2 * 3


def test_the_number_of_examples_is_known_before_they_are_read():
    data = opened(Table(train=["1", "x", "3", "4"]), on_error="skip")
    assert examples_of(data, "train").cardinality() == 3
    assert ordered_batches(data, "train", 2).cardinality() == 2


@pytest.mark.parametrize(("cache", "processed"), [(False, 3), (True, 0)])
def test_some_examples_are_read_alone_unless_all_are_kept(cache, processed):
    data = opened(Table(train=list("12x45678")), on_error="skip", cache=cache)
    before = int(data.processors["number"].read.numpy())
    read = [(int(number), int(one["number"])) for number, one in examples_at(data, "train", np.array([0, 5, 7]))]
    assert read == [(0, 1), (5, 6), (7, 8)]
    assert int(data.processors["number"].read.numpy()) - before == processed


# What else is asked of the data


def test_processors_learn_from_the_training_split_alone():
    data = opened(Table(train=SEVERAL[:2], validation=["8"], test=["9"]))
    assert data.processors["number"].seen == [b"0", b"1", b"2", b"10"]


def test_what_is_learned_ahead_needs_data_that_is_ready():
    assert learned_processors(make_plan(Table(train=["1"])))["number"].seen == [b"1"]
    assert learned_processors(make_plan(Table(needs="a download", train=["1"])))["number"].seen == []


@pytest.mark.parametrize("splits", [("train",), ("train", "validation"), ("train", "validation", "test"), ("test", "train")])
def test_the_split_to_report_on_is_the_last_there_is(splits):
    data = read_data(make_plan(Table(**{split: ["1"] for split in splits})), Screen(quiet=True))
    assert data.held_out() == max(splits, key=["train", "validation", "test"].index)


def test_references_are_all_values_and_text_where_they_are_text():
    data = opened(Table(train=[["1", "2"], ["3"]]))
    assert list(data.references("train", "number")) == [["1", "2"], ["3"]]
    assert plain_values(tf.constant(["ä", b"\xff"])) == ["ä", b"\xff"]
    assert plain_values(tf.constant(1.5)) == [1.5]


def test_lists_of_a_batch_are_padded_with_empty_values():
    clips = tf.ragged.constant([["a", "b"], ["c"], []])
    assert first_values(clips, 2).numpy().tolist() == [[b"a", b"b"], [b"c", b""], [b"", b""]]


# What is there


def encoding(table: Table, optional: bool = False, processor: type = Number) -> Any:
    """Makes a plan of two inputs that are encoded, `number`, which may be optional, and `other`."""
    plan = make_plan(table, processor)
    number = plan.inputs["number"]
    plan.inputs = {"number": replace(number, optional=optional), "other": replace(number, name="other", field="other")}
    plan.encoders = {"number": None, "other": None}
    return plan


def test_the_mask_of_what_is_encoded_goes_beside_it():
    data = open_data(encoding(Table(train={"text": ["1", "2"], "other": ["3", "4"]})), Screen(quiet=True))
    (batch,) = ordered_batches(data, "train", 2)
    assert set(batch) == {"number", "other", "number@mask", "other@mask"}
    assert batch["number@mask"].numpy().tolist() == [True, True]


def test_an_optional_input_may_be_lacking_as_long_as_another_is_there():
    table = Table(train={"text": ["1", "", ""], "other": ["3", "4", ""]})
    data = read_data(encoding(table, optional=True), Screen(quiet=True))
    data.plan.on_error = "skip"
    scan(data, "train", Screen(quiet=True))
    assert data.faults["train"] == ["example 2: number: this is no number other: this is no number"]
    (batch,) = ordered_batches(data, "train", 2)
    assert batch["number@mask"].numpy().tolist() == [True, False]
    assert batch["other@mask"].numpy().tolist() == [True, True]


def test_how_many_examples_lack_an_input_is_said(capsys):
    table = Table(train={"text": ["1", "", ""], "other": ["3", "4", "5"]})
    scan(read_data(encoding(table, optional=True), Screen(quiet=True)), "train", Screen())
    said = "data number is missing in 2 of the 3 examples of 'train'"
    assert " ".join(capsys.readouterr().out.split()) == said


def test_an_input_that_is_not_optional_may_not_be_lacking():
    data = read_data(encoding(Table(train={"text": ["1", ""], "other": ["3", "4"]})), Screen(quiet=True))
    with pytest.raises(DataError, match="example 1: number: this is no number"):
        scan(data, "train", Screen(quiet=True))


def test_the_mask_of_one_of_several_values_is_that_value_s():
    table = Table(train={"text": [["1", "22"], ["3"]], "other": ["3", "4"]})
    data = open_data(encoding(table, processor=Blank), Screen(quiet=True))
    found = set()
    for batch in training_batches(data, "train", 2, 7, range(8)).take(8):
        found |= set(zip(batch["number"].numpy().tolist(), map(tuple, batch["number@mask"].numpy().tolist()), strict=True))
    assert found == {(1, (True, False)), (22, (True, True)), (3, (True, False))}


def test_an_empty_text_that_is_not_optional_is_a_fault_where_another_input_is_there():
    table = Table(train={"text": ["1", "2"], "other": ["3", ""]})
    data = read_data(encoding(table), Screen(quiet=True))
    data.plan.on_error = "skip"
    data.processors["other"] = Length()
    scan(data, "train", Screen(quiet=True))
    assert data.faults["train"] == [
        "example 1: other: the value is missing; set `optional: true` on this input if examples may lack it"
    ]


def test_a_text_that_stands_alone_may_be_empty():
    data = open_data(make_plan(Table(train=["", "abc"]), Length), Screen(quiet=True))
    assert data.faults["train"] == []


def test_an_example_may_lack_all_values_of_an_optional_input():
    table = Table(train={"text": [["1", "2"], []], "other": ["3", "4"]})
    data = open_data(encoding(table, optional=True), Screen(quiet=True))
    (first,) = ordered_batches(data, "train", 2)
    assert first["number"].numpy().tolist() == [1, 0]
    assert first["number@mask"].numpy().tolist() == [True, False]
    for batch in training_batches(data, "train", 2, 7, range(4)).take(4):
        assert sorted(batch["number@mask"].numpy().tolist()) == [False, True]


# Read well when the data was opened, and not any more


class Cells(Table):
    """A table whose texts are read anew each time, as files are."""

    def __init__(self, cells: list[str]):
        super().__init__()
        self.cells = cells

    def splits(self) -> dict[str, tf.data.Dataset]:
        made = tf.data.Dataset.from_generator(lambda: iter(self.cells), output_signature=tf.TensorSpec([], tf.string))
        return {"train": made.map(lambda text: {"text": text})}


def spoiled(on_error: str) -> Data:
    """Opens eight numbers, of which the third cannot be read any more."""
    data = opened(Cells(texts(range(11, 19))), cache=False, on_error=on_error)
    data.plan.dataset.cells[2] = "gone"
    return data


LATE_FAULT = """\
example 2: number: this is no number
It could be read, or was not tried, when the data was opened.
Repair it, or leave such examples out with `on_error: skip` under `data`, and give the same command again; \
what is done is not done again."""


@pytest.mark.parametrize(
    "read",
    [
        lambda data: list(training_batches(data, "train", 4, 0, range(1)).take(2)),
        lambda data: list(ordered_batches(data, "train", 4)),
        lambda data: list(examples_of(data, "train")),
        lambda data: list(examples_at(data, "train", np.array([1, 2]))),
        lambda data: data.check_again("train", next(iter(data.raw_batches("train", 8))), 0),
    ],
)
def test_an_example_that_cannot_be_read_any_more_stops_the_reading(read):
    with pytest.raises(DataError) as raised, late_faults():
        read(spoiled("stop"))
    assert str(raised.value) == LATE_FAULT


def test_with_skip_another_example_of_the_batch_takes_its_place():
    data = spoiled("skip")
    (first, second) = numbers(training_batches(data, "train", 4, 0, range(1)).take(2))
    assert sorted({*first, *second}) == [11, 12, 14, 15, 16, 17, 18]  # the blank of an unreadable one would be 0
    assert (len(first), len(second)) == (4, 4)
    assert data.lost == {"train": {"example 2": "number: this is no number"}}
    assert numbers(ordered_batches(data, "train", 4))[0] == [11, 12, 11, 14]


def test_a_batch_of_which_nothing_can_be_read_any_more_stops_the_reading():
    data = spoiled("skip")
    data.plan.dataset.cells[:] = ["gone"] * 8
    with pytest.raises(DataError, match="example 0: number: this is no number"), late_faults():
        list(ordered_batches(data, "train", 4))


def test_with_skip_an_example_among_some_that_cannot_be_read_any_more_is_left_out_and_counted():
    data = spoiled("skip")
    for _ in range(2):
        read = [(int(number), int(one["number"])) for number, one in examples_at(data, "train", np.array([1, 2, 7]))]
        assert read == [(1, 12), (7, 18)]
        assert (data.sizes["train"], data.faults["train"]) == (7, ["example 2: number: this is no number"])


def test_with_skip_an_example_that_is_asked_and_cannot_be_read_any_more_is_left_out():
    data = spoiled("skip")
    data.check_again("train", next(iter(data.raw_batches("train", 8))), 0)
    assert data.readable["train"].tolist() == [True, True, False] + [True] * 5
    assert (data.sizes["train"], data.faults["train"]) == (7, ["example 2: number: this is no number"])
    assert [int(one["number"]) for one in examples_of(data, "train")] == [11, 12, *range(14, 19)]


# Read by number


class Index:
    """An index of numbers, whose field `costly` nobody should read without need; remembers what was read."""

    specs = {"text": FieldSpec(), "several": FieldSpec(several=True), "costly": FieldSpec("int64")}

    def __init__(self, cells: list[str]):
        self.cells = cells
        self.reads: list[tuple[set[str], list[int]]] = []

    def __len__(self) -> int:
        return len(self.cells)

    def read(self, numbers: np.ndarray, fields: Iterable[str]) -> dict[str, list[Any]]:
        self.reads.append((set(fields), numbers.tolist()))
        texts = [self.cells[number] for number in numbers]
        columns = {"text": texts, "several": [[text] * int(text[-1]) for text in texts], "costly": [0] * len(texts)}
        faults = ["gone" if text == "lost0" else "" for text in texts]
        return {field: columns[field] for field in fields} | {ROW: [f"row {one}" for one in numbers], FAULT: faults}


def indexed(cells: list[str], field: str = "text", **options: Any) -> Data:
    table = Table()
    table.splits = lambda: {"train": Index(cells)}
    plan = make_plan(table, **options)
    plan.inputs["number"] = replace(plan.inputs["number"], field=field)
    return open_data(plan, Screen(quiet=True))


@pytest.mark.parametrize("cache", [True, False])
def test_an_index_is_read_as_any_other_split(cache):
    data = indexed(texts(range(10, 22)), cache=cache)
    assert data.processors["number"].seen == [str(one).encode() for one in range(10, 22)]
    found = [flat(epoch) for epoch in epochs(data, 4, 7, range(3))]
    assert all(sorted(epoch) == list(range(10, 22)) for epoch in found)
    assert len(set(map(tuple, found))) == 3
    assert epochs(data, 4, 7, range(1, 3)) == epochs(data, 4, 7, range(3))[1:]
    assert numbers(ordered_batches(data, "train", 8)) == [[*range(10, 18)], [*range(18, 22)]]
    assert [(int(n), int(one["number"])) for n, one in examples_at(data, "train", np.array([3, 7]))] == [(3, 13), (7, 17)]
    assert data.cardinality("train") == 12


def test_of_an_index_only_the_columns_and_rows_that_are_needed_are_read():
    data = indexed(texts(range(10, 22)), cache=False)
    source = data.raw["train"].source
    source.reads.clear()
    list(data.references("train", "number"))
    list(examples_at(data, "train", np.array([3, 7])))
    assert source.reads == [({"text"}, [*range(12)]), ({"text"}, [3, 7])]
    source.reads.clear()
    whole = numbers(training_batches(data, "train", 4, 7, range(1)).take(3))
    source.reads.clear()
    assert numbers(training_batches(data, "train", 4, 7, range(1), skip=2).take(1)) == whole[2:]
    assert [10 + number for number in source.reads[0][1]] == whole[2]  # what was trained on before is not read again


def test_an_index_may_have_several_values_for_an_example():
    data = indexed(["11", "12", "13"], field="several", cache=False)
    assert list(data.references("train", "number")) == [["11"], ["12"] * 2, ["13"] * 3]
    assert numbers(ordered_batches(data, "train", 3)) == [[11, 12, 13]]
    assert sorted(flat(epochs(data, 3, 7, range(1))[0])) == [11, 12, 13]


def test_the_faults_of_an_index_are_those_of_any_other_split():
    data = indexed(["10", "lost0", "30"], on_error="skip", cache=False)
    assert data.faults["train"] == ["row 1: gone"]
    assert sorted(flat(epochs(data, 2, 7, range(1))[0])) == [10, 30]


@pytest.mark.parametrize(("seed", "lost"), [(1, 0), (2, 700)])
def test_a_shuffled_index_is_as_mixed_as_a_random_permutation(seed, lost):
    """Rows are sorted by their class; the counts of classes in batches are those of draws at random (chi-square)."""
    wanted = np.ones(10_000, bool)
    wanted[:lost] = False
    drawn = np.fromiter(permuted(wanted, tf.constant([seed, 0], tf.int64)).as_numpy_iterator(), int)
    assert np.array_equal(np.sort(drawn), np.flatnonzero(wanted))
    assert not np.array_equal(drawn, np.fromiter(permuted(wanted, tf.constant([seed, 1], tf.int64)).as_numpy_iterator(), int))
    batches = drawn[: len(drawn) // 100 * 100].reshape(-1, 100) // 1000
    counts = np.array([np.bincount(batch, minlength=10) for batch in batches])
    expected = np.bincount(np.flatnonzero(wanted) // 1000, minlength=10) / len(drawn) * 100
    chi_square, freedom = ((counts - expected) ** 2 / expected).sum(), 9 * len(batches)
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def test_of_a_large_split_only_the_first_examples_are_tried(monkeypatch, capsys):
    monkeypatch.setattr("mmzoo.data.scan.SCANNED", 10)
    monkeypatch.setattr("mmzoo.data.scan.TRIED", 4)
    cells = texts(range(10, 22))
    cells[1] = cells[8] = "x"
    data = open_data(make_plan(Table(train=cells), cache=False, on_error="skip"), Screen())
    assert (data.sizes, data.faults) == ({"train": 11}, {"train": ["example 1: number: this is no number"]})
    assert (
        "data      tried the first 4 of the 12 examples of 'train'; the others are read when needed" in capsys.readouterr().out
    )
    drawn = flat(epochs(data, 11, 7, range(1))[0])
    assert data.lost == {"train": {"example 8": "number: this is no number"}}
    assert len(drawn) == 11
    assert set(drawn) == {10, *range(12, 18), *range(19, 22)}
    assert opened(Table(train=cells), cache=True, on_error="skip").sizes == {"train": 10}  # memory holds it: it is read anyway
