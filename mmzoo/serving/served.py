"""`Served`: processors -> task -> answers, as graph functions of raw batches; the same ones are evaluated and exported."""

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
from mmzoo.serving.argument_names import argument_name
from mmzoo.serving.entries import Entries
from mmzoo.training.process import configure, unchanged


class Served(tf.Module):
    """A task with its processors, as TF Serving will run it. It needs the TensorFlow backend.

    The first axis of every output is the batch, which may have no rows. Beside the head's answers, each signature returns
    `ok`, `(batch,)` bool, and `reason`, `(batch,)` strings: why the input of a row cannot be read, empty for a good row. The
    answer of a row that is not `ok` means nothing; it does not change the answers of other rows.

    Args:
        task: The built task.
        processors: The adapted processors, by input.
        entries: The entries of the head's gallery. Without them the signatures that search are left out.
    """

    def __init__(self, task: Task, processors: Mapping[str, Processor], entries: Entries | None = None):
        super().__init__(name="served")
        if keras.backend.backend() != "tensorflow":
            raise RuntimeError("a task is served by the TensorFlow backend; reopen its run there")
        self.task_variables = [variable.value for variable in task.variables]
        self.processors = dict(processors)
        self.gallery = task.head.gallery
        self.aliases = dict(task.head.aliases)
        self.index = _GalleryIndex(entries) if entries is not None else None
        signatures = task.signatures().items()
        self.answers = {name: one for name, one in signatures if not one.gallery or self.index is not None}
        self.functions = {name: self._function(task, signature) for name, signature in self.answers.items()}

    @property
    def default(self) -> str:
        """The name of the signature that is evaluated, and served by default."""
        return next(iter(self.answers))

    def spec(self, name: str) -> tf.TensorSpec:
        """Returns the batched spec of an input's raw values."""
        raw = self.processors[name].raw
        return tf.TensorSpec((None, *raw.shape), raw.dtype, name=argument_name(name))

    def specs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Returns the batched specs of a signature's inputs, in order, by their names in the recipe."""
        chosen = self.answers[signature]
        return dict(zip(chosen.inputs, _input_specs(self, chosen), strict=True))

    def outputs(self, signature: str) -> dict[str, tf.TensorSpec]:
        """Returns the batched specs of a signature's outputs."""
        return dict(self.functions[signature].get_concrete_function().structured_outputs)

    def predict(self, signature: str, *raw: Iterable[Any]) -> dict[str, np.ndarray]:
        """Answers a batch: raw values for each input of the signature, in order -> output name -> array."""
        outputs = self.functions[signature](*map(tf.constant, raw))
        return {name: value.numpy() for name, value in outputs.items()}

    def _function(self, task: Task, signature: Signature) -> Any:
        # The task and the head are no attributes of this module, so their Keras objects are not saved with it.
        processors, index = dict(self.processors), self.index

        def outputs(streams: Mapping[str, Any], **seed: tf.Tensor) -> dict[str, Any]:
            if index is None or not signature.gallery:
                return dict(signature.answer(streams, **seed))
            answers = signature.answer(streams, index.embeddings.read_value())
            return index.look_up(answers.pop(signature.gallery)) | answers

        def answer(*raw: tf.Tensor) -> dict[str, tf.Tensor]:
            added = tf.cast(tf.shape(raw[0])[0] == 0, tf.int32)
            values = {name: _with_blank(value, added) for name, value in zip(signature.inputs, raw, strict=True)}
            seed = {"seed": values.pop(signature.seed)} if signature.seed else {}
            features, reason = _process(processors, signature, values)
            with tf.name_scope("task"):
                answers = outputs(task.streams(features, apart=signature.reads.values()), **seed)
            answers = _own_tokens(signature, processors, features) | answers
            with tf.name_scope("answer"):
                answers = _decode(answers, signature, processors) | {"ok": reason == "", "reason": reason}
                return {name: _without_last(value, added) for name, value in answers.items()}

        @unchanged()
        def traced(*raw: tf.Tensor) -> dict[str, tf.Tensor]:
            configure(task.dtype_policy.name)  # at the first call; until then the process may have got other settings
            return answer(*raw)

        return tf.function(traced, input_signature=_input_specs(self, signature), autograph=False)


