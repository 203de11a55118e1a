"""The served answer: processors -> task -> answers, as graph functions of raw batches. What is evaluated is exported."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mmzoo.contracts.head import Signature
from mmzoo.contracts.processor import Processed, Processor
from mmzoo.contracts.raw import join_inputs, process
from mmzoo.contracts.streams import mask_of
from mmzoo.modeling.task import Task
from mmzoo.serving.entries import Entries


class Served(tf.Module):
    """A task with its processors, as TF Serving will run it. TensorFlow backend only.

    Every output's first axis is the batch. Beside the head's answers each signature gives `ok`, `(batch,)` bool, and
    `reason`, `(batch,)` strings: why a row's input cannot be read, empty for a good one; such a row's answer means nothing
    and the other rows are not touched by it.

    Args:
        task: Built.
        processors: Adapted.
        entries: What its head searches; without them there are no signatures that search.
    """

    def __init__(self, task: Task, processors: Mapping[str, Processor], entries: Entries | None = None):
        super().__init__(name="served")
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError("a task is served by the TensorFlow backend; reopen its run there")
        self.task_variables = [variable.value for variable in task.variables]
        self.processors = dict(processors)
        self.gallery = task.head.gallery
        self.aliases = dict(task.head.aliases)
        self.searched = _Searched(entries) if entries is not None else None
        found = task.signatures().items()
        self.answers = {name: one for name, one in found if not one.gallery or self.searched is not None}
        self.functions = {name: self._function(task, signature) for name, signature in self.answers.items()}

    @property
    def default(self) -> str:
        """The name of the signature that is evaluated and served by default."""
        return next(iter(self.answers))

    def spec(self, name: str) -> tf.TensorSpec:
        """Gives the batched spec of an input's raw values."""
        raw = self.processors[name].raw
        return tf.TensorSpec((None, *raw.shape), raw.dtype, name=name)

    def specs(self, signature: str) -> list[tf.TensorSpec]:
        """Gives the batched specs of what a signature takes, in order."""
        return _specs(self, self.answers[signature])

    def outputs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Gives the batched specs of what a signature answers."""
        return dict(self.functions[signature].get_concrete_function().structured_outputs)

    def predict(self, signature: str, *raw: Iterable[Any]) -> dict[str, np.ndarray]:
        """Answers a batch: raw values for each input of the signature, in order -> output name -> array."""
        outputs = self.functions[signature](*map(tf.constant, raw))
        return {name: value.numpy() for name, value in outputs.items()}

    def _function(self, task: Task, signature: Signature) -> Any:
        # The head is kept out of the module: its Keras objects are no part of what is saved.
        processors, searched = dict(self.processors), self.searched

        def outputs(streams: Mapping[str, Any]) -> dict[str, Any]:
            if searched is None or not signature.gallery:
                return dict(signature.answer(streams))
            found = signature.answer(streams, searched.embeddings.read_value())
            return searched.at(found.pop(signature.gallery)) | found

        def answer(*raw: tf.Tensor) -> dict[str, tf.Tensor]:
            given = dict(zip(signature.inputs, raw, strict=True))
            features, reason = _process(processors, signature, given)
            with tf.name_scope("task"):
                answered = outputs(task.streams(features, apart=signature.reads.values()))
            with tf.name_scope("answer"):
                return _decoded(answered, signature, processors) | {"ok": reason == "", "reason": reason}

        return tf.function(answer, input_signature=_specs(self, signature), autograph=False)


class _Searched(tf.Module):
    """A gallery inside the served model: variables, which no limit of a graph's size holds for."""

    def __init__(self, entries: Entries):
        super().__init__(name="gallery")
        self.embeddings = tf.Variable(entries.embeddings, trainable=False, name="embeddings")
        self.texts = {name: tf.Variable(texts, trainable=False) for name, texts in entries.texts.items()}

    def at(self, places: tf.Tensor) -> dict[str, tf.Tensor]:
        """Gives what stands at places `(batch, top_k)`: by name, strings of that shape."""
        return {name: tf.gather(texts, places) for name, texts in self.texts.items()}


def _specs(served: Served, signature: Signature) -> list[tf.TensorSpec]:
    return [
        _several(served.spec(signature.reads[one]), one) if one in signature.reads else served.spec(one)
        for one in signature.inputs
    ]


def _several(spec: tf.TensorSpec, name: str) -> tf.TensorSpec:
    return tf.TensorSpec((None, None, *spec.shape[1:]), spec.dtype, name=name)


def _process(
    processors: Mapping[str, Processor], signature: Signature, raw: Mapping[str, tf.Tensor]
) -> tuple[dict[str, Any], tf.Tensor]:
    done: dict[str, Processed] = {}
    for name, values in raw.items():
        with tf.name_scope(f"input_{name}"):
            processor = processors[signature.reads.get(name, name)]
            done[name] = _process_several(processor, values) if name in signature.reads else process(processor, values)
    masks, fault = join_inputs(done, done.keys() - {*signature.reads, *signature.needs})
    features: dict[str, Any] = {}
    for name, one in done.items():
        reader = signature.reads.get(name, name)
        features |= {reader: one.features, mask_of(reader): masks.get(name, one.mask)}
    return features, fault


def _process_several(processor: Processor, values: tf.Tensor) -> Processed:
    """Processes several values for an example, `(batch, values, ...)`: features of each value, and a fault of each example."""
    done = process(processor, tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], axis=0)))
    there = tf.reduce_any(tf.reshape(done.mask, tf.concat([tf.shape(values)[:2], [-1]], axis=0)), axis=2)
    fault = tf.where(there, tf.reshape(done.fault, tf.shape(values)[:2]), "")
    return done._replace(fault=tf.strings.strip(tf.strings.reduce_join(fault, axis=1, separator=" ")))


def _decoded(outputs: Mapping[str, Any], signature: Signature, processors: Mapping[str, Processor]) -> dict[str, tf.Tensor]:
    decoded = {}
    for name, value in outputs.items():
        if name in signature.decode:
            value = processors[signature.decode[name]].decode(value)
        elif name in signature.tokens:
            value = processors[signature.tokens[name]].tokens(value)
        # The server's JSON knows neither half nor bfloat16.
        decoded[name] = tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else tf.identity(value)
    return decoded
