"""Ids -> integers; equal integers mark examples that show the same thing."""

from typing import Literal

import tensorflow as tf

from mmzoo import FeatureSpec, Processed, Processor, no_faults

NUMBERS = 2**31
"""The number of integers from 0 to the largest int32."""


class Id(Processor):
    """Turns ids into integers; equal ones mark examples that show the same thing.

    Returns `(batch,)`, int32, from 0 to 2^31 - 1; equal ids have equal integers. Texts are hashed: two different texts have the
    same integer with probability 2^-31. Numbers from 0 to 2^31 - 1 stay as they are, others are taken modulo 2^31. An empty
    text is a fault of its row, since all rows without an id would count as the same thing.

    Args:
        of: The type of the field: `text`, or `number` (int64).
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