class _GalleryIndex(tf.Module):
    """A gallery inside the served model, in variables: constants would be limited by the 2 GB of a GraphDef."""

    def __init__(self, entries: Entries):
        super().__init__(name="gallery")
        self.embeddings = tf.Variable(entries.embeddings, trainable=False, name="embeddings")
        self.texts = {name: tf.Variable(texts, trainable=False) for name, texts in entries.texts.items()}

    def look_up(self, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the texts of the entries at indices `(batch, top_k)`: name -> strings of that shape."""
        return {name: tf.gather(texts, indices) for name, texts in self.texts.items()}


def _input_specs(served: Served, signature: Signature) -> list[tf.TensorSpec]:
    read = [
        _list_spec(served.spec(signature.reads[name]), name) if name in signature.reads else served.spec(name)
        for name in signature.read
    ]
    return read + ([tf.TensorSpec((None,), tf.int64, name=argument_name(signature.seed))] if signature.seed else [])


def _list_spec(spec: tf.TensorSpec, name: str) -> tf.TensorSpec:
    """Adds an axis after the batch, for several values per example."""
    return tf.TensorSpec((None, None, *spec.shape[1:]), spec.dtype, name=argument_name(name))


def _with_blank(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Adds a blank row, of one blank value if it is a list without values, where `rows` is 1; nothing where it is 0.

    A batch without rows gets one: convolutions fail on no rows, or return another shape than they should.
    """
    further = [tf.maximum(rows - size, 0) for size in tf.unstack(tf.shape(values)[1:], num=len(values.shape) - 1)]
    blank = "" if values.dtype == tf.string else tf.zeros((), values.dtype)
    return tf.ensure_shape(tf.pad(values, [[0, size] for size in (rows, *further)], constant_values=blank), values.shape)


def _without_last(output: Any, rows: tf.Tensor) -> Any:
    """Removes the last rows. An output whose first axis is not the batch stays as it is; the export refuses it."""
    is_batch = (
        isinstance(output, tf.Tensor) and output.shape.rank != 0 and (output.shape.rank is None or output.shape[0] is None)
    )
    return output[: tf.shape(output)[0] - rows] if is_batch else output


def _process(
    processors: Mapping[str, Processor], signature: Signature, raw: Mapping[str, tf.Tensor]
) -> tuple[dict[str, Any], tf.Tensor]:
    """Processes the raw values of a batch; returns features and masks for the task, and why each row cannot be read."""
    processed: dict[str, Processed] = {}
    for name, values in raw.items():
        with tf.name_scope(f"input_{argument_name(name)}"):
            processor = processors[signature.reads.get(name, name)]
            processed[name] = _process_lists(processor, values) if name in signature.reads else process(processor, values)
    masks, fault = join_inputs(processed, processed.keys() - {*signature.reads, *signature.needs})
    features: dict[str, Any] = {}
    for name, result in processed.items():
        reader = signature.reads.get(name, name)
        features |= {reader: result.features, mask_of(reader): masks.get(name, result.mask)}
    return features, fault


def _process_lists(processor: Processor, values: tf.Tensor) -> Processed:
    """Processes several values per example, `(batch, values, ...)`.

    Returns:
        Features and mask of each value, `(batch * values, ...)`; and the fault of each example, `(batch,)`.
    """
    processed = process(processor, tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], axis=0)))
    present = tf.reduce_any(tf.reshape(processed.mask, tf.concat([tf.shape(values)[:2], [-1]], axis=0)), axis=2)
    fault = tf.where(present, tf.reshape(processed.fault, tf.shape(values)[:2]), "")
    return processed._replace(fault=tf.strings.strip(tf.strings.reduce_join(fault, axis=1, separator=" ")))


def _own_tokens(signature: Signature, processors: Mapping[str, Processor], features: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ids of those inputs of a signature whose tokens it returns; without those whose processor has no tokens."""
    own = {output: name for output, name in signature.tokens.items() if name in signature.read}
    return {output: features[name] for output, name in own.items() if type(processors[name]).tokens is not Processor.tokens}


def _decode(outputs: Mapping[str, Any], signature: Signature, processors: Mapping[str, Processor]) -> dict[str, tf.Tensor]:
    """Turns ids into strings, as the signature says, and half-precision numbers into float32."""
    decoded = {}
    for name, value in outputs.items():
        if name in signature.decode:
            value = processors[signature.decode[name]].decode(value)
        elif name in signature.tokens:
            value = processors[signature.tokens[name]].tokens(value)
        # The server can write neither float16 nor bfloat16 as JSON.
        decoded[name] = tf.cast(value, tf.float32) if value.dtype in (tf.float16, tf.bfloat16) else tf.identity(value)
    return decoded
