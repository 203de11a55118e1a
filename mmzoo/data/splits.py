"""`Data`: the splits of a plan, as raw values by input and as processed examples, cached in memory if they fit."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW, SPLITS, Card
from mmzoo.contracts.processor import Processor
from mmzoo.contracts.raw import as_text, join_inputs, plain_rows, process_one_or_several
from mmzoo.contracts.streams import mask_of
from mmzoo.data.raw_split import CHUNK, Batch, RawSplit, chosen, permuted
from mmzoo.errors import DataError, late_fault
from mmzoo.recipe.plan import Plan

CHUNK_BYTES = 32 << 20
"""The most bytes of features of a chunk of more than one example that is processed at a time."""
MEMORY = 2 << 30
"""The most bytes of examples in memory: of each split that `cache: auto` caches, and of the buffer that shuffles a stream."""
MEASURED = 64
"""Streamed raw examples whose size is measured."""


@dataclass
class Data:
    """The splits of a plan.

    Args:
        plan: Says which fields are read, and how.
        card: The card of the data set.
        raw: Split -> its raw values by input.
        processors: By input.
        sizes: Split -> number of readable examples; set by `scan`.
        faults: Split -> why examples were left out, `row: input: reason`; set by `scan`.
        readable: Split -> whether each of its examples, in order, can be read as far as is known; set by `scan`.
        lost: Split -> row -> why an example that `readable` holds for readable cannot be read, if others took its place.
    """

    plan: Plan
    card: Card
    raw: dict[str, RawSplit]
    processors: dict[str, Processor]
    sizes: dict[str, int] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    readable: dict[str, np.ndarray] = field(default_factory=dict)
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
        column = self.raw[split].examples(name).map(lambda example: example[name])
        return column.unbatch() if len(column.element_spec.shape) > len(self.processors[name].raw.shape) else column

    def raw_batches(self, split: str, batch: int) -> tf.data.Dataset:
        """Returns batches of raw values; an input with several values for one example is ragged."""
        return self.raw[split].batches(batch)

    def references(self, split: str, name: str) -> Iterator[list[Any]]:
        """Yields the raw values of an input, a list for each example; text is decoded."""
        for batch in self.raw[split].batches(CHUNK, [name]):
            yield from plain_rows(batch[name])

    def processed(self, split: str, wanted: np.ndarray | None = None) -> tf.data.Dataset:
        """Returns the processed examples, unbatched and in order, cached if they fit; `FAULT` is empty for readable ones.

        Args:
            split: Which one.
            wanted: Whether each example is, `(examples,)`; all if not given. No others are processed, unless cached.
        """
        if wanted is not None and not self.is_cached(split):
            return self._process_all(self.raw[split].batches(self._chunk_size(), wanted=wanted))
        if split not in self._processed:
            self._processed[split] = self._process_all(self.raw[split].batches(self._chunk_size()))
            if self.is_cached(split):  # which looks at what is processed
                self._processed[split] = self._processed[split].cache()
        return chosen(self._processed[split], wanted)

    def shuffled(self, split: str, wanted: np.ndarray, seed: int) -> Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]:
        """Returns a function that gives the processed examples of an epoch, unbatched, in an order of its own.

        Each order of the whole split is as likely as any other, but for that of a stream that is not cached: it is read through
        a buffer of as many raw examples as fit into `MEMORY`.

        Args:
            split: Which one.
            wanted: Whether each example is drawn, `(examples,)`.
            seed: The order depends only on it and on the epoch.

        Returns:
            A function of the number of the epoch, and of how many examples are left out at its start, without being processed;
            each `()`, int64.
        """
        raw, count = self.raw[split], max(1, int(np.count_nonzero(wanted)))
        if self.is_cached(split):
            kept = self.processed(split, wanted)
            return lambda epoch, first: _mixed(kept, count, seed, epoch).skip(first)
        size = self._chunk_size()
        if raw.is_indexed:
            return lambda epoch, first: self._process_all(
                raw.batches(size, numbers=permuted(wanted, tf.stack([seed, epoch])).skip(first))
            )
        streamed, buffer = chosen(raw.examples(), wanted), min(count, self._buffer(split))
        return lambda epoch, first: self._process_all(_mixed(streamed, buffer, seed, epoch).skip(first).ragged_batch(size))

    def _process_all(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(self._graph, num_parallel_calls=tf.data.AUTOTUNE).unbatch()

    def _buffer(self, split: str) -> int:
        """Returns how many raw examples of a stream fit into `MEMORY`."""
        sizes = [sum(map(_bytes_of, one.values())) for one in self.raw[split].examples().take(MEASURED).as_numpy_iterator()]
        return max(1, MEMORY * len(sizes) // max(1, sum(sizes)))

    def bytes_each(self, split: str) -> int:
        """Returns the bytes in memory of a processed example of a split, with as many values as the first example has."""
        specs = self.processed(split).element_spec
        several = {name: name.removesuffix(mask_of("")) for name, spec in specs.items() if None in spec.shape}
        first: Batch = next(iter(self.raw[split].first(1).examples(*dict.fromkeys(several.values()))), {}) if several else {}
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
        return self.raw[split].size

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

    def is_cached(self, split: str) -> bool:
        """Returns whether the processed examples of a split are kept in memory."""
        if self.plan.train.cache != "auto":
            return bool(self.plan.train.cache)
        return (count := self.cardinality(split) or 0) > 0 and count * self.bytes_each(split) <= MEMORY


def _mixed(examples: tf.data.Dataset, buffer: int, seed: int, epoch: tf.Tensor) -> tf.data.Dataset:
    return examples.shuffle(buffer, seed=epoch + 1000 * seed, reshuffle_each_iteration=False)


def _bytes_of(value: Any) -> int:
    """Returns about how many bytes a raw value or a list of them takes."""
    return len(value) if isinstance(value, bytes) else sum(map(_bytes_of, value)) if np.ndim(value) else 8
