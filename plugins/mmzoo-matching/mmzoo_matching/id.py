"""Ids of things -> whole numbers of which equal ones mean the same thing."""

from typing import Literal

import tensorflow as tf

from mmzoo import FeatureSpec, Processed, Processor, no_faults

NUMBERS = 2**31
"""How many numbers there are: those of int32 from 0."""


class Id(Processor):
    """Turns ids into whole numbers that say which examples show the same thing.

    Gives `(batch,)`, int32, from 0 to 2^31 - 1: equal ids give equal numbers. Texts are hashed, so different ones may give the
    same, one pair of them in 2^31; numbers from 0 to 2^31 - 1 stay as they are, others are taken modulo 2^31. An empty text is
    a fault of its row: it would make all things without an id the same.

    Args:
        of: What the field holds: `text`, or `number` (int64).
    """

    modality = "id"

    def __init__(self, *, of: Literal["text", "number"] = "text"):
        super().__init__(name="id")
        self.of = of
        self.raw = tf.TensorSpec((), tf.string if of == "text" else tf.int64)

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[], dtype="int32", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        if self.of == "number":
            return Processed(tf.cast(tf.math.floormod(raw, NUMBERS), tf.int32), no_faults(raw))
        numbers = tf.strings.to_hash_bucket_fast(raw, NUMBERS)
        return Processed(tf.cast(numbers, tf.int32), tf.where(raw == "", "this id is empty", ""))
