"""Linear classifier on the mean token of each stream; combines the decisions of several streams."""

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
"""Lower bound of a divisor."""


class Classify(Head):
    """Linear classifier on the mean token of each stream.

    For one stream: `logits = W mean(tokens) + b`, over the real tokens; only `b` if it is absent. For several streams, late
    fusion of the decisions: `logits = sum_s w_s (W_s mean_s + b_s)`, so the probabilities are a weighted geometric mean of
    those of each stream alone. The weights w are the softmax of learned numbers, over the streams that are present. A stream
    that is absent or not given has weight 0. Where all are absent, w is the softmax over all streams, and only the biases
    decide.

    Outputs in training: `logits` `(batch, classes)`; the target as `label`, `(batch,)`, or `(batch, classes)` for a target
    with `output_mode: shares`; with `class_weights` also `class_weight` `(batch,)`, the factor of each example's loss.

    Answers: `classify` returns `answer`, the most probable label, and the `top_k` most probable labels, best first: `label`
    `(batch, top_k)`, and `score` `(batch, top_k)`, their probabilities among all labels.

    Source: late fusion as in Baltrusaitis et al. 2017, arXiv 1705.09406, section 6.1; the product of experts of Hinton 2002
    with weights that add up to 1.

    Args:
        inputs: The specification of each input's features.
        target: The input with the labels, read by the processor `label`.
        dropout: Dropout rate of the mean token.
        top_k: Number of labels to return; all labels if there are fewer.
        class_weights: Weight of each label in training, as `{label: weight}`, 1 for the others. `balanced` weights a label by
            examples / (labels * examples of the label), so that all labels contribute equally.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, FeatureSpec],
        target: InputName,
        dropout: Rate = 0.0,
        top_k: PositiveInt = 5,
        class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        features = inputs[target]
        classes = features["vocabulary"]
        shares = features["shape"] == [classes] and keras.backend.is_float_dtype(features["dtype"])
        if classes is None or not (features["shape"] == [] or shares):
            what = "no ids" if classes is None else f"{features['shape'][0]} ids per example"
            text = f"the head 'classify' needs a target with one id per example, '{target}' has {what}."
            raise StreamError(f"{text} Read it with the processor 'label'.")
        self.target, self.top_k = target, min(top_k, classes)
        self.count = classes
        self.dropout = keras.layers.Dropout(dropout)
        self.decisions: dict[str, keras.layers.Dense] = {}  # for several streams, by name
        self.class_weights = _class_weights(features, target, class_weights) if class_weights is not None else None

    def build(self, streams: Any) -> None:
        if len(streams) > 1:
            self.decisions = {name: self._linear(name, shape) for name, shape in streams.items()}
            self.shares = self.add_weight(shape=(len(streams),), initializer="zeros", name="shares")
        else:
            self.classes = self._linear("classes", next(iter(streams.values())))

    def _linear(self, name: str, stream: Mapping[str, Any]) -> keras.layers.Dense:
        layer = keras.layers.Dense(self.count, dtype="float32", name=name)
        layer.build((None, stream["tokens"][-1]))
        return layer

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.target,)

    def call(self, streams: dict[str, Stream], targets: dict[str, Any] | None = None, training: bool = False) -> dict[str, Any]:
        label = (targets or {})[self.target]
        outputs = {"logits": self._logits(streams, training), "label": label}
        return outputs | (self._weighted(label) if self.class_weights is not None else {})

    def signatures(self) -> dict[str, Signature]:
        target = {"answer": self.target}
        return {"classify": Signature(self._answer, decode=target, answers=target, tokens={"label": self.target})}

    def _weighted(self, label: Any) -> dict[str, Any]:
        """Returns the weight of each example.

        For shares, also returns the shares times the weights of their classes, normalised: the loss is then the expected loss
        of a label drawn by its share.
        """
        weights = ops.convert_to_tensor(self.class_weights, "float32")
        if len(label.shape) == 1:
            return {"class_weight": ops.take(weights, ops.maximum(label, 0))}  # the loss of an unknown label is 0 anyway
        weighted = ops.cast(label, "float32") * weights
        total = ops.sum(weighted, axis=-1)
        return {"label": weighted / ops.maximum(total[:, None], SMALLEST), "class_weight": total}

    def _logits(self, streams: dict[str, Stream], training: bool = False) -> Any:
        if not self.decisions:
            return self.classes(self._mean(only_stream(streams, "the head 'classify'"), training))  # (batch, classes)
        numbers = {name: index for index, name in enumerate(self.decisions) if name in streams}
        if len(numbers) < max(len(streams), 1):
            names = f"{', '.join(self.decisions)}; received {', '.join(streams) or 'none'}"
            raise StreamError(f"the head 'classify' takes the streams that it was built with, {names}.")
        logits = [self.decisions[name](self._mean(streams[name], training)) for name in numbers]
        if len(logits) == 1:
            return logits[0]
        return self._combine(logits, [streams[name] for name in numbers], [*numbers.values()])

    def _combine(self, logits: list[Any], streams: list[Stream], numbers: list[int]) -> Any:
        """Averages the logits of several streams; `numbers` are the streams' places among the learned weights."""
        present = ops.stack([ops.any(stream["mask"], axis=1) for stream in streams], axis=1)  # (batch, streams)
        used = ops.logical_or(present, ops.logical_not(ops.any(present, axis=1, keepdims=True)))  # all, where none is present
        shares = ops.take(ops.cast(self.shares, "float32"), numbers)
        weights = ops.softmax(ops.where(used, shares, MASKED_LOGIT))
        return ops.sum(weights[..., None] * ops.stack(logits, axis=1), axis=1)

    def _mean(self, stream: Stream, training: bool) -> Any:
        return self.dropout(pool(stream), training=training)

    def _answer(self, streams: dict[str, Stream]) -> dict[str, Any]:
        logs, label = ops.top_k(ops.log_softmax(self._logits(streams)), self.top_k)
        return {"answer": label[:, 0], "label": label, "score": ops.exp(logs)}


def _class_weights(features: FeatureSpec, target: str, given: str | Mapping[str, float]) -> list[float]:
    """Returns the weight of each class.

    Raises:
        StreamError: A label is not one of the target's, or the target does not list its labels.
    """
    if "labels" not in features or "counts" not in features:
        text = f"the option `class_weights` of the head 'classify' needs the labels of '{target}', which does not list any."
        raise StreamError(f"{text} Read it with the processor 'label'.")
    labels, counts = features["labels"], features["counts"]
    if not labels:  # the processor is not adapted yet
        return [1.0] * (features["vocabulary"] or 0)
    if isinstance(given, str):
        return [sum(counts) / (len(counts) * max(count, 1)) for count in counts]
    for name in given:
        if name not in labels:
            what = f"the option `class_weights` of the head 'classify' names {name!r}, which is not a label of '{target}'."
            raise StreamError(f"{what} {suggest(name, labels)}".rstrip())
    return [float(given.get(label, 1.0)) for label in labels]
