"""Precomputed vectors, such as another model's features of frames -> the same numbers, checked and masked."""

import tensorflow as tf

from mmzoo import DataError, FeatureSpec, PositiveInt, Processed, Processor
from mmzoo_video.sampling import sample_frames


class Vectors(Processor):
    """Reads precomputed vectors, such as features of a clip's frames, unchanged.

    Returns `(batch, time, dim)`, float32, and a mask `(batch, time)`, True for vectors that are present; without `time`,
    `(batch, dim)` and a mask `(batch,)`. A longer list is cut into `time` equal segments, and the middle vector of each is
    taken. A shorter one is padded with zeros.

    A raw value is a flat list of numbers, one vector after the other. A vector of zeros is missing and is masked; those at the
    end are padding. Numbers that are not finite are a fault, and so are too few or too many numbers.

    Args:
        dim: Size of a vector.
        time: Number of vectors. By default a raw value is a single vector.
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
        """Learns nothing; checks the lengths of the lists, which later are padded in batches.

        Raises:
            DataError: A length is not a multiple of `dim`.
        """
        for size in values.map(tf.size).filter(lambda size: size % self.dim != 0).take(1):
            raise DataError(f"{self.expected}, received a list of {size}.\nSet `dim` to the size of one vector.")

    def __call__(self, raw: tf.Tensor) -> Processed:
        given = tf.shape(raw)[1]
        used = tf.reduce_max(tf.where(raw == 0, 0, tf.range(1, given + 1)), axis=1, keepdims=True)
        used = tf.maximum(used[:, 0], 0)  # reduce_max of no numbers is the smallest int32
        lengths = (used + self.dim - 1) // self.dim
        # Appends a vector of zeros, which is taken where there is no vector.
        raw = tf.pad(raw, [[0, 0], [0, self.dim + (-given) % self.dim]])
        vectors = tf.reshape(raw, [-1, tf.shape(raw)[1] // self.dim, self.dim])
        numbers = sample_frames(lengths, self.time or 1)
        taken = tf.gather(vectors, tf.where(numbers < 0, tf.shape(vectors)[1] - 1, numbers), batch_dims=1)
        fault = self._fault(vectors, lengths, used, given)
        # A faulty row counts as present: the fault of an absent one may be ignored.
        present = tf.reduce_any(taken != 0, axis=2) | ((fault != "") & (lengths > 0))[:, None]
        taken = tf.where((fault == "")[:, None, None], taken, 0.0)
        return Processed(taken, fault, present) if self.time else Processed(taken[:, 0], fault, present[:, 0])

    def _fault(self, vectors: tf.Tensor, lengths: tf.Tensor, used: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        whole = lengths * self.dim <= given
        wrong_size = tf.strings.join([self.expected, ", received ", tf.strings.as_string(used)])
        fault = tf.where(whole if self.time else whole & (lengths <= 1), "", wrong_size)
        finite = tf.reduce_all(tf.math.is_finite(vectors), axis=[1, 2])
        fault = tf.where(finite, fault, "a number is not finite")
        return tf.where(lengths == 0, "there are no numbers, or only zeros", fault)
