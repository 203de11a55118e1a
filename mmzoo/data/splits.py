"""`Data`: the splits of a plan, as raw values by input and as processed examples, cached in memory if they fit."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS, Card
from mmzoo.contracts.processor import Processor
from mmzoo.contracts.raw import as_text, join_inputs, plain_rows, process_one_or_several
from mmzoo.contracts.streams import mask_of
from mmzoo.errors import DataError, late_fault
from mmzoo.recipe.plan import Plan

CHUNK, CHUNK_BYTES = 128, 32 << 20
"""The most examples that are processed at a time, and the most bytes of features of a chunk of more than one example."""
MEMORY = 2 << 30
"""The most bytes of processed examples in memory: of each split that `cache: auto` caches, and of the shuffle buffer."""

NO_AUTOTUNE = tf.data.Options()
NO_AUTOTUNE.autotune.enabled = False  # the end of an iterator waits for its autotune thread, which sleeps up to a minute

Batch = dict[str, Any]
"""By input: the values of a batch, or of one example."""


@dataclass
class Data:
    """The splits of a plan.

    Args:
        plan: Says which fields are read, and how.
        card: The card of the data set.
        raw: Split -> raw values by input, unbatched; each example also has `dataset.ROW` and `dataset.FAULT`.
        processors: By input.
        sizes: Split -> number of readable examples; set by `scan`.
        faults: Split -> why examples were left out, `row: input: reason`; set by `scan`.
        readable: Split -> whether each of its examples, in order, can be read; set by `scan`.
        lost: Split -> row -> why an example that the scan could read cannot be read any more, if others took its place.
    """

    plan: Plan
    card: Card
    raw: dict[str, tf.data.Dataset]
    processors: dict[str, Processor]
    sizes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    readable: dict[str, list[bool]] = field(default_factory=dict)
    lost: dict[str, dict[str, str]] = field(default_factory=dict)
    _processed: dict[str, tf.data.Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._graph = tf.function(self._process, autograph=False)  # traced once for all splits: tracing takes seconds

    def adapt(self, names: Iterable[str]) -> None:
        """Adapts the processors of some inputs on the training split.

        Raises:
            DataError: A processor cannot be adapted; the message names its input.
        """
        for name in names:
            try:
                self.processors[name].adapt(self.values("train", name))
            except DataError as error:
                raise DataError(f"{name}: {error}") from error

    def values(self, split: str, name: str) -> tf.data.Dataset:
        """Returns the raw values of one input, unbatched; several values of one example follow each other."""
        column = self.raw[split].map(lambda example: example[name])
        return column.unbatch() if len(column.element_spec.shape) > len(self.processors[name].raw.shape) else column

    def raw_batches(self, split: str, batch: int) -> tf.data.Dataset:
        """Returns batches of raw values; an input with several values for one example is ragged."""
        return self.raw[split].ragged_batch(batch)

    def references(self, split: str, name: str) -> Iterator[list[Any]]:
        """Yields the raw values of an input, a list for each example; text is decoded."""
        for batch in self.raw[split].map(lambda example: example[name]).ragged_batch(CHUNK):
            yield from plain_rows(batch)

    def processed(self, split: str, wanted: np.ndarray | None = None) -> tf.data.Dataset:
        """Returns the processed examples, unbatched and in order, cached if they fit; `FAULT` is empty for readable ones.

        Args:
            split: Which one.
            wanted: Whether each example is, `(examples,)`; all if not given. No others are processed, unless cached.
        """
        if wanted is not None:
            cached = self._is_cached(split)
            flagged = tf.data.Dataset.zip(
                self.processed(split) if cached else self.raw[split], tf.data.Dataset.from_tensor_slices(wanted)
            )
            chosen = flagged.filter(lambda _, flag: flag).map(lambda example, _: example)
            return chosen if cached else self._process_all(chosen)
        if split not in self._processed:
            examples = self._process_all(self.raw[split])
            self._processed[split] = examples
            if self._is_cached(split):
                self._processed[split] = examples.cache()
        return self._processed[split]

    def _process_all(self, raw: tf.data.Dataset) -> tf.data.Dataset:
        chunks = raw.ragged_batch(self._chunk_size())
        return chunks.map(self._graph, num_parallel_calls=tf.data.AUTOTUNE).unbatch()

    def bytes_each(self, split: str) -> int:
        """Returns the bytes in memory of a processed example of a split, with as many values as the first example has."""
        specs = self.processed(split).element_spec
        several = {name: name.removesuffix(mask_of("")) for name, spec in specs.items() if None in spec.shape}
        first: Batch = next(iter(self.raw[split].take(1)), {}) if several else {}
        values = {name: len(first.get(owner, ())) for name, owner in several.items()}
        sizes = (
            math.prod(values[name] if dim is None else dim for dim in spec.shape) * max(spec.dtype.size or 0, 1)
            for name, spec in specs.items()
        )
        return sum(sizes) or 1

    def has_several(self, name: str, value: Any) -> bool:
        """Returns whether an input has several values for one example.

        Args:
            name: The input, or the mask of one.
            value: Its value in a processed example, or the spec of that.
        """
        owner = name.removesuffix(mask_of(""))
        features = self.processors[owner].features
        return len(value.shape) > len(features["shape"] if owner == name else features.get("mask", []))

    def cardinality(self, split: str) -> int | None:
        """Returns the number of examples in a split, readable or not; None if it is unknown before the split is read."""
        count = int(self.raw[split].cardinality().numpy())
        return count if count >= 0 else None

    def steps(self, batch: int) -> int:
        """Counts the batches in an epoch of training."""
        return max(1, self.sizes["train"] // batch)

    def held_out(self) -> str:
        """Returns the split that is evaluated: test, or else validation, or else train."""
        return next(split for split in reversed(SPLITS) if split in self.raw)

    def check_again(self, split: str, batch: Batch, first: int) -> None:
        """Looks whether examples that the scan could read can still be read. Those that cannot are left out from now on.

        Args:
            split: The split.
            batch: Of `raw_batches`.
            first: The number of its first example in the split.

        Raises:
            DataError: One cannot, and the recipe says to stop.
        """
        faults = self._graph(batch)[FAULT].numpy()
        for number, (row, fault) in enumerate(zip(batch[ROW].numpy(), faults, strict=True), first):
            if fault and self.readable[split][number]:
                what = f"{row.decode()}: {fault.decode()}"
                if self.plan.on_error == "stop":
                    raise late_fault(what)
                self.leave_out(split, number, what)

    def leave_out(self, split: str, number: int, what: str | bytes) -> np.bool_:
        """Leaves out an example that the scan could read and that cannot be read any more, and counts it.

        Args:
            split: The split.
            number: Its number in the split.
            what: Its row and the reason.

        Returns:
            False: whether it can be used.
        """
        if self.readable[split][number]:
            self.readable[split][number] = False
            self.sizes[split] -= 1
            self.faults[split].append(str(as_text(what)))
        return np.False_

    def note_lost(self, split: str, rows: np.ndarray, faults: np.ndarray) -> None:
        """Records examples of a training batch that cannot be read any more: those with a fault."""
        found = {row.decode(): fault.decode() for row, fault in zip(rows, faults, strict=True) if fault}
        self.lost.setdefault(split, {}).update(found)

    def _process(self, raw: Batch) -> Batch:
        """Processes a batch of raw values: features and masks by input, and why examples cannot be read."""
        results = {name: process_one_or_several(processor, raw[name]) for name, processor in self.processors.items()}
        required = [name for name, column in self.plan.inputs.items() if not column.optional]
        masks, fault = join_inputs(results, self.plan.encoders, required)
        features = {name: result.features for name, result in results.items()}
        features |= {mask_of(name): mask for name, mask in masks.items()}
        return features | {ROW: raw[ROW], FAULT: tf.where(raw[FAULT] == "", fault, raw[FAULT])}

    def _chunk_size(self) -> int:
        """Returns the number of examples that are processed at a time."""
        specs = [processor.features for processor in self.processors.values()]
        each = sum(math.prod(spec["shape"]) * tf.as_dtype(spec["dtype"]).size for spec in specs)
        return max(1, min(CHUNK, CHUNK_BYTES // max(each, 1)))

    def _is_cached(self, split: str) -> bool:
        if self.plan.train.cache != "auto":
            return bool(self.plan.train.cache)
        return (count := self.cardinality(split) or 0) > 0 and count * self.bytes_each(split) <= MEMORY
