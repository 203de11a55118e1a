"""Encoder and fusion: Keras layers that return streams. Also the types `Stream` and `FeatureSpec`, and their checks.

Neither kind has a base class: any Keras layer with the right call is one. Both are written with Keras layers and `keras.ops`.

    encoder: `layer(features, padding_mask=None, training=False) -> Stream`
    fusion:  `layer({name: Stream}, training=False) -> {name: Stream}`

An encoder reads the features of one input. Its constructor may take `features`, a `FeatureSpec`. Its `call` may leave out
`padding_mask`, which says what of the input is present, `(batch,) + features["mask"]` booleans, None for all.
A fusion joins the streams into one (`joint`), or aligns them and keeps their names.

    class Average(keras.layers.Layer):  # an encoder of vectors
        def call(self, vectors): return make_stream(vectors)  # (batch, dim) -> a stream of one token

Axes have one name everywhere: batch, tokens, dim, heads, height, width, time, classes.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import keras
from keras import ops

from mmzoo.errors import StreamError, suggest

PAD, UNKNOWN, START, END = 0, 1, 2, 3
"""Reserved token ids, the same for every text processor."""
SMALLEST = 1e-12
"""The lower bound of the squared length of a vector: zeros stay zeros, and their gradient is finite."""
MASKED_LOGIT = -1e9
"""The logit of a masked token: a float32 softmax turns it into exactly 0."""


class Stream(TypedDict):
    """A sequence of token vectors with its mask: what encoders and fusions return.

    `tokens` is `(batch, tokens, dim)`, floating point. `mask` is `(batch, tokens)`, boolean, True for a real token, False for
    padding. A pooled vector is a stream of one token. Where the mask of an example is all False, its stream is absent.
    """

    tokens: Any
    mask: Any


class FeatureSpec(TypedDict):
    """Describes a processor's output, once the processor has seen the data.

    Keys:
        shape: Shape of one example, without the batch axis.
        dtype: Dtype of the features.
        vocabulary: Number of distinct ids, or None for features that are not ids.
        mask: Shape of one example's mask, such as `[time]` for the frames of a clip. Without it the mask is one value per
            example.
        pad: Padding id of a given vocabulary, such as that of a preset. Its ids are shifted by one, so that `PAD` stays free.
        labels: Name of each class, if the ids are classes.
        counts: How often each class occurs in the training split.
    """

    shape: list[int]
    dtype: str
    vocabulary: int | None
    mask: NotRequired[list[int]]
    pad: NotRequired[int]
    labels: NotRequired[list[str]]
    counts: NotRequired[list[int]]


def is_clip(features: FeatureSpec) -> bool:
    """Returns whether features are the frames of a clip: `(time, height, width, channels)`, with a mask of the frames."""
    shape = features["shape"]
    return len(shape) == 4 and features.get("mask") == shape[:1]


def mask_of(name: str) -> str:
    """Returns the name of the mask that accompanies an input's features; the mask is True for what is present."""
    return f"{name}@mask"


def without_absent(stream: Stream, mask: Any) -> Stream:
    """Masks the whole stream of each example whose input is absent.

    Args:
        stream: The output of an encoder.
        mask: `(batch, ...)`, True for what is present of the input.
    """
    axes = tuple(range(1, len(mask.shape)))
    present = ops.any(mask, axis=axes) if axes else mask
    return Stream(tokens=stream["tokens"], mask=ops.logical_and(stream["mask"], present[:, None]))


def given_ids(ids: Any, features: FeatureSpec) -> tuple[Any, Any]:
    """Returns the ids in a preset's own vocabulary, int32, and their mask, which is False for padding.

    Args:
        ids: `(batch, length)`, from a processor that reads with the preset's vocabulary.
        features: That processor's `features`.
    """
    ids = ops.cast(ids, "int32")
    mask, pad = ops.not_equal(ids, PAD), features.get("pad")
    return ids if pad is None else ops.where(mask, ids - 1, pad), mask


