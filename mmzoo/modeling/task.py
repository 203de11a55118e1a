"""`Task`: encoders -> fusion -> head -> losses, as one Keras model for every backend."""

import contextlib
import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops

from mmzoo.contracts.head import Head, Signature, Tensors, with_aliases
from mmzoo.contracts.streams import Stream, mask_of, without_absent
from mmzoo.modeling.devices import on_global_batch, replicas
from mmzoo.modeling.steps import BackendSteps

LAST_STEP = 2**31 - 1
"""The `step` of a loss on validation data, so that it is the same function after every epoch."""


@dataclass(frozen=True)
class WeightedLoss:
    """A loss with its options bound.

    Args:
        name: Name of the component.
        function: Named tensors -> one value per example, `(batch,)`.
        tensors: Parameter -> name of an output of the head, of an input, or `step`.
        weight: Its factor in the total loss.
        global_batch: Whether it compares the examples of a batch, and so needs those of all devices.
    """

    name: str
    function: Callable[..., Any]
    tensors: Mapping[str, str]
    weight: float = 1.0
    global_batch: bool = False

    def __call__(self, tensors: Mapping[str, Any]) -> Any:
        """Computes the loss of each example, `(batch,)`, in float32, from all named tensors of a batch."""
        arguments = {parameter: _float32(tensors[name]) for parameter, name in self.tensors.items()}
        return on_global_batch(self.function, arguments) if self.global_batch else self.function(**arguments)


class Task(BackendSteps):
    """The assembled model.

    Args:
        encoders: By the name of the input that each reads.
        fusion: A layer `{name: stream}` -> `{name: stream}`, or None to leave the streams as they are.
        head: Streams -> outputs.
        losses: Their weighted sum is minimized.
        modality_dropout: The probability, in training, that each stream of an example is masked; one stream is always kept.
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
        self.seed_generator = keras.random.SeedGenerator() if modality_dropout else None
        self.frozen: frozenset[str] = frozenset()
        self.trackers = [keras.metrics.Mean(name=name) for name in _unique_names(self.weighted_losses)]

    def call(self, features: Mapping[str, Any], training: bool = False) -> Tensors:
        """Returns the head's outputs for the processed inputs of a batch."""
        targets = {name: features[name] for name in self.head.targets}
        return self.head(self.streams(features, training), targets=targets, training=training)

    def streams(self, features: Mapping[str, Any], training: bool = False, apart: Iterable[str] = ()) -> dict[str, Stream]:
        """Encodes the inputs that have an encoder, and fuses their streams; inputs that are not in `features` are left out.

        Args:
            features: Features by input, and by `mask_of` the input which of them are present; all are without a mask.
            training: Whether layers run in training mode, and modality dropout is applied.
            apart: Inputs with several values per example. Their streams have other rows than the rest, so they are fused
                separately.
        """
        streams = {name: self._encode(name, features, training) for name in self.encoders if name in features}
        if training and self.modality_dropout:
            streams = self._drop_modalities(streams)
        if self.fusion is None:
            return streams
        separate = {name: streams.pop(name) for name in frozenset(apart) & streams.keys()}
        groups = [group for group in (streams, separate) if group]
        return {name: stream for group in groups for name, stream in self.fusion(group, training=training).items()}

    def _encode(self, name: str, features: Mapping[str, Any], training: bool) -> Stream:
        mask = features.get(mask_of(name))
        with _frozen(self.encoders[name]) if name in self.frozen else contextlib.nullcontext():
            stream = encode(self.encoders[name], features[name], mask, training)
        if name in self.frozen:
            stream = Stream(tokens=ops.stop_gradient(stream["tokens"]), mask=stream["mask"])
        return stream if mask is None else without_absent(stream, mask)

    def _drop_modalities(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        """Masks streams of an example at random, but never all that are present."""
        present = ops.stack([ops.any(stream["mask"], axis=1) for stream in streams.values()], axis=1)  # (batch, streams)
        drawn = ops.where(present, keras.random.uniform(ops.shape(present), seed=self.seed_generator), -1.0)
        largest = ops.equal(drawn, ops.max(drawn, axis=1, keepdims=True))
        kept = ops.split(ops.logical_or(drawn >= self.modality_dropout, largest), len(streams), axis=1)
        return {
            name: Stream(tokens=stream["tokens"], mask=ops.logical_and(stream["mask"], keep))
            for (name, stream), keep in zip(streams.items(), kept, strict=True)
        }

    def freeze(self, names: Iterable[str]) -> None:
        """Freezes these encoders and trains the others, from the next `make_train_function` on; the task must be compiled.

        Frozen encoders stay among the trainable weights, so the slots and averages of the optimizer keep their order. Their
        batch normalization uses its running means, as in inference; their dropout and augmentation stay on.
        """
        self.frozen = frozenset(names)
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        optimizer.frozen_ids = frozenset(id(one) for name in self.frozen for one in self.encoders[name].trainable_variables)

    def signatures(self) -> dict[str, Signature]:
        """Returns the head's signatures, each with the names of its inputs filled in."""
        signatures = self.head.signatures()
        every = tuple(self.encoders)
        return {
            name: replace(one, inputs=(one.inputs or every) + ((one.seed,) if one.seed else ()))
            for name, one in signatures.items()
        }

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Returns the weighted sum of the mean losses, plus the layers' own; `x` are the inputs, `y_pred` the outputs."""
        tensors = {
            "step": ops.cast(self.updates() if training else LAST_STEP, "int32"),
            **x,
            **with_aliases(y_pred, self.head.aliases),
        }
        total: Any = ops.sum([ops.cast(loss, "float32") for loss in self.losses]) if self.losses else 0.0
        for loss, tracker in zip(self.weighted_losses, self.trackers, strict=True):
            values = loss(tensors)
            tracker.update_state(values)  # per example, so that a last, smaller batch counts for less
            total = total + loss.weight * ops.sum(values) / ops.maximum(ops.cast(ops.size(values), "float32"), 1)
        return total / replicas()


def encode(encoder: keras.layers.Layer, values: Any, mask: Any = None, training: bool = False) -> Stream:
    """Calls an encoder with the features of its input and, if it takes a mask, with which of them are present."""
    takes_mask = mask is not None and "padding_mask" in inspect.signature(encoder.call).parameters
    options = {"padding_mask": mask} if takes_mask else {}
    return encoder(values, training=training, **options)


@contextlib.contextmanager
def _frozen(layer: keras.layers.Layer) -> Iterator[None]:
    """Freezes a layer for one call, so that batch normalization runs in inference mode."""
    before = [(one, one.trainable) for one in layer._flatten_layers()]
    layer.trainable = False
    try:
        yield
    finally:
        for one, trainable in before:  # outer layers first: setting one sets its sublayers
            one.trainable = trainable


def _unique_names(losses: list[WeightedLoss]) -> list[str]:
    """Returns a name for each loss; losses of the same component get the names of their tensors added."""
    counts = Counter(loss.name for loss in losses)
    return ["_".join([loss.name, *loss.tensors.values()]) if counts[loss.name] > 1 else loss.name for loss in losses]


def _float32(value: Any) -> Any:
    """Casts a floating-point tensor to float32; returns anything else as it is."""
    if hasattr(value, "dtype") and keras.backend.is_float_dtype(keras.backend.standardize_dtype(value.dtype)):
        return ops.cast(value, "float32")
    return value
