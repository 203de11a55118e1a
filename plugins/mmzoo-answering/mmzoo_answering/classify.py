"""Linear classifier on the mean token of a stream, or of several, whose decisions it combines."""

from collections.abc import Mapping
from typing import Any, Literal

import keras
from keras import ops

from mmzoo import (
    MASKED_LOGIT,
    FeatureSpec,
    Head,
    InputName,
    PositiveFloat,
    PositiveInt,
    Rate,
    Signature,
    Stream,
    StreamError,
    only_stream,
    pool,
    suggest,
)

SMALLEST = 1e-12
"""The least share that is divided by."""


class Classify(Head):
    """Chooses one of the target's labels by a linear layer on the mean token of each stream.

    Of one stream: `logits = W mean of the real tokens + b` (`b` alone for an absent one). Of several, late decisions:
    `logits = sum_s w_s (W_s mean_s + b_s)`, so the probabilities are the weighted geometric mean of what each stream gives
    alone; `w` is the softmax of learned numbers over the streams that are there. An absent stream has no weight, nor has one
    that is not given; where all are absent, `w` is taken over all of them and the biases alone decide.

    Outputs in training: `logits` `(batch, classes)`, the target as `label`, `(batch,)` or, of shares, `(batch, classes)`; and,
    with `class_weights`, `class_weight` `(batch,)`, which losses multiply by.

    Answers: `classify` gives `answer`, the most probable label, and the `top` most probable ones, best first: `label`
    `(batch, top)` and `score` `(batch, top)`, their probabilities among all labels.

    Source: late fusion as in Baltrusaitis et al. 2017, arXiv 1705.09406, section 6.1; the product of experts of Hinton 2002
    with weights that add up to 1.

    Args:
        inputs: What is known of each input.
        target: The input that holds the label, read by the processor `label`.
        dropout: Share of the mean token's numbers that is zeroed in training.
        top: Labels that are answered; all of them if there are fewer.
        class_weights: What an example counts in training: by its label, 1 for those that are not named; `balanced`, by
            examples / (labels * examples of its label), so that each label counts alike.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, FeatureSpec],
        target: InputName,
        dropout: Rate = 0.0,
        top: PositiveInt = 5,
        class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        found = inputs[target]
        classes = found["vocabulary"]
        shares = found["shape"] == [classes] and keras.backend.is_float_dtype(found["dtype"])
        if classes is None or not (found["shape"] == [] or shares):
            what = "no ids" if classes is None else f"{found['shape'][0]} ids for an example"
            text = f"the head 'classify' takes one id for an example as its target, '{target}' gives {what}."
            raise StreamError(f"{text} Read it with the processor 'label'.")
        self.target, self.top = target, min(top, classes)
        self.count = classes
        self.dropout = keras.layers.Dropout(dropout)
        self.decisions: dict[str, keras.layers.Dense] = {}  # of several streams
        self.class_weights = _class_weights(found, target, class_weights) if class_weights is not None else None

    def build(self, streams: Any) -> None:
        if len(streams) > 1:
            self.decisions = {name: self._linear(name, shape) for name, shape in streams.items()}
            self.shares = self.add_weight(shape=(len(streams),), initializer="zeros", name="shares")
        else:
            self.classes = self._linear("classes", next(iter(streams.values())))

    def _linear(self, name: str, stream: Mapping[str, Any]) -> keras.layers.Dense:
        made = keras.layers.Dense(self.count, dtype="float32", name=name)
        made.build((None, stream["tokens"][-1]))
        return made

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def call(self, streams: dict[str, Stream], targets: dict[str, Any] | None = None, training: bool = False) -> dict[str, Any]:
        label = (targets or {})[self.target]
        outputs = {"logits": self._logits(streams, training), "label": label}
        return outputs | (self._weighed(label) if self.class_weights is not None else {})

    def signatures(self) -> dict[str, Signature]:
        target = {"answer": self.target}
        return {"classify": Signature(self._answer, decode=target, answers=target, tokens={"label": self.target})}

    def _weighed(self, label: Any) -> dict[str, Any]:
        """Weighs each example; of shares each class by its own weight, so that the loss is that of labels drawn by them."""
        weights = ops.convert_to_tensor(self.class_weights, "float32")
        if len(label.shape) == 1:
            return {"class_weight": ops.take(weights, ops.maximum(label, 0))}  # a label that is not known costs 0 anyway
        weighed = ops.cast(label, "float32") * weights
        total = ops.sum(weighed, axis=-1)
        return {"label": weighed / ops.maximum(total[:, None], SMALLEST), "class_weight": total}

    def _logits(self, streams: dict[str, Stream], training: bool = False) -> Any:
        if not self.decisions:
            return self.classes(self._mean(only_stream(streams, "the head 'classify'"), training))  # (batch, classes)
        numbers = {name: index for index, name in enumerate(self.decisions) if name in streams}
        if len(numbers) < max(len(streams), 1):
            names = f"{', '.join(self.decisions)}; received {', '.join(streams) or 'none'}"
            raise StreamError(f"the head 'classify' decides on the streams that it was made with, {names}.")
        logits = [self.decisions[name](self._mean(streams[name], training)) for name in numbers]
        return (
            logits[0] if len(logits) == 1 else self._combined(logits, [streams[name] for name in numbers], [*numbers.values()])
        )

    def _combined(self, logits: list[Any], streams: list[Stream], numbers: list[int]) -> Any:
        there = ops.stack([ops.any(stream["mask"], axis=1) for stream in streams], axis=1)  # (batch, streams)
        heard = ops.logical_or(there, ops.logical_not(ops.any(there, axis=1, keepdims=True)))
        shares = ops.take(ops.cast(self.shares, "float32"), numbers)
        weights = ops.softmax(ops.where(heard, shares, MASKED_LOGIT))
        return ops.sum(weights[..., None] * ops.stack(logits, axis=1), axis=1)

    def _mean(self, stream: Stream, training: bool) -> Any:
        return self.dropout(pool(stream), training=training)

    def _answer(self, streams: dict[str, Stream]) -> dict[str, Any]:
        logs, label = ops.top_k(ops.log_softmax(self._logits(streams)), self.top)
        return {"answer": label[:, 0], "label": label, "score": ops.exp(logs)}


def _class_weights(found: FeatureSpec, target: str, wanted: str | Mapping[str, float]) -> list[float]:
    """Gives each class's weight.

    Raises:
        StreamError: A label that the target does not have, or a target that does not tell its labels.
    """
    if "labels" not in found or "counts" not in found:
        text = f"the head 'classify' weighs labels, '{target}' does not tell which it has."
        raise StreamError(f"{text} Read it with the processor 'label'.")
    labels, counts = found["labels"], found["counts"]
    if not labels:  # none is learned yet
        return [1.0] * (found["vocabulary"] or 0)
    if isinstance(wanted, str):
        return [sum(counts) / (len(counts) * max(count, 1)) for count in counts]
    for name in wanted:
        if name not in labels:
            what = f"the head 'classify' weighs the label {name!r}, which '{target}' does not have."
            raise StreamError(f"{what} {suggest(name, labels)}".rstrip())
    return [float(wanted.get(label, 1.0)) for label in labels]
