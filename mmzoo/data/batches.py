"""Batches of processed examples: shuffled for training, in order for a held-out loss.

The order of the examples, and which of several captions an epoch sees, follow from the seed and the number of the epoch
alone; so a resumed training sees what an unbroken one would have seen.
"""

import tensorflow as tf

from mmzoo.contracts.dataset import FAULT
from mmzoo.contracts.streams import mask_of
from mmzoo.data.splits import MEMORY, UNTUNED, Batch, Data

SHUFFLE = 50_000
"""Examples among which the next one is drawn, if so many fit; a smaller split is shuffled as a whole."""


def training_batches(data: Data, split: str, batch: int, seed: int, epochs: range) -> tf.data.Dataset:
    """Gives the training batches of some epochs one after the other, each shuffled anew.

    Args:
        data: Scanned.
        split: Which split.
        batch: Examples in a batch; an epoch's last, smaller batch is left out, unless it is the only one.
        seed: What the order follows from, with the epoch's number.
        epochs: Numbers of the epochs.
    """
    examples, size, among = examples_of(data, split), data.sizes[split], min(SHUFFLE, MEMORY // data.bytes_each(split))
    several = any(data.has_several(name, spec) for name, spec in examples.element_spec.items())

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        shuffled = examples.shuffle(max(1, min(size, among)), seed=number + 1000 * seed, reshuffle_each_iteration=False)
        if several:
            key = tf.stack([seed, number])
            shuffled = shuffled.enumerate().map(lambda at, example: _choose(data, example, tf.random.fold_in(key, at)))
        return shuffled.batch(batch, drop_remainder=size >= batch)

    # One epoch more than asked for is never drawn, but keeps Keras from believing that the data ran out.
    return tf.data.Dataset.range(epochs.start, epochs.stop + 1).flat_map(epoch).prefetch(2).with_options(UNTUNED)


def ordered_batches(data: Data, split: str, batch: int, most: int = -1) -> tf.data.Dataset:
    """Gives batches of a split's first examples in order, for a held-out loss; the first of several values counts."""
    return examples_of(data, split).take(most).map(lambda example: _choose(data, example, None)).batch(batch).prefetch(2)


def examples_of(data: Data, split: str) -> tf.data.Dataset:
    """Gives the readable processed examples, unbatched and in order."""
    readable = data.processed(split)
    if data.faults[split]:
        readable = readable.filter(lambda example: example[FAULT] == "")
    # Told the number, Keras does not read past the end to find it, which would count one batch too many in its means.
    counted = readable.apply(tf.data.experimental.assert_cardinality(data.sizes[split]))
    named = [*data.processors, *map(mask_of, data.plan.encoders)]
    return counted.map(lambda example: {name: example[name] for name in named})


def _choose(data: Data, example: Batch, seed: tf.Tensor | None) -> Batch:
    """Takes one of the values where an example has several: at random, or the first."""
    return {name: _one(data, name, value, seed) for name, value in example.items()}


def _one(data: Data, name: str, value: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
    if not data.has_several(name, value):
        return value
    if seed is None:
        return value[0]
    count = tf.shape(value)[0]
    chosen = tf.random.stateless_uniform([], seed, maxval=count, dtype=tf.int32)
    return value[chosen]
