"""The tensor contract: what flows between processors, encoders, fusion and head, and the checks that it holds.

Axes have one name everywhere: batch, tokens, dim, heads, height, width, time, classes.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import keras
from keras import ops

from mmzoo.errors import StreamError, suggest

PAD, UNKNOWN, START, END = 0, 1, 2, 3
"""Token ids with a meaning, the same for every text processor."""
MASKED_LOGIT = -1e9
"""The logit of what is masked: a softmax in float32 makes exactly 0 of it."""


class Stream(TypedDict):
    """What an encoder gives.

    `tokens` is `(batch, tokens, dim)`, floating point. `mask` is `(batch, tokens)`, boolean, True for a real token. A
    pooled vector is a stream of one token. A stream whose mask is all False for an example is absent from it.
    """

    tokens: Any
    mask: Any


class FeatureSpec(TypedDict):
    """What is known of a processor's output once it has seen the data.

    `shape` is that of one example, without batch. `dtype` is its dtype. `vocabulary` is the number of distinct ids, or
    None for features that are no ids. `mask` is the shape of one example's mask, which says what of it is there: `[time]`
    for the frames of a clip; one value for the whole example if left out. `pad` is there if the
    ids are those of a given vocabulary plus one, so that PAD is none of them: the id that the vocabulary itself pads with.
    `labels` and `counts` are there if the ids number labels: what each is called, and how often it was seen.
    """

    shape: list[int]
    dtype: str
    vocabulary: int | None
    mask: NotRequired[list[int]]
    pad: NotRequired[int]
    labels: NotRequired[list[str]]
    counts: NotRequired[list[int]]


def is_clip(features: FeatureSpec) -> bool:
    """Tells whether features are frames, `(time, height, width, channels)`, with a mask of those that are there."""
    shape = features["shape"]
    return len(shape) == 4 and features.get("mask") == shape[:1]


def mask_of(name: str) -> str:
    """Names the mask that goes beside an input's features: True for what is there."""
    return f"{name}@mask"


def without_absent(stream: Stream, mask: Any) -> Stream:
    """Masks the stream of each example of which nothing is there.

    Args:
        stream: What an encoder gives.
        mask: `(batch, ...)`, True for what is there.
    """
    parts = tuple(range(1, len(mask.shape)))
    there = ops.any(mask, axis=parts) if parts else mask
    return Stream(tokens=stream["tokens"], mask=ops.logical_and(stream["mask"], there[:, None]))


def given_ids(ids: Any, features: FeatureSpec) -> tuple[Any, Any]:
    """Gives ids as the model that a vocabulary belongs to knows them, int32, and which of them are no padding.

    Args:
        ids: `(batch, length)`, as a processor gives them.
        features: What is known of them.
    """
    ids = ops.cast(ids, "int32")
    mask, pad = ops.not_equal(ids, PAD), features.get("pad")
    return ids if pad is None else ops.where(mask, ids - 1, pad), mask


def make_stream(tokens: Any, mask: Any = None) -> Stream:
    """Makes a stream.

    Args:
        tokens: `(batch, tokens, dim)`, or `(batch, dim)` for a pooled vector.
        mask: `(batch, tokens)`, True for a real token; all are real by default.
    """
    if len(tokens.shape) == 2:
        tokens = tokens[:, None, :]
    if mask is None:
        mask = ops.ones_like(tokens[..., 0], dtype="bool")
    return Stream(tokens=tokens, mask=ops.cast(mask, "bool"))


def only_stream(streams: Mapping[str, Stream], user: str) -> Stream:
    """Gives the one stream there is.

    Raises:
        StreamError: There are none or several; `user` is who wants one.
    """
    if len(streams) != 1:
        names = ", ".join(streams) or "none"
        raise StreamError(f"{user} takes one stream, received {len(streams)} ({names}). Add a fusion that layers them.")
    return next(iter(streams.values()))


def pick_stream(streams: Mapping[str, Stream], name: str, user: str) -> Stream:
    """Gives the stream of a name.

    Raises:
        StreamError: There is none; `user` is who wants it.
    """
    if name not in streams:
        raise StreamError(f"{user} takes the stream '{name}', which is not there. {suggest(name, streams)}".rstrip())
    return streams[name]


def same_dim(streams: Mapping[str, Stream], user: str) -> int:
    """Gives the dim that all streams share.

    Raises:
        StreamError: They differ; `user` is who wants them alike.
    """
    dims = {name: stream["tokens"].shape[-1] for name, stream in streams.items()}
    if len(set(dims.values())) != 1:
        found = ", ".join(f"{name} has {dim}" for name, dim in dims.items())
        raise StreamError(
            f"{user} takes streams of one dim, received others: {found}. Give them one by their encoders or a fusion."
        )
    return next(iter(dims.values()))


def pool(stream: Stream) -> Any:
    """Averages the real tokens, `(batch, dim)`; zeros for an absent stream."""
    tokens, mask = stream["tokens"], stream["mask"][..., None]
    total = ops.sum(ops.where(mask, tokens, ops.zeros_like(tokens)), axis=1)  # a product would keep what is no number
    return total / ops.maximum(ops.sum(ops.cast(mask, tokens.dtype), axis=1), 1)


def check_stream(value: Any, user: str) -> None:
    """Holds a value against the contract of `Stream`.

    Raises:
        StreamError: It breaks the contract; `user` is who made it.
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
    """Writes the shapes and dtypes in a nest of tensors: `{tokens: (batch, 64, 256) float32, ...}`."""
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
