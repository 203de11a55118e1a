"""Vectors that are given, such as features of frames that another model saw -> the same numbers, checked and masked."""

import tensorflow as tf

from mmzoo import DataError, FeatureSpec, PositiveInt, Processed, Processor
from mmzoo_video.sampling import chosen_places


class Vectors(Processor):
    """Takes given vectors, such as features of a clip's frames, as they are.

    Gives `(batch, time, dim)`, float32, and a mask `(batch, time)` of the vectors that are there; without `time`
    `(batch, dim)` and a mask `(batch,)`. More vectors than `time` are cut into as many equal segments, and the middle one of
    each is taken; fewer are followed by zeros.

    A raw value is a list of numbers, one vector after the other. A vector of zeros is a missing one, and masked; those at the
    end are padding. A number that is not finite is a fault, and so are too few or too many numbers.

    Args:
        dim: Numbers of a vector.
        time: How many vectors are taken; a raw value is one vector if not given.
    """

    modality = "vector"
    raw = tf.TensorSpec((None,), tf.float32)

    def __init__(self, *, dim: PositiveInt, time: PositiveInt | None = None):
        super().__init__(name="vectors")
        self.dim, self.time = dim, time
        self.expected = f"expected {dim} numbers" if time is None else f"expected vectors of {dim} numbers"

    @property
    def features(self) -> FeatureSpec:
        if self.time is None:
            return FeatureSpec(shape=[self.dim], dtype="float32", vocabulary=None)
        return FeatureSpec(shape=[self.time, self.dim], dtype="float32", vocabulary=None, mask=[self.time])

    def adapt(self, values: tf.data.Dataset) -> None:
        """Learns nothing, but sees how long lists are before a batch pads them.

        Raises:
            DataError: One cannot be cut into vectors.
        """
        for size in values.map(tf.size).filter(lambda size: size % self.dim != 0).take(1):
            raise DataError(f"{self.expected}, received a list of {size}.\nGive `dim` the numbers of one vector.")

    def __call__(self, raw: tf.Tensor) -> Processed:
        given = tf.shape(raw)[1]
        used = tf.reduce_max(tf.where(raw == 0, 0, tf.range(1, given + 1)), axis=1, keepdims=True)
        used = tf.maximum(used[:, 0], 0)  # of no numbers the largest is the least there is
        lengths = (used + self.dim - 1) // self.dim
        # One vector more stands for none.
        raw = tf.pad(raw, [[0, 0], [0, self.dim + (-given) % self.dim]])
        vectors = tf.reshape(raw, [-1, tf.shape(raw)[1] // self.dim, self.dim])
        places = chosen_places(lengths, self.time or 1)
        taken = tf.gather(vectors, tf.where(places < 0, tf.shape(vectors)[1] - 1, places), batch_dims=1)
        fault = self._fault(vectors, lengths, used, given)
        # What is wrong is not absent, so that its fault is not passed over.
        there = tf.reduce_any(taken != 0, axis=2) | ((fault != "") & (lengths > 0))[:, None]
        taken = tf.where((fault == "")[:, None, None], taken, 0.0)
        return Processed(taken, fault, there) if self.time else Processed(taken[:, 0], fault, there[:, 0])

    def _fault(self, vectors: tf.Tensor, lengths: tf.Tensor, used: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        whole = lengths * self.dim <= given
        wrong = tf.strings.join([self.expected, ", received ", tf.strings.as_string(used)])
        fault = tf.where(whole if self.time else whole & (lengths <= 1), "", wrong)
        finite = tf.reduce_all(tf.math.is_finite(vectors), axis=[1, 2])
        fault = tf.where(finite, fault, "a number is not finite")
        return tf.where(lengths == 0, "there is no number but zeros", fault)
