"""Split of a data set -> raw values by input, read by number where the split is an index, else streamed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, FieldSpec, Indexed, fault_of
from mmzoo.contracts.raw import fault_in

NO_AUTOTUNE = tf.data.Options()
NO_AUTOTUNE.autotune.enabled = False  # the end of an iterator waits for its autotune thread, which sleeps up to a minute
CHUNK = 128
"""The most examples that are read or processed at a time."""

Batch = dict[str, Any]
"""By input: the values of a batch, or of one example."""


@dataclass(frozen=True)
class RawSplit:
    """The raw examples of a split, by input; each also has `ROW`, where it comes from, and `FAULT`, empty for a readable one.

    Args:
        source: The split of the data set.
        fields: Input -> the field that it reads.
        most: Only the first so many examples; all if not given.
    """

    source: Any
    fields: Mapping[str, str]
    most: int | None = None

    @classmethod
    def of(cls, source: Any) -> "RawSplit":
        """Returns a split with all of its fields, by their own names."""
        names = source.specs if isinstance(source, Indexed) else source.element_spec
        return cls(source, {name: name for name in names if not name.startswith((ROW, FAULT))})

    @property
    def is_indexed(self) -> bool:
        """Whether examples are read by number."""
        return isinstance(self.source, Indexed)

    @property
    def size(self) -> int | None:
        """The number of examples, readable or not; None if it is unknown before the split is read."""
        count = len(self.source) if self.is_indexed else int(self.source.cardinality().numpy())
        if count < 0:
            return None
        return count if self.most is None else min(count, self.most)

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """What each input holds for an example."""
        if not self.is_indexed:
            return {name: self.source.element_spec[field] for name, field in self.fields.items()}
        specs = {name: self.source.specs[field] for name, field in self.fields.items()}
        return {name: tf.TensorSpec([None] if spec.several else [], spec.dtype) for name, spec in specs.items()}

    def first(self, most: int) -> "RawSplit":
        """Returns the first so many examples."""
        return replace(self, most=most)

    def examples(self, *names: str) -> tf.data.Dataset:
        """Returns the examples in order, unbatched, with these inputs; with all of them if none is given."""
        return self.batches(CHUNK, names).unbatch().map(_dense) if self.is_indexed else self._stream(names)

    def batches(
        self, batch: int, names: Iterable[str] = (), numbers: tf.data.Dataset | None = None, wanted: np.ndarray | None = None
    ) -> tf.data.Dataset:
        """Returns batches of examples; an input with several values for one example is ragged.

        Args:
            batch: Examples in a batch.
            names: The inputs; all if not given.
            numbers: The numbers of the examples, unbatched; of an index alone.
            wanted: Whether each example is read, `(examples,)`, instead of `numbers`; all if not given.
        """
        if not self.is_indexed:
            return chosen(self._stream(names), wanted).ragged_batch(batch)
        if numbers is None:
            numbers = tf.data.Dataset.range(self.size) if wanted is None else _slices(np.flatnonzero(wanted))
        return numbers.batch(batch).map(partial(self._read, tuple(names)), tf.data.AUTOTUNE).with_options(NO_AUTOTUNE)

    def _stream(self, names: Iterable[str]) -> tf.data.Dataset:
        fields = {name: self.fields[name] for name in names} or self.fields

        def select(index: tf.Tensor, example: Batch) -> Batch:
            row = example.get(ROW, tf.strings.join(["example ", tf.strings.as_string(index)]))
            values = {name: example[field] for name, field in fields.items()}
            return values | {ROW: row, FAULT: fault_in(example, self.fields.values())}

        examples = self.source if self.most is None else self.source.take(self.most)
        return examples.enumerate().map(select, num_parallel_calls=tf.data.AUTOTUNE).with_options(NO_AUTOTUNE)

    def _read(self, names: Sequence[str], numbers: tf.Tensor) -> Batch:
        """Reads the examples of some numbers, in a graph."""
        fields = {name: self.fields[name] for name in names} or self.fields
        specs = {field: self.source.specs[field] for field in fields.values()}
        dtypes = chain.from_iterable([spec.dtype, "int64"] if spec.several else [spec.dtype] for spec in specs.values())
        found = tf.numpy_function(partial(_columns, self.source, specs), [numbers], [*dtypes, tf.string, tf.string])
        read = (tf.ensure_shape(column, [None]) for column in found)
        columns = {field: _column(read, spec) for field, spec in specs.items()}
        return {name: columns[field] for name, field in fields.items()} | {ROW: next(read), FAULT: next(read)}


def as_stream(split: Any, fields: Iterable[str]) -> tf.data.Dataset:
    """Returns the examples of a split of a data set, unbatched, with some fields of an index, and else with all.

    The `FAULT` of an index is that of these fields; those of a stream are left as they are.
    """
    return RawSplit(split, {field: field for field in fields}).examples() if isinstance(split, Indexed) else split


def chosen(examples: tf.data.Dataset, wanted: np.ndarray | None) -> tf.data.Dataset:
    """Returns the examples that are wanted, `(examples,)`; all if it is not given."""
    if wanted is None or np.all(wanted):
        return examples
    flagged = tf.data.Dataset.zip(examples, _slices(wanted))
    return flagged.filter(lambda _, flag: flag).map(lambda example, _: example)


def permuted(wanted: np.ndarray, seed: tf.Tensor) -> tf.data.Dataset:
    """Returns the numbers of wanted examples in a random order, which is computed number by number.

    Args:
        wanted: Whether each example is, `(examples,)`.
        seed: `(2,)`, integers.
    """
    numbers = None if np.all(wanted) else tf.constant(np.flatnonzero(wanted))
    count = np.count_nonzero(wanted)

    def at(places: tf.Tensor) -> tf.Tensor:
        drawn = tf.random.experimental.index_shuffle(places, tf.cast(seed, tf.int32), tf.constant(count - 1, tf.int64))
        return drawn if numbers is None else tf.gather(numbers, drawn)

    return tf.data.Dataset.range(count).batch(CHUNK).map(at).unbatch()


def _columns(source: Indexed, specs: Mapping[str, FieldSpec], numbers: np.ndarray) -> list[np.ndarray]:
    """Reads fields of some examples: an array each, and the lengths of lists; then the rows and the faults."""
    found, columns = source.read(numbers, specs.keys()), list[np.ndarray]()
    for field, spec in specs.items():
        values = found[field]
        columns.append(_array(list(chain.from_iterable(values)) if spec.several else values, spec.dtype))
        if spec.several:
            columns.append(np.array(list(map(len, values)), "int64"))
    blank = [""] * len(numbers)
    faults = zip(*(found.get(key, blank) for key in (FAULT, *map(fault_of, specs))), strict=True)
    return [*columns, _array(found[ROW]), _array([next(filter(None, reasons), "") for reasons in faults])]


def _array(values: Sequence[Any], dtype: str = "string") -> np.ndarray:
    return np.array(values, object if dtype == "string" else dtype)


def _column(read: Iterator[tf.Tensor], spec: FieldSpec) -> Any:
    values = next(read)
    return tf.RaggedTensor.from_row_lengths(values, next(read), validate=False) if spec.several else values


def _slices(values: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(values)


def _dense(example: Batch) -> Batch:
    """Rows of a ragged tensor are dense, but have the type RaggedTensor."""
    return {name: tf.convert_to_tensor(value) for name, value in example.items()}
