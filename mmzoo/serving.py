"""The served answer: processors -> task -> answers, as graph functions of raw batches. What is evaluated is exported."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from mmzoo.processing import Processor
from mmzoo.task import Signature, Task


class Served(tf.Module):
    """A task with its processors, as TF Serving will run it. TensorFlow backend only.

    Every output's first axis is the batch. Beside the head's answers each signature gives `ok`, `(batch,)` bool, and
    `reason`, `(batch,)` strings: why a row's input cannot be read, empty for a good one; such a row's answer means nothing
    and the other rows are not touched by it.

    Args:
        task: Built.
        processors: Adapted.
    """

    def __init__(self, task: Task, processors: Mapping[str, Processor]):
        super().__init__(name="served")
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError("a task is served by the TensorFlow backend; reopen its run there")
        self.task_variables = [variable.value for variable in task.variables]
        self.processors = dict(processors)
        self.answers = task.signatures()
        self.functions = {name: self._function(task, signature) for name, signature in self.answers.items()}

    @property
    def default(self) -> str:
        """The name of the signature that is evaluated and served by default."""
        return next(iter(self.answers))

    def spec(self, name: str) -> tf.TensorSpec:
        """Gives the batched spec of an input's raw values."""
        raw = self.processors[name].raw
        return tf.TensorSpec((None, *raw.shape), raw.dtype, name=name)

    def _function(self, task: Task, signature: Signature) -> Any:
        # The head is kept out of the module: its Keras objects are no part of what is saved.
        processors = {name: self.processors[name] for name in self.processors}

        def answer(*raw: tf.Tensor) -> dict[str, tf.Tensor]:
            features, reason = _process(processors, dict(zip(signature.inputs, raw, strict=True)))
            with tf.name_scope("task"):
                outputs = signature.answer(task.streams(features))
            with tf.name_scope("answer"):
                return _decoded(outputs, signature, processors) | {"ok": reason == "", "reason": reason}

        return tf.function(answer, input_signature=[self.spec(name) for name in signature.inputs], autograph=False)


def _process(processors: Mapping[str, Processor], raw: Mapping[str, tf.Tensor]) -> tuple[dict[str, Any], tf.Tensor]:
    features, faults = {}, []
    for name, values in raw.items():
        with tf.name_scope(f"input_{name}"):
            features[name], fault = processors[name](values)
            faults.append(tf.where(fault == "", "", tf.strings.join([name, ": ", fault])))
    return features, tf.strings.strip(tf.strings.join(faults, separator=" "))


def _decoded(outputs: Mapping[str, Any], signature: Signature, processors: Mapping[str, Processor]) -> dict[str, tf.Tensor]:
    decoded = {}
    for name, value in outputs.items():
        if name in signature.decode:
            value = processors[signature.decode[name]].decode(value)
        elif name in signature.pieces:
            value = processors[signature.pieces[name]].pieces(value)
        # The server's JSON knows neither half nor bfloat16.
        decoded[name] = tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else tf.identity(value)
    return decoded
