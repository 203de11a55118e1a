"""Raw values of a batch: which are absent or faulty, the same for training and for serving; and raw values as plain Python."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.contracts.processor import Processed, Processor

ABSENT = "there is nothing; say `optional: true` of the input if examples may lack it"
"""The fault of an example that lacks an input which is not optional."""


def process(processor: Processor, raw: tf.Tensor) -> Processed:
    """Processes a batch of raw values. Where the processor gives no mask, every value but the empty string is present."""
    done = processor(raw)
    return done if done.mask is not None else done._replace(mask=_is_present(raw))


def _is_present(raw: tf.Tensor) -> tf.Tensor:
    """Returns which raw values are present, `(batch,)`: those that are neither the empty string nor a list of such."""
    if raw.dtype != tf.string:
        return tf.fill(tf.shape(raw)[:1], True)
    return tf.reduce_any(raw != "", axis=list(range(1, len(raw.shape))))


def process_one_or_several(processor: Processor, raw: Any) -> Processed:
    """Processes a batch whose examples hold one raw value each, or several; the faults of several are their example's.

    Args:
        processor: Reads one value.
        raw: `(batch,) + processor.raw.shape`, or with one more axis, ragged or not, for several values.

    Returns:
        Features and mask of each value, ragged for several; a fault of each example, `(batch,)`.
    """
    rank = len(processor.raw.shape) + 1
    if len(raw.shape) == rank:
        return process(processor, first_values(raw, rank))
    raw = raw if isinstance(raw, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(raw)
    none = raw.row_lengths() == 0
    if rank == 1:  # one of several values is chosen, so an example that may lack them all has one that is empty
        blank = tf.RaggedTensor.from_row_lengths(tf.zeros(tf.math.count_nonzero(none), raw.dtype), tf.cast(none, tf.int64))
        raw = tf.concat([raw, blank], axis=1)
    features, fault, mask = process(processor, raw.flat_values)
    reason = tf.strings.strip(tf.strings.reduce_join(raw.with_flat_values(fault), axis=1, separator=" "))
    return Processed(raw.with_flat_values(features), tf.where(none, "there is no value", reason), raw.with_flat_values(mask))


def join_inputs(
    done: Mapping[str, Processed], may_lack: Iterable[str], required: Container[str] = ()
) -> tuple[dict[str, Any], tf.Tensor]:
    """Joins the processed inputs of a batch: what is present of each, and why an example cannot be read.

    An example lacks an input if nothing of it is present while something of another is. An empty text that stands alone is
    not absent: it is a text without words.

    Args:
        done: What the processors gave, by input.
        may_lack: The inputs that an example may lack; the others are needed whatever is present.
        required: Those that may be lacking in principle but not in this batch: lacking one is a fault.

    Returns:
        The mask of each input, True for what is present; and the reasons, `(batch,)` strings, empty for good examples.
    """
    spared = set(may_lack)
    masks = {name: one.mask for name, one in done.items() if name in spared}
    present, reasons = {}, []
    for name, one in done.items():
        lacking = _lacks(name, masks)
        said = tf.where(one.fault == "", ABSENT, one.fault) if name in required else ""
        fault = tf.where(lacking, said, one.fault)
        reasons.append(tf.where(fault == "", "", tf.strings.join([name, ": ", fault])))
        if name in masks:
            present[name] = _present_unless(lacking, one.mask)
    return present, tf.strings.strip(tf.strings.join(reasons, separator=" "))


def _lacks(name: str, masks: Mapping[str, Any]) -> tf.Tensor:
    """Returns which examples, `(batch,)`, lack an input while another one is present; none for an input without a mask."""
    there = {one: _any(mask) for one, mask in masks.items()}
    others = [one for key, one in there.items() if key != name]
    if name not in there or not others:
        return tf.constant(False)
    return ~there[name] & tf.reduce_any(tf.stack(others), axis=0)


def _present_unless(lacking: tf.Tensor, mask: Any) -> Any:
    """Marks an input as present in the examples that do not lack it; the mask of its parts, as of frames, stays as it is."""
    if isinstance(mask, tf.RaggedTensor):
        one = len(mask.flat_values.shape) == 1
        return mask | ~(lacking[:, None] if len(lacking.shape) else lacking) if one else mask
    return mask | ~lacking if len(mask.shape) == 1 else mask


def _any(mask: Any) -> tf.Tensor:
    for _ in mask.shape[1:]:
        mask = tf.reduce_any(mask, axis=1)
    return mask


def as_text(value: Any) -> Any:
    """Gives bytes as text if they are UTF-8; anything else stays as it is."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def first_values(values: Any, rank: int) -> tf.Tensor:
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


def plain(value: Any) -> Any:
    """Gives one example's output as text, a number or an array; bytes that are no text stay bytes."""
    if getattr(value, "dtype", None) == np.object_:
        return [plain(one) for one in value]
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else as_text(value)
