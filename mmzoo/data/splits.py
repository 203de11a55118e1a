"""The splits of a plan: raw values named as the recipe's inputs, and processed examples, kept in memory if they fit."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS, Card
from mmzoo.contracts.processor import Processor
from mmzoo.contracts.raw import join_inputs, plain_rows, process_one_or_several
from mmzoo.contracts.streams import mask_of
from mmzoo.errors import DataError
from mmzoo.recipe.plan import Plan

CHUNK, CHUNK_BYTES = 128, 32 << 20
"""The most examples that are processed at a time, and the most bytes that their features may take if they are several."""
MEMORY = 2 << 30
"""Bytes of processed examples that are kept in memory at a time: of each split by `cache: auto`, and to shuffle."""

UNTUNED = tf.data.Options()
UNTUNED.autotune.enabled = False  # whatever ends an iterator may have to wait for its tuner, which sleeps up to a minute

Batch = dict[str, Any]
"""By input: the values of a batch, or of one example."""


@dataclass
class Data:
    """The splits of a plan.

    Args:
        plan: What is read, and how.
        card: The data set's.
        raw: Split -> raw values by input, unbatched; each also has `dataset.ROW` and `dataset.FAULT`.
        processors: By input.
        sizes: Split -> readable examples, once it is scanned.
        faults: Split -> why examples were left out, `row: input: reason`.
        readable: Split -> whether each of its examples, in order, can be read.
    """

    plan: Plan
    card: Card
    raw: dict[str, tf.data.Dataset]
    processors: dict[str, Processor]
    sizes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    readable: dict[str, list[bool]] = field(default_factory=dict)
    _processed: dict[str, tf.data.Dataset] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._graph = tf.function(self._process, autograph=False)  # traced once for all splits: that takes seconds

    def adapt(self) -> None:
        """Lets the processors learn from the training split.

        Raises:
            DataError: One of them cannot; the message names its input.
        """
        for name, processor in self.processors.items():
            try:
                processor.adapt(self.values("train", name))
            except DataError as error:
                raise DataError(f"{name}: {error}") from error

    def values(self, split: str, name: str) -> tf.data.Dataset:
        """Gives the raw values of one input, unbatched; several for one example follow each other."""
        column = self.raw[split].map(lambda example: example[name])
        return column.unbatch() if len(column.element_spec.shape) > len(self.processors[name].raw.shape) else column

    def raw_batches(self, split: str, batch: int) -> tf.data.Dataset:
        """Gives batches of raw values; an input with several values for one example is ragged."""
        return self.raw[split].ragged_batch(batch)

    def references(self, split: str, name: str) -> Iterator[list[Any]]:
        """Iterates over the raw values of an input, a list for each example; text is decoded."""
        for batch in self.raw[split].map(lambda example: example[name]).ragged_batch(CHUNK):
            yield from plain_rows(batch)

    def processed(self, split: str) -> tf.data.Dataset:
        """Gives the processed examples, unbatched and in order, kept in memory if they fit; faulty ones have a reason."""
        if split not in self._processed:
            chunks = self.raw_batches(split, self._chunk())
            examples = chunks.map(self._graph, num_parallel_calls=tf.data.AUTOTUNE).unbatch()
            self._processed[split] = examples
            if self._fits(split):
                self._processed[split] = examples.cache()
        return self._processed[split]

    def _chunk(self) -> int:
        known = [processor.features for processor in self.processors.values()]
        each = sum(math.prod(one["shape"]) * tf.as_dtype(one["dtype"]).size for one in known)
        return max(1, min(CHUNK, CHUNK_BYTES // max(each, 1)))

    def bytes_each(self, split: str) -> int:
        """Measures what a processed example of a split takes in memory, by its first."""
        one: Batch = next(iter(self.processed(split).take(1)), {})
        return sum(int(tf.size(value).numpy()) * max(value.dtype.size or 0, 1) for value in one.values()) or 1

    def _fits(self, split: str) -> bool:
        if self.plan.train.cache != "auto":
            return bool(self.plan.train.cache)
        return (count := self.cardinality(split) or 0) > 0 and count * self.bytes_each(split) <= MEMORY

    def _process(self, raw: Batch) -> Batch:
        done = {name: process_one_or_several(processor, raw[name]) for name, processor in self.processors.items()}
        required = [name for name, column in self.plan.inputs.items() if not column.optional]
        masks, fault = join_inputs(done, self.plan.encoders, required)
        features = {name: one.features for name, one in done.items()} | {mask_of(name): mask for name, mask in masks.items()}
        return features | {ROW: raw[ROW], FAULT: tf.where(raw[FAULT] == "", fault, raw[FAULT])}

    def has_several(self, name: str, value: Any) -> bool:
        """Tells whether an input holds several values for an example, by one of its values or what is known of them."""
        owner = name.removesuffix(mask_of(""))
        known = self.processors[owner].features
        return len(value.shape) > len(known["shape"] if owner == name else known.get("mask", []))

    def cardinality(self, split: str) -> int | None:
        count = int(self.raw[split].cardinality().numpy())
        return count if count >= 0 else None

    def steps(self, batch: int) -> int:
        """Counts the batches in an epoch of training."""
        return max(1, self.sizes["train"] // batch)

    def held_out(self) -> str:
        """Names the split that is reported on: test, or else validation, or else train."""
        return next(split for split in reversed(SPLITS) if split in self.raw)


def most_common(references: Iterator[list[Any]]) -> Any:
    """Gives the value that occurs most often; the first of those that tie."""
    return Counter(value for values in references for value in values).most_common(1)[0][0]
