"""Data -> batches of processed examples: shuffled for training, in order for validation.

The order of the examples, and the value that is chosen where an example has several, depend only on the seed and the number
of the epoch. So a resumed training sees the same batches as an uninterrupted one.
"""

from functools import partial

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.streams import mask_of
from mmzoo.data.raw_split import NO_AUTOTUNE, Batch
from mmzoo.data.splits import Data
from mmzoo.errors import LATE


def training_batches(data: Data, split: str, batch: int, seed: int, epochs: range, skip: int = 0) -> tf.data.Dataset:
    """Returns the training batches of several epochs, one epoch after the other, each shuffled anew.

    Args:
        data: The scanned splits.
        split: Name of the split.
        batch: Examples in a batch. The last, smaller batch of an epoch is dropped, unless it is the only one.
        seed: The order depends on it and on the number of the epoch.
        epochs: Numbers of the epochs.
        skip: Batches of the first epoch that are left out.
    """
    wanted, size = data.readable[split].copy(), data.sizes[split]
    specs = _without_row(_named(data, data.processed(split)).element_spec)
    shuffled = data.shuffled(split, wanted, seed)
    choose_values = any(data.has_several(name, spec) for name, spec in specs.items())

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        first = tf.where(number == epochs.start, tf.constant(skip * batch, tf.int64), 0)
        examples = _named(data, shuffled(number, first))
        if choose_values:
            key = tf.stack([seed, number])
            examples = examples.enumerate(first).map(
                lambda index, example: _choose_values(data, example, tf.random.fold_in(key, index))
            )
        return _still_readable(data, split, examples.batch(batch, drop_remainder=size >= batch))

    # One more epoch than needed: it is never drawn, but without it Keras warns that the data ran out.
    return tf.data.Dataset.range(epochs.start, epochs.stop + 1).flat_map(epoch).prefetch(2).with_options(NO_AUTOTUNE)


def ordered_batches(data: Data, split: str, batch: int, limit: int = -1) -> tf.data.Dataset:
    """Returns batches of a split in order, for the validation loss. Where an example has several values, the first is taken.

    Args:
        data: The scanned splits.
        split: Name of the split.
        batch: Examples in a batch.
        limit: Only the first so many examples; -1 for all.
    """
    examples = _examples(data, split).take(limit).map(lambda example: _choose_values(data, example, None))
    return _still_readable(data, split, examples.batch(batch)).prefetch(2)


def examples_of(data: Data, split: str) -> tf.data.Dataset:
    """Returns the readable processed examples of a scanned split, unbatched and in order.

    Reading them ends with an error, which `late_faults` puts in words, at an example that cannot be read any more.
    """
    return _examples(data, split).map(_stop_at_fault)


def examples_at(data: Data, split: str, numbers: np.ndarray) -> tf.data.Dataset:
    """Returns some processed examples of a scanned split, unbatched and in order, each with its number: `(number, example)`.

    One that cannot be read any more ends the reading with an error, which `late_faults` puts in words; with `on_error: skip` it
    is left out, from now on.

    Args:
        data: The scanned splits.
        split: Name of the split.
        numbers: The numbers of readable examples in the split, ascending. No others are decoded, unless the split is kept in
            memory anyway.
    """
    numbered = tf.data.Dataset.zip(tf.data.Dataset.from_tensor_slices(numbers), _examples(data, split, numbers))
    if data.plan.on_error == "stop":
        return numbered.map(lambda number, example: (number, _stop_at_fault(example)))

    def is_kept(number: tf.Tensor, example: Batch) -> tf.Tensor:
        def leave_out() -> tf.Tensor:
            what = tf.strings.join([example[ROW], ": ", example[FAULT]])
            return tf.numpy_function(partial(data.leave_out, split), [number, what], tf.bool)

        return tf.cond(example[FAULT] == "", lambda: tf.constant(True), leave_out)

    return numbered.filter(is_kept).map(lambda number, example: (number, _without_row(example)))


def _still_readable(data: Data, split: str, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Stops at an example that the scan could read and that cannot be read any more.

    With `on_error: skip` another example of the batch takes its place, so that steps and epochs stay as they are.
    """
    if data.plan.on_error == "stop":
        return batches.map(_stop_at_fault)

    def replaced(batch: Batch) -> Batch:
        readable = batch[FAULT] == ""
        note = tf.numpy_function(partial(data.note_lost, split), [batch[ROW], batch[FAULT]], [])
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_any(readable), [_late(batch)]), note]):
            rows = tf.range(tf.size(readable))
        taken = tf.where(readable, rows, tf.argmax(readable, output_type=tf.int32))
        return {name: tf.gather(value, taken) for name, value in _without_row(batch).items()}

    def kept(batch: Batch) -> Batch:
        return tf.cond(tf.reduce_all(batch[FAULT] == ""), lambda: _without_row(batch), lambda: replaced(batch))

    return batches.map(kept)


def _stop_at_fault(example: Batch) -> Batch:
    """Checks one example or a batch of them."""
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(example[FAULT] == ""), [_late(example)])]):
        return {name: tf.identity(value) for name, value in _without_row(example).items()}


def _late(example: Batch) -> tf.Tensor:
    """Returns the row and the reason of the first fault, between marks."""
    rows, faults = tf.reshape(example[ROW], [-1]), tf.reshape(example[FAULT], [-1])
    first = tf.argmax(faults != "")
    return tf.strings.join([LATE, rows[first], ": ", faults[first], LATE])


def _without_row(example: Batch) -> Batch:
    return {name: value for name, value in example.items() if name not in (ROW, FAULT)}


def _examples(data: Data, split: str, numbers: np.ndarray | None = None) -> tf.data.Dataset:
    """Returns the examples that the scan could read, or those of some numbers, with `ROW` and the `FAULT` they have now."""
    wanted = data.readable[split].copy()
    if numbers is not None:
        wanted[:] = False
        wanted[numbers] = True
    examples = data.processed(split, wanted)
    # With a known cardinality Keras does not read past the end to find it, which would count one batch too many in its means.
    return _named(data, examples.apply(tf.data.experimental.assert_cardinality(np.count_nonzero(wanted))))


def _named(data: Data, examples: tf.data.Dataset) -> tf.data.Dataset:
    """Returns processed examples with what the task reads, `ROW` and `FAULT` alone."""
    names = [*data.processors, *map(mask_of, data.plan.encoders), ROW, FAULT]
    return examples.map(lambda example: {name: example[name] for name in names})


def _choose_values(data: Data, example: Batch, seed: tf.Tensor | None) -> Batch:
    """Chooses one value of each input that has several: at random, or the first if `seed` is None."""
    return {name: _choose_value(data, name, value, seed) for name, value in example.items()}


def _choose_value(data: Data, name: str, value: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
    if name in (ROW, FAULT) or not data.has_several(name, value):
        return value
    if seed is None:
        return value[0]
    count = tf.shape(value)[0]
    chosen = tf.random.stateless_uniform([], seed, maxval=count, dtype=tf.int32)
    return value[chosen]
