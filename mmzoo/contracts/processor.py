"""What a processor is: a raw batch -> tensors, in TensorFlow graph ops. The object that feeds `fit` is the served one."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from mmzoo.contracts.streams import FeatureSpec


class Processed(NamedTuple):
    """What a processor gives for a batch.

    Args:
        features: `(batch, ...)`.
        fault: `(batch,)` strings: why a row cannot be read, empty for a good one. A faulty row's features are blank.
        mask: `(batch,) + features["mask"]`, True for what is there. None for a processor that knows no parts: what is not the
            empty string is there.
    """

    features: tf.Tensor
    fault: tf.Tensor
    mask: Any = None


class Processor(tf.Module):
    """Reads one input: raw values of a batch -> features, and, where it can, ids back to strings.

    A subclass gives `features` and `__call__`, written in graph ops that a stock TF Serving has (core TensorFlow or TF Text);
    `adapt`, `save` and `load` if it learns from the data; `decode` if a head may answer in its ids.
    """

    modality = ""
    """What it reads: `image`, `video`, `audio`, `text`, `label`, `vector`, `id`, or a word of its own. Reports, baselines and
    the command line go by it. Every processor declares one."""
    raw = tf.TensorSpec((), tf.string)
    """One raw value, without batch; `(None,)` for a list, such as the frames of a clip."""
    from_file = False
    """Whether a person gives a raw value as a file (a picture) or types it (a text): what `mmzoo predict` asks for."""
    note = ""
    """What the user should know of what `adapt` learned: how many texts were cut, say."""

    @property
    def features(self) -> FeatureSpec:
        """What `__call__` gives, as far as it is known by now."""
        raise NotImplementedError

    def adapt(self, values: tf.data.Dataset) -> None:
        """Learns from the raw values of the training split, unbatched; the default learns nothing."""

    def __call__(self, raw: tf.Tensor) -> Processed:
        """Processes a batch of raw values, `(batch,) + raw.shape`."""
        raise NotImplementedError

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        """Turns a head's answers into raw values: ids `(batch, length)` -> strings `(batch,)`, pixels -> PNG bytes."""
        raise NotImplementedError(f"{type(self).__name__} cannot decode answers.")

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        """Turns ids into their strings one by one: `(batch, length)` -> `(batch, length)`; padding gives empty strings."""
        raise NotImplementedError(f"{type(self).__name__} has no tokens.")

    def save(self, folder: Path) -> None:
        """Writes what was learned as plain files; the default learned nothing."""

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""


def inputs_of(processors: Mapping[str, Processor], names: Iterable[str], *modalities: str) -> list[str]:
    """Lists those of some inputs that are of one of the modalities."""
    return [name for name in names if processors[name].modality in modalities]


def no_faults(raw: Any) -> tf.Tensor:
    """Makes the faults of a batch in which every row is good, `(batch,)`."""
    return tf.fill(tf.shape(raw)[:1], "")
