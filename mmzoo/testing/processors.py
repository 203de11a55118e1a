"""The properties of processors."""

import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import tensorflow as tf

from mmzoo.contracts.processor import Processed, Processor
from mmzoo.contracts.raw import process
from mmzoo.contracts.streams import describe
from mmzoo.testing.subject import Subject, require, shared
from mmzoo.testing.tensors import same


class Trial:
    """An adapted processor and its results for the good values. All properties share one, since tracing is slow.

    Args:
        processor: The processor, which has learned from `raw`.
        raw: The good values of the case, a batch.
    """

    def __init__(self, processor: Processor, raw: tf.Tensor):
        self.processor, self.raw = processor, raw

    @cached_property
    def eager(self) -> Processed:
        """Result of an eager call on the good values."""
        return process(self.processor, self.raw)

    @cached_property
    def graph(self) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """The processor as one `tf.function` for batches of any size."""
        spec = tf.TensorSpec((None, *self.processor.raw.shape), self.processor.raw.dtype)
        return cast(Any, tf.function(self.named, input_signature=[spec], autograph=False))

    def named(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        """Processes a batch; returns the parts of the result by name."""
        return process(self.processor, batch)._asdict()


def check_features(subject: Subject) -> None:
    """The result agrees with `features`, and good values have no fault."""
    trial = _trial(subject)
    processor = trial.processor
    text = (
        "it declares no `modality`. Say what it reads: 'image', 'video', 'audio', 'text', 'label', 'vector', or another word."
    )
    require(processor.modality, text)
    known = processor.features
    values, fault, mask = trial.eager
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
    """Eager calls, tf.data, a tf.function and single rows give the same result."""
    trial = _trial(subject)
    raw, eager = trial.raw, trial.eager._asdict()
    data = next(iter(tf.data.Dataset.from_tensors(raw).map(tf.autograph.experimental.do_not_convert(trial.named))))
    same(eager, data, "{name} is another in tf.data. Use TensorFlow ops alone.", tolerance=0)
    same(eager, trial.graph(raw), "{name} is another in a tf.function. Use TensorFlow ops alone.", tolerance=0)
    alone = [trial.graph(raw[row : row + 1]) for row in range(len(subject.case.good))]
    joined = {name: tf.concat([one[name] for one in alone], 0) for name in eager}
    same(eager, joined, "{name} of a row depends on the other rows of its batch.", tolerance=0)


def check_saved(subject: Subject) -> None:
    """`save` and `load` keep everything that it learned."""
    trial = _trial(subject)
    processor, again = trial.processor, subject.bound.make()
    with tempfile.TemporaryDirectory() as folder:
        processor.save(Path(folder))
        again.load(Path(folder))
    require(again.features == processor.features, f"`features` is {again.features} after load, was {processor.features}.")
    same(trial.eager._asdict(), process(again, trial.raw)._asdict(), "{name} is another after save and load.", tolerance=0)


def check_faults(subject: Subject) -> None:
    """A value that cannot be read has a fault and changes no other row."""
    trial = _trial(subject)
    good = trial.eager._asdict()
    for number, bad in enumerate(subject.case.bad):
        found = trial.graph(_raw(trial.processor, [*subject.case.good, bad]))
        require(found["fault"][-1] != "", f"bad[{number}] has no fault. Say in `fault` why it cannot be read.")
        text = f"{{name}} of good rows changes when bad[{number}] is among them."
        same(good, {name: value[:-1] for name, value in found.items()}, text, tolerance=0)


def check_decoded(subject: Subject) -> None:
    """Decoded values read back as the same features. A processor that cannot decode raises NotImplementedError."""
    trial = _trial(subject)
    processor, values = trial.processor, trial.eager.features
    try:
        decoded = tf.function(processor.decode, autograph=False)(values)
    except NotImplementedError:
        return
    right = decoded.dtype == processor.raw.dtype and len(decoded.shape) == 1 and decoded.shape[0] in (None, len(values))
    require(right, f"`decode` must give (batch,) {processor.raw.dtype.name}, received {describe(decoded)}.")
    if subject.case.exact:
        same(values, trial.graph(decoded)["features"], "what `decode` gives reads as other features.", tolerance=0)


@shared
def _trial(subject: Subject) -> Trial:
    processor = subject.bound.make()
    require(isinstance(processor, Processor), f"it must be a mmzoo.Processor, is a {type(processor).__name__}.")
    raw = _raw(processor, subject.case.good)
    processor.adapt(tf.data.Dataset.from_tensor_slices(raw))
    return Trial(processor, raw)


def _raw(processor: Processor, values: Sequence[Any]) -> tf.Tensor:
    if len(processor.raw.shape) == 0:
        return tf.constant(list(values), processor.raw.dtype)
    return tf.ragged.constant([list(value) for value in values], processor.raw.dtype).to_tensor()
