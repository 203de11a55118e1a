"""Linear classifier on the mean token of a stream."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from mmzoo import Features, Head, InputName, Positive, Rate, Signature, Stream, StreamError, only_stream, pool


class Classify(Head):
    """Chooses one of the target's labels by a linear layer on the mean token of a stream.

    Outputs in training: `logits` `(batch, classes)`, `W mean of the real tokens + b` (`b` alone for an absent stream), and the
    target as `label` `(batch,)`.

    Answers: `classify` gives `answer`, the most probable label, and the `top` most probable ones, best first: `label`
    `(batch, top)` and `score` `(batch, top)`, their probabilities among all labels.

    Args:
        inputs: What is known of each input.
        target: The input that holds the label, read by the processor `label`.
        dropout: Share of the mean token's numbers that is zeroed in training.
        top: Labels that are answered; all of them if there are fewer.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, Features],
        target: InputName,
        dropout: Rate = 0.0,
        top: Positive = 5,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        found = inputs[target]
        if found["vocabulary"] is None or found["shape"]:
            what = "no ids" if found["vocabulary"] is None else f"{found['shape'][0]} ids for an example"
            text = f"the head 'classify' takes one id for an example as its target, '{target}' gives {what}."
            raise StreamError(f"{text} Read it with the processor 'label'.")
        self.target, self.top = target, min(top, found["vocabulary"])
        self.dropout = keras.layers.Dropout(dropout)
        self.classes = keras.layers.Dense(found["vocabulary"], dtype="float32", name="classes")

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def call(self, streams: dict[str, Stream], targets: dict[str, Any] | None = None, training: bool = False) -> dict[str, Any]:
        return {"logits": self._logits(streams, training), "label": (targets or {})[self.target]}

    def signatures(self) -> dict[str, Signature]:
        target = {"answer": self.target}
        return {"classify": Signature(self._answer, decode=target, answers=target, pieces={"label": self.target})}

    def _logits(self, streams: dict[str, Stream], training: bool = False) -> Any:
        pooled = pool(only_stream(streams, "the head 'classify'"))
        return self.classes(self.dropout(pooled, training=training))  # (batch, classes)

    def _answer(self, streams: dict[str, Stream]) -> dict[str, Any]:
        logs, label = ops.top_k(ops.log_softmax(self._logits(streams)), self.top)
        return {"answer": label[:, 0], "label": label, "score": ops.exp(logs)}
