"""What the conformance kit says of broken processors and data sets."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from one_component import catalog_with, said

from mmzoo import FAULT, ROW, Card, Processed, Processor, no_faults
from mmzoo.testing import DatasetCase, ProcessorCase, check, features, properties


class Lengths(Processor):
    """Measures text, and cannot read an exclamation mark."""

    modality = "text"

    def __init__(self) -> None:
        super().__init__()
        self.most = 0

    @property
    def features(self) -> Any:
        return features(1, dtype="int32")

    def adapt(self, values: Any) -> None:
        self.most = max(len(value) for value in values.as_numpy_iterator())

    def __call__(self, raw: Any) -> Processed:
        fault = tf.where(tf.strings.regex_full_match(raw, ".*!.*"), "loud", "")
        return Processed(self.measured(raw), fault)

    def measured(self, raw: Any) -> Any:
        return tf.where(tf.strings.regex_full_match(raw, ".*!.*"), 0, tf.strings.length(raw))[:, None]

    def save(self, folder: Path) -> None:
        (folder / "most").write_text(str(self.most))

    def load(self, folder: Path) -> None:
        self.most = int((folder / "most").read_text())


class OtherType(Lengths):
    """Gives another type than it says."""

    def measured(self, raw: Any) -> Any:
        return tf.cast(super().measured(raw), tf.float32)


class Suspicious(Lengths):
    """Finds fault with everything."""

    def __call__(self, raw: Any) -> Processed:
        return Processed(self.measured(raw), tf.fill(tf.shape(raw), "no"))


class Envious(Lengths):
    """Compares the rows of a batch."""

    def measured(self, raw: Any) -> Any:
        lengths = super().measured(raw)
        return lengths - tf.reduce_min(lengths)


class Eager(Lengths):
    """Does otherwise in a graph."""

    def measured(self, raw: Any) -> Any:
        return super().measured(raw) + (0 if tf.executing_eagerly() else 1)


class Amnesic(Lengths):
    """Learns, and does not save."""

    def measured(self, raw: Any) -> Any:
        return super().measured(raw) + self.most

    def save(self, folder: Path) -> None:
        """Saves nothing."""

    def load(self, folder: Path) -> None:
        """Loads nothing."""


class Trusting(Lengths):
    """Finds no fault with anything."""

    def __call__(self, raw: Any) -> Processed:
        return Processed(self.measured(raw), no_faults(raw))


class Guessing(Lengths):
    """Decodes to something else."""

    def decode(self, values: Any) -> Any:
        return tf.fill(tf.shape(values)[:1], "something")


TEXTS = ProcessorCase("broken", ["a", "word", "is"], bad=["no!"])


@pytest.mark.parametrize(
    ("name", "component", "text"),
    [
        ("features", OtherType, "`features` says [1] int32 for one example, the batch is (3, 1) float32."),
        ("features", Suspicious, "it finds fault with good values: ['no', 'no', 'no']."),
        ("paths", Envious, "'features' of a row depends on the other rows of its batch."),
        ("paths", Eager, "'features' is another in tf.data. Use TensorFlow ops alone."),
        ("saved", Amnesic, "'features' is another after save and load."),
        ("faults", Trusting, "bad[0] has no fault. Say in `fault` why it cannot be read."),
        ("faults", Envious, "'features' of good rows changes when bad[0] is among them."),
        ("decoded", Guessing, "what `decode` gives reads as other features."),
    ],
)
def test_broken_processor(name, component, text):
    assert said(TEXTS, name, processor=component) == text


class Numbers:
    """Counts to four."""

    told: Any = {"number": "a number"}
    sizes: Any = {"train": 4}
    needs = ""
    name = "train"

    @property
    def card(self) -> Card:
        return Card(fields=self.told, sizes=self.sizes, needs=self.needs)

    def prepare(self) -> None:
        """Does nothing."""

    def splits(self) -> Any:
        return {self.name: tf.data.Dataset.range(4).map(self.example)}

    def example(self, number: Any) -> Any:
        return {"number": number, ROW: tf.strings.as_string(number), FAULT: ""}


class Oversold(Numbers):
    """Tells more examples than there are."""

    sizes = {"train": 5}


class Unready(Numbers):
    """Needs something for ever."""

    needs = "patience"


class Misfielded(Numbers):
    """Tells of a field that is not there."""

    told = {"number": "a number", "name": "its name"}


class Missplit(Numbers):
    """Has no training split."""

    name = "training"


class Decoded(Numbers):
    """Gives pixels."""

    def example(self, number: Any) -> Any:
        return {"number": tf.zeros([2, 2])}


class SameRow(Numbers):
    """Calls all rows the same."""

    def example(self, number: Any) -> Any:
        return {"number": number, ROW: "row"}


class Shuffled(Numbers):
    """Comes in another order each time."""

    def splits(self) -> Any:
        return {"train": tf.data.Dataset.range(100).map(self.example).shuffle(100)}


@pytest.mark.parametrize(
    ("name", "component", "text"),
    [
        ("card", Oversold, "the card tells 5 examples in 'train', there are 4."),
        ("card", Unready, "the card still needs 'patience' after `prepare`."),
        ("fields", Misfielded, "the fields of 'train' are ['number'], the card tells ['name', 'number']."),
        ("fields", Missplit, "the splits are ['training']; expected train, of ['train', 'validation', 'test']."),
        ("fields", Decoded, "the fields ['number'] of 'train' are neither scalars nor lists. Give encoded bytes."),
        ("rows", SameRow, "rows of 'train' share a name: [b'row', b'row', b'row', b'row']."),
        ("deterministic", Shuffled, "read twice, 'train' gives other examples. Seed the shuffle, or leave it to mmzoo."),
    ],
)
def test_broken_dataset(name, component, text):
    assert said(DatasetCase("broken"), name, dataset=component) == text


@pytest.mark.parametrize("name", properties(TEXTS))
def test_sound_processor(name):
    check(TEXTS, name, catalog_with(processor=Lengths))


@pytest.mark.parametrize("name", properties(DatasetCase("broken")))
def test_sound_dataset(name):
    check(DatasetCase("broken"), name, catalog_with(dataset=Numbers))
