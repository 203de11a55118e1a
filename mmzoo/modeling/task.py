"""`Task`: encoders -> fusion -> head -> loss, as one Keras model for any backend."""

import contextlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops

from mmzoo.contracts.head import Head, Signature, Tensors, with_aliases
from mmzoo.contracts.streams import Stream, mask_of, without_absent
from mmzoo.modeling.devices import on_global_batch, replicas
from mmzoo.modeling.steps import Steps, frozen

LAST = 2**31 - 1
"""The `step` that a loss sees of held-out data, so that it is the same function after every epoch."""


@dataclass(frozen=True)
class WeightedLoss:
    """A loss with its options bound.

    Args:
        name: The component's name.
        function: Named tensors -> one value per example, `(batch,)`.
        tensors: Parameter -> name of a head's output, of an input, or `step`.
        weight: Its factor in the total.
        global_batch: It compares the examples of a batch.
    """

    name: str
    function: Callable[..., Any]
    tensors: Mapping[str, str]
    weight: float = 1.0
    global_batch: bool = False

    def __call__(self, found: Mapping[str, Any]) -> Any:
        """Computes it on the tensors of a batch, floating point ones in float32."""
        tensors = {parameter: _float32(found[name]) for parameter, name in self.tensors.items()}
        return on_global_batch(self.function, tensors) if self.global_batch else self.function(**tensors)


class Task(Steps):
    """The assembled model.

    Args:
        encoders: By the name of the input that each reads.
        fusion: A layer `{name: stream}` -> `{name: stream}`, or None to leave the streams as they are.
        head: What answers.
        losses: Summed with their weights.
        modality_dropout: How likely training masks each stream of an example; one is always left.
    """

    def __init__(
        self,
        encoders: Mapping[str, keras.layers.Layer],
        fusion: keras.layers.Layer | None,
        head: Head,
        losses: Iterable[WeightedLoss],
        modality_dropout: float = 0.0,
    ):
        super().__init__(name="task")
        self.encoders = dict(encoders)
        self.fusion = fusion
        self.head = head
        self.weighted_losses = list(losses)
        self.modality_dropout = modality_dropout
        self.draws = keras.random.SeedGenerator() if modality_dropout else None
        self.frozen: frozenset[str] = frozenset()
        self.trackers = [keras.metrics.Mean(name=name) for name in _names(self.weighted_losses)]

    def streams(self, features: Mapping[str, Any], training: bool = False, apart: Iterable[str] = ()) -> dict[str, Stream]:
        """Encodes the inputs that have an encoder and fuses them; inputs that are not given are left out.

        Args:
            features: By input, and what is there of each by `mask_of` the input; all of it is, if nothing is said.
            training: Whether streams may be dropped, and layers do what they do in training.
            apart: Inputs of which there are several values for an example: their rows are others, so they are fused without
                the rest.
        """
        streams = {name: self._encode(name, features, training) for name in self.encoders if name in features}
        if training and self.modality_dropout:
            streams = self._some(streams)
        if self.fusion is None:
            return streams
        alone = {name: streams.pop(name) for name in frozenset(apart) & streams.keys()}
        groups = [group for group in (streams, alone) if group]
        return {name: stream for group in groups for name, stream in self.fusion(group, training=training).items()}

    def _encode(self, name: str, features: Mapping[str, Any], training: bool) -> Stream:
        encoder, mask = self.encoders[name], features.get(mask_of(name))
        told = mask is not None and "there" in inspect.signature(encoder.call).parameters
        options = {"there": mask} if told else {}
        with frozen(encoder) if name in self.frozen else contextlib.nullcontext():
            stream = encoder(features[name], training=training, **options)
        if name in self.frozen:
            stream = {key: ops.stop_gradient(value) for key, value in stream.items()}
        return stream if mask is None else without_absent(stream, mask)

    def _some(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        """Masks streams at random, never all that an example has."""
        there = ops.stack([ops.any(stream["mask"], axis=1) for stream in streams.values()], axis=1)  # (batch, streams)
        drawn = ops.where(there, keras.random.uniform(ops.shape(there), seed=self.draws), -1.0)
        first = ops.equal(drawn, ops.max(drawn, axis=1, keepdims=True))
        kept = ops.split(ops.logical_or(drawn >= self.modality_dropout, first), len(streams), axis=1)
        pairs = zip(streams.items(), kept, strict=True)
        return {name: Stream(tokens=one["tokens"], mask=ops.logical_and(one["mask"], keep)) for (name, one), keep in pairs}

    def freeze(self, names: Iterable[str]) -> None:
        """Trains all encoders but these, from the next time that the train function is made; the task is compiled.

        They stay among the trainable weights, so the optimizer and its averages keep their places; their batch normalisation
        uses its running means, as in inference, and their dropout and augmentation go on.
        """
        self.frozen = frozenset(names)
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        optimizer.frozen = frozenset(id(one) for name in self.frozen for one in self.encoders[name].trainable_variables)

    def call(self, features: Mapping[str, Any], training: bool = False) -> Tensors:
        """Gives the head's outputs for the processed inputs of a batch."""
        targets = {name: features[name] for name in self.head.targets}
        return self.head(self.streams(features, training), targets=targets, training=training)

    def signatures(self) -> dict[str, Signature]:
        """Gives the head's signatures, each with its inputs named."""
        named = self.head.signatures()
        return {name: replace(signature, inputs=signature.inputs or tuple(self.encoders)) for name, signature in named.items()}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Sums the weighted means of the losses and the layers' own; `x` holds the inputs, `y_pred` the outputs."""
        found = {
            "step": ops.cast(self.updates() if training else LAST, "int32"),
            **x,
            **with_aliases(y_pred, self.head.aliases),
        }
        total: Any = ops.sum([ops.cast(loss, "float32") for loss in self.losses]) if self.losses else 0.0
        for loss, tracker in zip(self.weighted_losses, self.trackers, strict=True):
            values = loss(found)
            tracker.update_state(values)  # one by one, so that a last, smaller batch counts for less
            total = total + loss.weight * ops.sum(values) / ops.maximum(ops.cast(ops.size(values), "float32"), 1)
        return total / replicas()


def _names(losses: list[WeightedLoss]) -> list[str]:
    """Names the losses; one that is there several times is told apart by its tensors."""
    counts = Counter(loss.name for loss in losses)
    return ["_".join([loss.name, *loss.tensors.values()]) if counts[loss.name] > 1 else loss.name for loss in losses]


def _float32(value: Any) -> Any:
    if hasattr(value, "dtype") and keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype)):
        return ops.cast(value, "float32")
    return value
