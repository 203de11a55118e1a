"""What processors must hold."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from mmzoo.contracts.processor import Processed, Processor
from mmzoo.contracts.raw import process
from mmzoo.contracts.streams import describe
from mmzoo.testing.subject import Subject, require
from mmzoo.testing.tensors import same


def check_features(subject: Subject) -> None:
    """What it gives is what `features` says, and good values have no fault."""
    processor, raw = _adapted(subject)
    text = (
        "it declares no `modality`. Say what it reads: 'image', 'video', 'audio', 'text', 'label', 'vector', or another word."
    )
    require(processor.modality, text)
    known = processor.features
    values, fault, mask = process(processor, raw)
    count = len(subject.case.good)
    shape = (count, *known["shape"])
    text = f"`features` says {known['shape']} {known['dtype']} for one example, the batch is {describe(values)}."
    require(tuple(values.shape) == shape and values.dtype.name == known["dtype"], text)
    require(
        fault.dtype == tf.string and tuple(fault.shape) == (count,), f"`fault` must be (batch,) strings, is {describe(fault)}."
    )
    parts = (count, *known.get("mask", []))
    text = f"the mask must be {parts} bool, as `features` says, is {describe(mask)}."
    require(mask.dtype == tf.bool and tuple(mask.shape) == parts, text)
    require(not any(fault.numpy()), f"it finds fault with good values: {[reason.decode() for reason in fault.numpy()]}.")
    if known["vocabulary"] is not None:
        low, high = int(tf.reduce_min(values)), int(tf.reduce_max(values))
        require(low >= 0 and high < known["vocabulary"], f"ids are {low} to {high}; the vocabulary has {known['vocabulary']}.")


def check_paths(subject: Subject) -> None:
    """Gives the same called eagerly, in tf.data, in a tf.function, and row by row."""
    processor, raw = _adapted(subject)
    eager = process(processor, raw)._asdict()
    data = next(iter(tf.data.Dataset.from_tensors(raw).map(lambda batch: process(processor, batch)._asdict())))
    same(eager, data, "{name} is another in tf.data. Use TensorFlow ops alone.", tolerance=0)
    spec = tf.TensorSpec((None, *processor.raw.shape), processor.raw.dtype)
    graph = tf.function(lambda batch: process(processor, batch)._asdict(), input_signature=[spec], autograph=False)(raw)
    same(eager, graph, "{name} is another in a tf.function. Use TensorFlow ops alone.", tolerance=0)
    alone = [process(processor, raw[row : row + 1])._asdict() for row in range(len(subject.case.good))]
    joined = {name: tf.concat([one[name] for one in alone], 0) for name in eager}
    same(eager, joined, "{name} of a row depends on the other rows of its batch.", tolerance=0)


def check_saved(subject: Subject) -> None:
    """`save` and `load` keep all that it learned."""
    processor, raw = _adapted(subject)
    again = subject.bound.make()
    with tempfile.TemporaryDirectory() as folder:
        processor.save(Path(folder))
        again.load(Path(folder))
    require(again.features == processor.features, f"`features` is {again.features} after load, was {processor.features}.")
    before, after = process(processor, raw)._asdict(), process(again, raw)._asdict()
    same(before, after, "{name} is another after save and load.", tolerance=0)


def check_faults(subject: Subject) -> None:
    """A value that cannot be read fails its own row alone."""
    processor, raw = _adapted(subject)
    good = process(processor, raw)
    for number, bad in enumerate(subject.case.bad):
        values, fault, mask = process(processor, _raw(processor, [*subject.case.good, bad]))
        require(fault[-1] != "", f"bad[{number}] has no fault. Say in `fault` why it cannot be read.")
        text = f"{{name}} of good rows changes when bad[{number}] is among them."
        same(good._asdict(), Processed(values[:-1], fault[:-1], mask[:-1])._asdict(), text, tolerance=0)


def check_decoded(subject: Subject) -> None:
    """What `decode` gives reads back as the same features; one that does not decode says so."""
    processor, raw = _adapted(subject)
    values = processor(raw).features
    try:
        decoded = tf.function(processor.decode, autograph=False)(values)
    except NotImplementedError:
        return
    right = decoded.dtype == processor.raw.dtype and len(decoded.shape) == 1 and decoded.shape[0] in (None, len(values))
    require(right, f"`decode` must give (batch,) {processor.raw.dtype.name}, received {describe(decoded)}.")
    if subject.case.exact:
        same(values, processor(decoded).features, "what `decode` gives reads as other features.", tolerance=0)


def _adapted(subject: Subject) -> tuple[Any, tf.Tensor]:
    processor = subject.bound.make()
    require(isinstance(processor, Processor), f"it must be a mmzoo.Processor, is a {type(processor).__name__}.")
    raw = _raw(processor, subject.case.good)
    processor.adapt(tf.data.Dataset.from_tensor_slices(raw))
    return processor, raw


def _raw(processor: Processor, values: Sequence[Any]) -> tf.Tensor:
    if len(processor.raw.shape) == 0:
        return tf.constant(list(values), processor.raw.dtype)
    return tf.ragged.constant([list(value) for value in values], processor.raw.dtype).to_tensor()
