"""Processor: a batch of raw values -> features, in TensorFlow graph ops.

A processor reads one input. It derives from `Processor`, declares its `modality`, and defines `features` and `__call__`.
The same object preprocesses for training and for serving: it is exported inside the SavedModel.

    class Digit(Processor):
        modality = "label"

        @property
        def features(self) -> FeatureSpec:
            return FeatureSpec(shape=[], dtype="int32", vocabulary=10)

        def __call__(self, raw: tf.Tensor) -> Processed:
            good = tf.strings.regex_full_match(raw, "[0-9]")
            digit = tf.strings.to_number(tf.where(good, raw, "0"), tf.int32)
            return Processed(digit, tf.where(good, "", "this is not a digit"))
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from mmzoo.contracts.streams import FeatureSpec


class Processed(NamedTuple):
    """What a processor returns for a batch.

    Args:
        features: `(batch, ...)`.
        fault: `(batch,)` strings: why a row cannot be read; empty for a good row. The features of a faulty row are blank.
        mask: `(batch,) + features["mask"]` booleans, True for what is present. None for values without parts, such as a
            picture or a text: then a row is present unless its raw value is the empty string.
    """

    features: tf.Tensor
    fault: tf.Tensor
    mask: Any = None


class Processor(tf.Module):
    """Base class of processors: raw values of a batch -> features and, for some processors, ids -> strings.

    A subclass defines `features` and `__call__`, with graph ops that a stock TF Serving has (core TensorFlow or TF Text). It
    defines `adapt`, `save` and `load` if it learns from the data, and `decode` if a head may answer with its ids.
    """

    modality = ""
    """What it reads: `image`, `video`, `audio`, `text`, `label`, `vector`, `id`, or another word. Every processor declares one.
    Reports, baselines and the command line depend on it."""
    raw = tf.TensorSpec((), tf.string)
    """Shape and dtype of one raw value, without the batch axis; `(None,)` for a list, such as the frames of a clip."""
    from_file = False
    """Whether `mmzoo predict` takes the raw value from a file (a picture) or from the command line itself (a text)."""
    note = ""
    """A message for the user about what `adapt` learned, for example how many texts were truncated."""

    @property
    def features(self) -> FeatureSpec:
        """Describes the output of `__call__`, as far as it is known before or after `adapt`."""
        raise NotImplementedError

    def adapt(self, values: tf.data.Dataset) -> None:
        """Learns from the raw values of the training split, unbatched. The default learns nothing."""

    def __call__(self, raw: tf.Tensor) -> Processed:
        """Processes a batch of raw values, `(batch,) + raw.shape`."""
        raise NotImplementedError

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        """Decodes a head's answers to raw values: ids `(batch, length)` -> strings `(batch,)`, pixels -> PNG bytes."""
        raise NotImplementedError(f"{type(self).__name__} cannot decode answers.")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        """Turns each id into its string: `(batch, length)` -> `(batch, length)`. Padding becomes the empty string."""
        raise NotImplementedError(f"{type(self).__name__} has no tokens.")

    def save(self, folder: Path) -> None:
        """Writes what `adapt` learned to `folder`, as plain files. The default writes nothing."""

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""


def inputs_of(processors: Mapping[str, Processor], names: Iterable[str], *modalities: str) -> list[str]:
    """Lists those of the named inputs whose processor has one of the modalities."""
    return [name for name in names if processors[name].modality in modalities]


def no_faults(raw: Any) -> tf.Tensor:
    """Returns the `fault` of a batch without faults: `(batch,)` empty strings."""
    return tf.fill(tf.shape(raw)[:1], "")
