"""Toys of video question answering: frames, labels, a fusion of several streams and a classifier."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from mmzoo import (
    FeatureSpec,
    Head,
    InputName,
    NeededModel,
    PositiveInt,
    Processed,
    Processor,
    Signature,
    Stream,
    make_stream,
    no_faults,
    only_stream,
    pool,
)
from mmzoo_toys.squares import pixels_of


class Frames(Processor):
    """Reduces each BMP frame of a clip to its mean colour in three bands from top to bottom.

    Returns `(batch, frames, 10)`, float32: nine numbers, 0 to 1, and 1 if the frame is present, else 0.

    Args:
        frames: Maximum number of frames that are read.
    """

    modality = "video"
    raw = tf.TensorSpec((None,), tf.string)

    def __init__(self, *, frames: PositiveInt = 4):
        super().__init__(name="frames")
        self.frames = frames

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.frames, 10], dtype="float32", vocabulary=None, mask=[self.frames])

    def __call__(self, raw: tf.Tensor) -> Processed:
        raw = raw[:, : self.frames]
        padded = tf.pad(raw, [[0, 0], [0, self.frames - tf.shape(raw)[1]]])
        pixels = tf.cast(pixels_of(padded), tf.float32) / 255
        bands = tf.reduce_mean(tf.reshape(pixels, [-1, self.frames, 3, 27, 3]), axis=3)
        present = padded != ""
        numbers = tf.concat([tf.reshape(bands, [-1, self.frames, 9]), tf.cast(present, tf.float32)[..., None]], axis=-1)
        return Processed(numbers, no_faults(raw), present)


class Label(Processor):
    """Turns a label into its number among the sorted labels of the training split; an unknown label is a fault."""

    modality = "label"

    def __init__(self) -> None:
        super().__init__(name="label")
        self._learn([])

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[], dtype="int32", vocabulary=len(self.labels))

    def adapt(self, values: tf.data.Dataset) -> None:
        self._learn(sorted({value.decode() for value in values.as_numpy_iterator()}))

    def __call__(self, raw: tf.Tensor) -> Processed:
        ids = self.table.lookup(raw)
        return Processed(tf.maximum(ids, 0), tf.where(ids < 0, "no such label in training", ""))

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.names, values)

    def tokens(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.names, ids)

    def save(self, folder: Path) -> None:
        (folder / "labels.txt").write_text("\n".join(self.labels), "utf-8")

    def load(self, folder: Path) -> None:
        self._learn((folder / "labels.txt").read_text("utf-8").split("\n"))

    def _learn(self, labels: list[str]) -> None:
        self.labels = labels or ["nothing"]  # a table is never empty
        self.names = tf.constant(self.labels)
        initializer = tf.lookup.KeyValueTensorInitializer(self.names, tf.range(len(self.labels), dtype=tf.int32))
        self.table = tf.lookup.StaticHashTable(initializer, default_value=-1)


class Sequence(keras.layers.Layer):
    """Encodes each step of `(batch, time, numbers)` as a token; the last number is 1 if the step is present.

    Args:
        features: The `FeatureSpec` of the numbers.
        dim: Size of a token.
    """

    def __init__(self, *, features: FeatureSpec, dim: PositiveInt = 16, **kwargs: Any):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(dim, activation="gelu", name="dense")

    def call(self, steps: Any) -> Stream:
        return make_stream(self.dense(steps), steps[..., -1] > 0)


class Concat(keras.layers.Layer):
    """Concatenates the tokens of all streams to one stream, `joint`; adds a learned vector for each stream."""

    def build(self, streams: Any) -> None:
        self.kinds = {name: self.add_weight(shape=(shape["tokens"][-1],), name=name) for name, shape in streams.items()}

    def call(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        tokens = [stream["tokens"] + ops.cast(self.kinds[name], stream["tokens"].dtype) for name, stream in streams.items()]
        masks = [stream["mask"] for stream in streams.values()]
        return {"joint": make_stream(ops.concatenate(tokens, axis=1), ops.concatenate(masks, axis=1))}


class Classify(Head):
    """Chooses one of the target's labels by two dense layers on the mean token.

    Outputs in training: `logits` `(batch, labels)`. Answers: `answer`, the best label; `top`, the best `top_k` labels
    `(batch, top_k)`, with their probabilities in `score`.

    Args:
        inputs: The `FeatureSpec` of each input.
        target: The input with the label.
        units: Size of the hidden layer.
        top_k: Number of labels in `top`.
    """

    def __init__(
        self,
        *,
        inputs: dict[str, FeatureSpec],
        target: InputName,
        units: PositiveInt = 16,
        top_k: PositiveInt = 3,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.target, self.labels = target, inputs[target]["vocabulary"]
        self.top_k = min(top_k, self.labels)
        self.hidden = keras.layers.Dense(units, activation="gelu", name="hidden")
        self.scores = keras.layers.Dense(self.labels, dtype="float32", name="scores")

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def call(self, streams: dict[str, Stream], targets: Any = None) -> dict[str, Any]:
        return {"logits": self.scores(self.hidden(pool(only_stream(streams, "the head 'toy_classify'"))))}

    def signatures(self) -> dict[str, Signature]:
        target = {"answer": self.target}
        return {"answer": Signature(self._answer, decode=target, answers=target, tokens={"top": self.target})}

    def _answer(self, streams: dict[str, Stream]) -> dict[str, Any]:
        score, top = ops.top_k(ops.softmax(self(streams)["logits"]), self.top_k)
        return {"answer": top[:, 0], "top": top, "score": score}


def cross_entropy(logits: Any, answer: Any) -> Any:
    """Cross-entropy: the negative log-probability of the right label.

    Args:
        logits: `(batch, labels)`.
        answer: `(batch,)`, the numbers of the right labels.

    Returns:
        `(batch,)`.
    """
    wanted = ops.take_along_axis(logits, ops.expand_dims(answer, -1), axis=-1)
    return ops.logsumexp(logits, axis=-1) - ops.squeeze(wanted, -1)


class Accuracy:
    """Accuracy of the answer, and the share of examples with a right label in `top`."""

    def __init__(self) -> None:
        self.right = self.among = self.count = 0

    def update(self, answer: str, top: list[str], references: list[str]) -> None:
        self.right += answer in references
        self.among += bool(set(top) & set(references))
        self.count += 1

    def result(self) -> dict[str, float]:
        return {"toy_accuracy": self.right / max(1, self.count), "toy_accuracy_top": self.among / max(1, self.count)}


class Agreement:
    """The share of pictures to which the model of another run gives the same answer.

    Args:
        judge: The need of the recipe whose model answers.
    """

    def __init__(self, *, judge: NeededModel):
        self.judge: Any = judge
        self.pictures: list[bytes] = []
        self.answers: list[str] = []

    def update(self, answer: str, image: list[bytes]) -> None:
        self.pictures.append(image[0])
        self.answers.append(answer)

    def result(self) -> dict[str, float]:
        told = self.judge("answer", image=self.pictures)["answer"] if self.pictures else []
        same = [mine == other.decode() for mine, other in zip(self.answers, told, strict=True)]
        return {f"{self.judge.name}_agreement": sum(same) / max(1, len(same))}
