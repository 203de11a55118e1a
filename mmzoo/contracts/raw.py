"""Raw values of a batch: which are absent or faulty, by one code for training and serving; and as plain Python values."""

from collections.abc import Container, Iterable, Mapping
from typing import Any
from unicodedata import normalize

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import FAULT, fault_of
from mmzoo.contracts.processor import Processed, Processor

ABSENT = "the value is missing; set `optional: true` on this input if examples may lack it"
"""The fault of an example without a value for an input that is not optional."""


def fault_in(example: Mapping[str, tf.Tensor], fields: Iterable[str]) -> tf.Tensor:
    """Returns why a data set says that an example or one of these fields cannot be read, `()`; the first reason, or empty."""
    fault = example.get(FAULT, tf.constant(""))
    for key in map(fault_of, fields):
        if key in example:
            fault = tf.where(fault == "", example[key], fault)
    return fault


def process(processor: Processor, raw: tf.Tensor) -> Processed:
    """Processes a batch of raw values. If the processor returns no mask, every value but the empty string is present."""
    processed = processor(raw)
    return processed if processed.mask is not None else processed._replace(mask=_is_present(raw))


def _is_present(raw: tf.Tensor) -> tf.Tensor:
    """Returns which raw values are present, `(batch,)`: all but the empty string and lists of empty strings."""
    if raw.dtype != tf.string:
        return tf.fill(tf.shape(raw)[:1], True)
    return tf.reduce_any(raw != "", axis=list(range(1, len(raw.shape))))


def process_one_or_several(processor: Processor, raw: Any) -> Processed:
    """Processes a batch whose examples hold one raw value each, or several values each.

    Args:
        processor: The processor; it reads one value.
        raw: `(batch,) + processor.raw.shape`; for several values per example with one more axis after the batch, ragged or not.

    Returns:
        Features and mask of each value, ragged for several values per example; and one fault per example, `(batch,)`.
    """
    rank = len(processor.raw.shape) + 1
    if len(raw.shape) == rank:
        return process(processor, first_values(raw, rank))
    raw = raw if isinstance(raw, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(raw)
    empty = raw.row_lengths() == 0
    if rank == 1:  # training chooses one of the values, so an example without values gets an empty one
        blank = tf.RaggedTensor.from_row_lengths(tf.zeros(tf.math.count_nonzero(empty), raw.dtype), tf.cast(empty, tf.int64))
        raw = tf.concat([raw, blank], axis=1)
    features, fault, mask = process(processor, raw.flat_values)
    reason = tf.strings.strip(tf.strings.reduce_join(raw.with_flat_values(fault), axis=1, separator=" "))
    return Processed(raw.with_flat_values(features), tf.where(empty, "there is no value", reason), raw.with_flat_values(mask))


def join_inputs(
    processed: Mapping[str, Processed], may_lack: Iterable[str], required: Container[str] = ()
) -> tuple[dict[str, Any], tf.Tensor]:
    """Combines the processed inputs of a batch: what is present of each, and why an example cannot be read.

    An input is *absent* where its value is empty. It is *missing* where it is absent while another one is present. If all are
    absent, none is missing: an empty text on its own is a text without words.

    Args:
        processed: The outputs of the processors, by input.
        may_lack: Inputs whose absence the model tolerates. The absence of any other is for its processor to judge.
        required: Those of `may_lack` that these data must have all the same: a missing one is a fault.

    Returns:
        The mask of each input in `may_lack`, True for what is present; and the reasons, `(batch,)` strings, empty for good
        examples.
    """
    names = set(may_lack)
    masks = {name: values.mask for name, values in processed.items() if name in names}
    present, reasons = {}, []
    for name, values in processed.items():
        missing = _is_missing(name, masks)
        reason = tf.where(values.fault == "", ABSENT, values.fault) if name in required else ""
        fault = tf.where(missing, reason, values.fault)
        reasons.append(tf.where(fault == "", "", tf.strings.join([name, ": ", fault])))
        if name in masks:
            present[name] = _present_unless(missing, values.mask)
    return present, tf.strings.strip(tf.strings.join(reasons, separator=" "))


def _is_missing(name: str, masks: Mapping[str, Any]) -> tf.Tensor:
    """Returns which examples, `(batch,)`, lack an input while another one is present; none for an input without a mask."""
    present = {key: _any_part(mask) for key, mask in masks.items()}
    others = [value for key, value in present.items() if key != name]
    if name not in present or not others:
        return tf.constant(False)
    return ~present[name] & tf.reduce_any(tf.stack(others), axis=0)


def _present_unless(missing: tf.Tensor, mask: Any) -> Any:
    """Marks an input as present in the examples that do not lack it. A mask of parts, such as frames, stays as it is."""
    if isinstance(mask, tf.RaggedTensor):
        has_no_parts = len(mask.flat_values.shape) == 1
        return mask | ~(missing[:, None] if len(missing.shape) else missing) if has_no_parts else mask
    return mask | ~missing if len(mask.shape) == 1 else mask


def _any_part(mask: Any) -> tf.Tensor:
    for _ in mask.shape[1:]:
        mask = tf.reduce_any(mask, axis=1)
    return mask


def as_text(value: Any) -> Any:
    """Decodes bytes that are UTF-8 text, to normal form C as processors do; returns anything else unchanged."""
    try:
        return normalize("NFC", value.decode()) if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def first_values(values: Any, rank: int) -> tf.Tensor:
    """Returns a batch of raw values as the served model takes it: the first of several values, lists padded with empty values.

    Args:
        values: One input's values in a batch of `Data.raw_batches`.
        rank: Rank of a batch with one value per example.
    """
    if len(values.shape) > rank:
        values = values[:, :1]
        return (values.to_tensor(shape=[None, 1]) if isinstance(values, tf.RaggedTensor) else values)[:, 0]
    return values.to_tensor() if isinstance(values, tf.RaggedTensor) else values


def plain_rows(batch: Any) -> list[list[Any]]:
    """Converts each example of a batch of raw values, dense or ragged, by `plain_values`."""
    return [plain_values(row) for row in batch.numpy()]


def plain_values(value: Any) -> list[Any]:
    """Converts one or several raw values, a tensor or an array, to a list; bytes that are UTF-8 become `str`."""
    values = value.numpy() if isinstance(value, tf.Tensor) else value
    values = values.tolist() if getattr(values, "shape", ()) else [values]
    return list(map(as_text, values))


def plain(value: Any) -> Any:
    """Converts one example's output to text, a number, a list or an array; bytes that are not UTF-8 stay bytes."""
    if getattr(value, "dtype", None) == np.object_:
        return [plain(element) for element in value]
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else as_text(value)