def make_stream(tokens: Any, mask: Any = None) -> Stream:
    """Makes a stream from tokens.

    Args:
        tokens: `(batch, tokens, dim)`, or `(batch, dim)` for a pooled vector.
        mask: `(batch, tokens)`, True for a real token. By default all tokens are real.
    """
    if len(tokens.shape) == 2:
        tokens = tokens[:, None, :]
    if mask is None:
        mask = ops.ones_like(tokens[..., 0], dtype="bool")
    return Stream(tokens=tokens, mask=ops.cast(mask, "bool"))


def only_stream(streams: Mapping[str, Stream], user: str) -> Stream:
    """Returns the only stream.

    Args:
        streams: Streams by name.
        user: Who needs the stream, for the message: `the head 'match'`.

    Raises:
        StreamError: There is no stream, or more than one.
    """
    if len(streams) != 1:
        names = ", ".join(streams) or "none"
        raise StreamError(f"{user} takes one stream, received {len(streams)} ({names}). Add a fusion that joins them.")
    return next(iter(streams.values()))


def pick_stream(streams: Mapping[str, Stream], name: str, user: str) -> Stream:
    """Returns the stream with a name.

    Args:
        streams: Streams by name.
        name: The name to look up.
        user: Who needs the stream, for the message: `the head 'match'`.

    Raises:
        StreamError: No stream has this name.
    """
    if name not in streams:
        raise StreamError(f"{user} takes the stream '{name}', which is not there. {suggest(name, streams)}".rstrip())
    return streams[name]


def same_dim(streams: Mapping[str, Stream], user: str) -> int:
    """Returns the dim of all streams.

    Args:
        streams: Streams by name.
        user: Who needs streams of the same dim, for the message: `the head 'match'`.

    Raises:
        StreamError: The streams differ in dim.
    """
    dims = {name: stream["tokens"].shape[-1] for name, stream in streams.items()}
    if len(set(dims.values())) != 1:
        found = ", ".join(f"{name} has {dim}" for name, dim in dims.items())
        raise StreamError(
            f"{user} takes streams of the same dim, but {found}. Set it in their encoders, or add a fusion that projects them."
        )
    return next(iter(dims.values()))


def pool(stream: Stream) -> Any:
    """Returns the mean of the real tokens, `(batch, dim)`; zeros for an absent stream."""
    tokens, mask = stream["tokens"], stream["mask"][..., None]
    total = ops.sum(ops.where(mask, tokens, ops.zeros_like(tokens)), axis=1)  # a product with the mask would keep NaN
    return total / ops.maximum(ops.sum(ops.cast(mask, tokens.dtype), axis=1), 1)


def unit(vectors: Any) -> Any:
    """Scales vectors `(..., dim)` to length 1, in float32; zeros stay zeros."""
    vectors = ops.cast(vectors, "float32")
    squares = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, SMALLEST))


def check_stream(value: Any, user: str) -> None:
    """Checks that a value is a valid `Stream`.

    Args:
        value: The value to check.
        user: Who made it, for the message: `the encoder 'vit'`.

    Raises:
        StreamError: The value is not a valid stream.
    """
    if not (isinstance(value, Mapping) and set(value) == {"tokens", "mask"}):
        raise StreamError(f"{user} must give a stream of 'tokens' and 'mask', received {describe(value)}.")
    tokens, mask = value["tokens"], value["mask"]
    shaped = len(tokens.shape) == 3 and tuple(mask.shape) == tuple(tokens.shape[:2])
    if not (shaped and keras.backend.is_float_dtype(_dtype(tokens)) and _dtype(mask) == "bool"):
        raise StreamError(
            f"{user} must give floating-point tokens (batch, tokens, dim) and a boolean mask (batch, tokens), "
            f"received tokens {describe(tokens)} and mask {describe(mask)}."
        )


def describe(value: Any) -> str:
    """Formats the shapes and dtypes of nested tensors: `{tokens: (batch, 64, 256) float32, ...}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {describe(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(describe, value)) + "]"
    if not hasattr(value, "shape"):
        return repr(value)
    sizes = ["batch" if i == 0 and size is None else "any" if size is None else str(size) for i, size in enumerate(value.shape)]
    return f"({', '.join(sizes)}) {_dtype(value)}"


def _dtype(tensor: Any) -> str:
    return keras.backend.standardize_dtype(tensor.dtype)
