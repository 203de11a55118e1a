"""What a processor is: a raw batch -> tensors, in TensorFlow graph ops. The object that feeds `fit` is the served one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from mmzoo.streams import Features


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

    raw = tf.TensorSpec((), tf.string)
    """One raw value, without batch; `(None,)` for a list, such as the frames of a clip."""
    from_file = False
    """Whether a person gives a raw value as a file (a picture) or types it (a text): what `mmzoo predict` asks for."""
    note = ""
    """What the user should know of what `adapt` learned: how many texts were cut, say."""

    @property
    def features(self) -> Features:
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

    def pieces(self, ids: tf.Tensor) -> tf.Tensor:
        """Turns ids into their strings one by one: `(batch, length)` -> `(batch, length)`; padding gives empty strings."""
        raise NotImplementedError(f"{type(self).__name__} has no pieces.")

    def save(self, folder: Path) -> None:
        """Writes what was learned as plain files; the default learned nothing."""

    def load(self, folder: Path) -> None:
        """Reads what `save` wrote."""


def process(processor: Processor, raw: tf.Tensor) -> Processed:
    """Processes a batch of raw values, and says of each whether it is there if the processor does not."""
    done = processor(raw)
    return done if done.mask is not None else done._replace(mask=is_there(raw))


def is_there(raw: tf.Tensor) -> tf.Tensor:
    """Tells of each raw value, `(batch,)`, whether it is there: it is neither the empty string nor a list of such."""
    if raw.dtype != tf.string:
        return tf.fill(tf.shape(raw)[:1], True)
    return tf.reduce_any(raw != "", axis=list(range(1, len(raw.shape))))


def lacks(name: str, masks: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Tells of each example, `(batch,)`, whether it lacks an input while another one is there.

    Args:
        name: The input.
        masks: Of the inputs that are encoded, `(batch, ...)`, dense or ragged. An input that is not among them
            is never lacking.
    """
    there = {one: _any(mask) for one, mask in masks.items()}
    others = [one for key, one in there.items() if key != name]
    if name not in there or not others:
        return tf.constant(False)
    return ~there[name] & tf.reduce_any(tf.stack(others), axis=0)


def present(mask: Any, lacking: tf.Tensor) -> Any:
    """Says that an example which is not lacking an input has it: an empty text that stands alone is a text without words.

    Args:
        mask: What is there of each example, or of each of its several values. One of its parts stays as it is.
        lacking: `(batch,)`, or one for all.
    """
    if isinstance(mask, tf.RaggedTensor):
        one = len(mask.flat_values.shape) == 1
        return mask | ~(lacking[:, None] if len(lacking.shape) else lacking) if one else mask
    return mask | ~lacking if len(mask.shape) == 1 else mask


def _any(mask: Any) -> tf.Tensor:
    for _ in mask.shape[1:]:
        mask = tf.reduce_any(mask, axis=1)
    return mask


def fine(raw: Any) -> tf.Tensor:
    """Makes the faults of a batch in which every row is good, `(batch,)`."""
    return tf.fill(tf.shape(raw)[:1], "")


def as_text(value: Any) -> Any:
    """Gives bytes as text if they are UTF-8; anything else stays as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
