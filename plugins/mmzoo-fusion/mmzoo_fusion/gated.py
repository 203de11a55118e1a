"""The gated multimodal unit: a joint representation by gates."""

from typing import Any, Literal

import keras
from keras import ops

from mmzoo import MASKED_LOGIT, PositiveInt, Stream, make_stream, pool
from mmzoo_fusion.blocks import concat_means, is_present


class Gated(keras.layers.Layer):
    """Weights the streams feature by feature, with gates that see all.

    `h = sum_i z_i * tanh(W_i x_i + b_i)`, with x_i the mean token of stream i and `z = gate(U [x_1, ..., x_n] + c)`. Returns
    one stream, `joint`, of one token. The gate of an absent stream is 0, and its mean token is zeros. Also takes a single
    stream.

    Source: Arevalo et al. 2017, arXiv 1702.01992, section 3.1. In the paper, two streams have the gates z and 1 - z, the
    `softmax` of two; more streams have a `sigmoid` each; no layer has a bias.

    Args:
        dim: Dim of the returned token.
        gate: `softmax`: the gates of the streams that are present sum to 1. `sigmoid`: each gate is independent, from 0 to 1.
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
        means = concat_means(streams, self.dims)
        hidden = ops.stack([self.hidden[name](pool(stream)) for name, stream in streams.items()], axis=1)
        logits = ops.stack([self.gates[name](means) for name in streams], axis=1)  # (batch, streams, dim)
        mask = ops.stack([is_present(stream) for stream in streams.values()], axis=1)  # (batch, streams, 1)
        gates = _softmax(logits, mask) if self.gate == "softmax" else ops.sigmoid(logits)
        joint = ops.sum(ops.where(mask, gates, 0) * hidden, axis=1)
        return {"joint": make_stream(joint, is_present(*streams.values()))}


def _softmax(logits: Any, mask: Any) -> Any:
    """Computes the softmax over the streams that are present; `keras.ops.softmax` warns about a single stream."""
    masked = ops.where(mask, ops.cast(logits, "float32"), MASKED_LOGIT)
    return ops.cast(ops.exp(masked - ops.logsumexp(masked, axis=1, keepdims=True)), logits.dtype)
