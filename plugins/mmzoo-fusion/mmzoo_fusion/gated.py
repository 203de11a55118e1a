"""Joint representation by gates: the gated multimodal unit."""

from typing import Any, Literal

import keras
from keras import ops

from mmzoo import MASKED_LOGIT, PositiveInt, Stream, make_stream, pool
from mmzoo_fusion.blocks import side_by_side, there


class Gated(keras.layers.Layer):
    """Weighs the streams number by number, by gates that see all of them.

    `h = sum_i z_i * tanh(W_i x_i + b_i)`, x_i the mean token of stream i, `z = gate(U [x_1, ..., x_n] + c)`. Gives one stream,
    `joint`, of one token. An absent stream has the gate 0 and is zeros in what gates see. One stream, too, is taken.

    Source: Arevalo et al. 2017, arXiv 1702.01992, section 3.1. Their two streams have the gates z and 1 - z, which is `softmax`
    of two; their several streams have a `sigmoid` each. They have no biases.

    Args:
        dim: Of the token that is given.
        gate: `softmax`: the gates of the streams that are there sum to 1. `sigmoid`: each is a number from 0 to 1 by itself.
    """

    def __init__(self, *, dim: PositiveInt = 256, gate: Literal["softmax", "sigmoid"] = "softmax", **kwargs: Any):
        super().__init__(**kwargs)
        self.dim, self.gate = dim, gate

    def build(self, streams: Any) -> None:
        self.dims = {name: shapes["tokens"][-1] for name, shapes in streams.items()}
        self.hidden = {name: self._dense(name, "tanh") for name in streams}
        self.gates = {name: self._dense(f"{name}_gate", None) for name in streams}
        for name, dim in self.dims.items():
            self.hidden[name].build((None, dim))
            self.gates[name].build((None, sum(self.dims.values())))

    def _dense(self, name: str, activation: str | None) -> keras.layers.Layer:
        return keras.layers.Dense(self.dim, activation=activation, dtype=self.dtype_policy, name=name)

    def call(self, streams: dict[str, Stream]) -> dict[str, Stream]:
        every = side_by_side(streams, self.dims)
        hidden = ops.stack([self.hidden[name](pool(stream)) for name, stream in streams.items()], axis=1)
        logits = ops.stack([self.gates[name](every) for name in streams], axis=1)  # (batch, streams, dim)
        mask = ops.stack([there(stream) for stream in streams.values()], axis=1)  # (batch, streams, 1)
        gates = _softmax(logits, mask) if self.gate == "softmax" else ops.sigmoid(logits)
        joint = ops.sum(ops.where(mask, gates, 0) * hidden, axis=1)
        return {"joint": make_stream(joint, there(*streams.values()))}


def _softmax(logits: Any, mask: Any) -> Any:
    """Makes gates that sum to 1 over the streams that are there; Keras' own softmax warns of one stream."""
    wide = ops.where(mask, ops.cast(logits, "float32"), MASKED_LOGIT)
    return ops.cast(ops.exp(wide - ops.logsumexp(wide, axis=1, keepdims=True)), logits.dtype)
