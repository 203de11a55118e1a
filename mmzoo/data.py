"""Plan -> `Data`: the data set's splits, named as the recipe's inputs, processed and batched by tf.data.

The order of the examples, and which of several captions an epoch sees, follow from the seed and the number of the epoch
alone; so a resumed training sees what an unbroken one would have seen.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from mmzoo.dataset import FAULT, ROW, SPLITS, Card
from mmzoo.errors import DataError, RecipeError
from mmzoo.plan import Input, Plan
from mmzoo.processing import Processed, Processor, as_text, lacks, present, process
from mmzoo.progress import Screen
from mmzoo.streams import mask_of

CHUNK, CHUNK_BYTES = 128, 32 << 20
"""The most examples that are processed at a time, and the most bytes that their features may take if they are several."""
MEMORY = 2 << 30
"""Bytes of processed examples that are kept in memory at a time: of each split by `cache: auto`, and to shuffle."""
LACKING = "there is nothing; say `optional: true` of the input if examples may lack it"
SHUFFLE = 50_000
"""Examples among which the next one is drawn, if so many fit; a smaller split is shuffled as a whole."""
UNTUNED = tf.data.Options()
UNTUNED.autotune.enabled = False  # whatever ends an iterator may have to wait for its tuner, which sleeps up to a minute

Batch = dict[str, Any]


def make_processors(plan: Plan) -> dict[str, Processor]:
    """Makes the processor of each input; they have learned nothing yet."""
    return {name: column.processor.make() for name, column in plan.inputs.items()}


def learned_processors(plan: Plan) -> dict[str, Processor]:
    """Makes the processors and, if the data is ready, lets them learn from it; prepares nothing."""
    if plan.dataset.card.needs:
        return make_processors(plan)
    data = read_data(plan, Screen(quiet=True))
    data.adapt()
    return data.processors


def open_data(plan: Plan, screen: Screen, learned: dict[str, Processor] | None = None) -> "Data":
    """Prepares the data set, lets the processors learn from the training split, and reads every example once.

    Args:
        plan: What is read, and how.
        screen: Where progress goes.
        learned: Processors that have learned already, such as a run's own; they learn nothing more.

    Raises:
        DataError: The data cannot be had, or lacks a split that training needs; or examples are unreadable and the recipe says
            to stop.
        RecipeError: A field does not hold what its processor reads.
    """
    data = read_data(plan, screen)
    if learned is None:
        if plan.train.patience is not None and "validation" not in data.raw:
            what = "train.patience waits for a better validation loss, but the data has no split 'validation'"
            raise DataError(f"{what}; it has {', '.join(data.raw)}.\nAdd one, or train without: `--set train.patience=null`.")
        data.adapt()
    else:
        data.processors = learned
    for name, processor in data.processors.items():
        if processor.note:
            screen.say(f"data      {name}: {processor.note}")
    for split in data.raw:
        data.scan(split, screen)
    return data


def read_data(plan: Plan, screen: Screen) -> "Data":
    """Prepares the data set and opens its splits, with processors that have learned nothing."""
    if plan.dataset.card.needs:
        screen.say(f"data      {plan.dataset.card.needs}")
    plan.dataset.prepare()
    found = plan.dataset.splits()
    raw = {split: _select(found[split], plan.inputs) for split in SPLITS if split in found}
    if "train" not in raw:
        raise DataError(f"the data set has no split 'train'; it has {', '.join(found) or 'none'}.")
    processors = make_processors(plan)
    _check_types(plan, raw["train"], processors)
    return Data(plan, plan.dataset.card, raw, processors)


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

    def examples(self, split: str) -> tf.data.Dataset:
        """Gives the readable processed examples, unbatched and in order."""
        readable = self.processed(split)
        if self.faults[split]:
            readable = readable.filter(lambda example: example[FAULT] == "")
        # Told the number, Keras does not read past the end to find it, which would count one batch too many in its means.
        counted = readable.apply(tf.data.experimental.assert_cardinality(self.sizes[split]))
        named = [*self.processors, *map(mask_of, self.plan.encoders)]
        return counted.map(lambda example: {name: example[name] for name in named})

    def batches(self, split: str, batch: int, seed: int, epochs: range) -> tf.data.Dataset:
        """Gives the training batches of some epochs one after the other, each shuffled anew.

        Args:
            split: Which split.
            batch: Examples in a batch; an epoch's last, smaller batch is left out, unless it is the only one.
            seed: What the order follows from, with the epoch's number.
            epochs: Numbers of the epochs.
        """
        examples, size, among = self.examples(split), self.sizes[split], min(SHUFFLE, MEMORY // self.bytes_each(split))
        several = any(self._several(name, spec) for name, spec in examples.element_spec.items())

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            shuffled = examples.shuffle(max(1, min(size, among)), seed=number + 1000 * seed, reshuffle_each_iteration=False)
            if several:
                key = tf.stack([seed, number])
                shuffled = shuffled.enumerate().map(lambda at, example: self._choose(example, tf.random.fold_in(key, at)))
            return shuffled.batch(batch, drop_remainder=size >= batch)

        # One epoch more than asked for is never drawn, but keeps Keras from believing that the data ran out.
        return tf.data.Dataset.range(epochs.start, epochs.stop + 1).flat_map(epoch).prefetch(2).with_options(UNTUNED)

    def ordered_batches(self, split: str, batch: int, most: int = -1) -> tf.data.Dataset:
        """Gives batches of a split's first examples in order, for a held-out loss; the first of several values counts."""
        return self.examples(split).take(most).map(lambda example: self._choose(example, None)).batch(batch).prefetch(2)

    def steps(self, batch: int) -> int:
        """Counts the batches in an epoch of training."""
        return max(1, self.sizes["train"] // batch)

    def held_out(self) -> str:
        """Names the split that is reported on: test, or else validation, or else train."""
        return next(split for split in reversed(SPLITS) if split in self.raw)

    def scan(self, split: str, screen: Screen) -> None:
        """Reads a split once, counts it, and finds the examples that cannot be read.

        Raises:
            DataError: There are some, and the recipe says to stop; or none is readable.
        """
        found = list(screen.track(self._rows(split), f"read {split}", self._cardinality(split)))
        total, faults = len(found), [f"{row}: {reason}" for row, reason, _ in found if reason]
        self.sizes[split], self.faults[split] = total - len(faults), faults
        self.readable[split] = [not reason for _, reason, _ in found]
        if faults and self.plan.on_error == "stop":
            advice = "Mend or remove them, or leave them out with `on_error: skip` under `data`."
            raise DataError(f"{len(faults)} of the {total} examples of '{split}' cannot be read.\n{_some(faults)}\n{advice}")
        if faults:
            screen.say(f"data      left out {len(faults)} of the {total} examples of '{split}':\n{_some(faults)}")
        if total == len(faults):
            raise DataError(f"the split '{split}' has no example that can be read ({total} in all).")
        for name, count in Counter(name for _, reason, lacking in found if not reason for name in lacking).items():
            screen.say(f"data      {name} is lacking in {count} of the {self.sizes[split]} examples of '{split}'")

    def _rows(self, split: str) -> Iterator[tuple[str, str, list[str]]]:
        """Processes every example, which keeps it in memory if it fits; gives its row, its fault, and what it lacks."""
        names = [name for name in self.plan.encoders if self.plan.inputs[name].optional]

        def seen(example: Batch) -> tuple[tf.Tensor, tf.Tensor, tuple[tf.Tensor, ...]]:
            return example[ROW], example[FAULT], tuple(~tf.reduce_any(example[mask_of(name)]) for name in names)

        for rows, faults, lacking in self.processed(split).map(seen).batch(CHUNK):
            lacked = [[name for name, one in zip(names, row, strict=True) if one] for row in zip(*lacking, strict=True)]
            texts = [map(bytes.decode, column.numpy()) for column in (rows, faults)]
            yield from zip(*texts, lacked or [[]] * len(rows), strict=True)

    def _process(self, raw: Batch) -> Batch:
        done: Batch = {ROW: raw[ROW]}
        found = {name: _apply(processor, raw[name]) for name, processor in self.processors.items()}
        there = {name: found[name].mask for name in self.plan.encoders}
        fault = raw[FAULT]
        for name, one in found.items():
            lacking = lacks(name, there)
            without = "" if self.plan.inputs[name].optional else tf.where(one.fault == "", LACKING, one.fault)
            reason = tf.where(lacking, without, one.fault)
            reason = tf.where(reason == "", "", tf.strings.join([name, ": ", reason]))
            fault = tf.where(fault == "", reason, fault)
            done[name] = one.features
            if name in there:
                done[mask_of(name)] = present(one.mask, lacking)
        return done | {FAULT: fault}

    def _choose(self, example: Batch, seed: tf.Tensor | None) -> Batch:
        """Takes one of the values where an example has several: at random, or the first."""
        return {name: self._one(name, value, seed) for name, value in example.items()}

    def _one(self, name: str, value: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        if not self._several(name, value):
            return value
        if seed is None:
            return value[0]
        count = tf.shape(value)[0]
        chosen = tf.random.stateless_uniform([], seed, maxval=count, dtype=tf.int32)
        return value[chosen]

    def _several(self, name: str, value: Any) -> bool:
        """Tells whether an input holds several values for an example, by one of its values or what is known of them."""
        owner = name.removesuffix(mask_of(""))
        known = self.processors[owner].features
        return len(value.shape) > len(known["shape"] if owner == name else known.get("mask", []))

    def _cardinality(self, split: str) -> int | None:
        count = int(self.raw[split].cardinality().numpy())
        return count if count >= 0 else None

    def _fits(self, split: str) -> bool:
        if self.plan.train.cache != "auto":
            return bool(self.plan.train.cache)
        return (count := self._cardinality(split) or 0) > 0 and count * self.bytes_each(split) <= MEMORY

    def references(self, split: str, name: str) -> Iterator[list[Any]]:
        """Iterates over the raw values of an input, a list for each example; text is decoded."""
        for batch in self.raw[split].map(lambda example: example[name]).ragged_batch(CHUNK):
            yield from plain_rows(batch)


def one_each(values: Any, rank: int) -> tf.Tensor:
    """Gives a batch of raw values as the served model takes it: lists padded with empty values, the first of several values.

    Args:
        values: What `Data.raw_batches` gives of an input.
        rank: Of one value, with the batch.
    """
    if len(values.shape) > rank:
        values = values[:, :1]
        return (values.to_tensor(shape=[None, 1]) if isinstance(values, tf.RaggedTensor) else values)[:, 0]
    return values.to_tensor() if isinstance(values, tf.RaggedTensor) else values


def plain_rows(batch: Any) -> list[list[Any]]:
    """Gives a batch of raw values, dense or ragged, as `plain_values` gives each."""
    return [plain_values(row) for row in batch.numpy()]


def plain_values(value: Any) -> list[Any]:
    """Gives one or several raw values, a tensor or an array, as a list; strings that are UTF-8 text become text."""
    values = value.numpy() if isinstance(value, tf.Tensor) else value
    values = values.tolist() if getattr(values, "shape", ()) else [values]
    return list(map(as_text, values))


def most_common(references: Iterator[list[Any]]) -> Any:
    """Gives the value that occurs most often; the first of those that tie."""
    return Counter(value for values in references for value in values).most_common(1)[0][0]


def _some(faults: list[str], most: int = 10) -> str:
    rest = f"\n  ... and {len(faults) - most} more" if len(faults) > most else ""
    return "\n".join(f"  {fault}" for fault in faults[:most]) + rest


def _select(split: tf.data.Dataset, inputs: Mapping[str, Input]) -> tf.data.Dataset:
    """Names the fields as the recipe's inputs and completes each example with its row and its fault."""

    def named(index: tf.Tensor, example: Batch) -> Batch:
        row = example.get(ROW, tf.strings.join(["example ", tf.strings.as_string(index)]))
        fault = example.get(FAULT, tf.constant(""))
        return {name: example[column.field] for name, column in inputs.items()} | {ROW: row, FAULT: fault}

    return split.enumerate().map(named, num_parallel_calls=tf.data.AUTOTUNE).with_options(UNTUNED)


def _check_types(plan: Plan, split: tf.data.Dataset, processors: Mapping[str, Processor]) -> None:
    faults = []
    for name, column in plan.inputs.items():
        found, wanted = split.element_spec[name], processors[name].raw
        ranks = (len(wanted.shape), len(wanted.shape) + 1)
        if found.dtype != wanted.dtype or len(found.shape) not in ranks:
            what = (
                f"the field '{column.field}' holds {found.dtype.name} {tuple(found.shape)} per example; "
                f"the processor '{column.processor.component.name}' reads {wanted.dtype.name} {tuple(wanted.shape)}."
            )
            faults.append(column.node.fault(what))
    if faults:
        raise RecipeError(faults)


def _apply(processor: Processor, raw: Any) -> Processed:
    """Processes a batch in which each example may have several values; their faults are the example's."""
    rank = len(processor.raw.shape) + 1
    if len(raw.shape) == rank:
        return process(processor, one_each(raw, rank))
    raw = raw if isinstance(raw, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(raw)
    none = raw.row_lengths() == 0
    if rank == 1:  # one of several values is chosen, so an example that may lack them all has one that is empty
        blank = tf.RaggedTensor.from_row_lengths(tf.zeros(tf.math.count_nonzero(none), raw.dtype), tf.cast(none, tf.int64))
        raw = tf.concat([raw, blank], axis=1)
    features, fault, mask = process(processor, raw.flat_values)
    reason = tf.strings.strip(tf.strings.reduce_join(raw.with_flat_values(fault), axis=1, separator=" "))
    return Processed(raw.with_flat_values(features), tf.where(none, "there is no value", reason), raw.with_flat_values(mask))
