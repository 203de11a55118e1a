"""Batches to test components with, and comparisons of their results."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from mmzoo.contracts.streams import END, PAD
from mmzoo.testing.subject import require

BATCH = 4
"""Number of examples in a batch for a layer."""
PADDING = 2
"""Number of positions at the end of a text or stream that are padding in every example."""
TOLERANCE = 1e-4
"""Largest difference, relative or absolute, between numbers that should be the same."""


def batch_of(known: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """Draws a batch as from a processor: ids end with END and PAD, other integers are pixels, and floats are normal."""
    shape, dtype = (BATCH, *known["shape"]), known["dtype"]
    if known["vocabulary"] is not None:
        return _ids(shape, dtype, known["vocabulary"], rng)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    return rng.normal(size=shape).astype(dtype) if "float" in dtype else rng.integers(0, 256, shape).astype(dtype)


def _ids(shape: tuple[int, ...], dtype: str, vocabulary: int, rng: np.random.Generator) -> Any:
    if len(shape) < 2:
        return rng.integers(0, vocabulary, shape).astype(dtype)
    ids = rng.integers(min(END + 1, vocabulary - 1), vocabulary, shape)
    position, ends = np.arange(shape[-1]), _lengths(shape[-1], shape[:-1], rng)[..., None] - 1
    return np.where(position < ends, ids, np.where(position == ends, END, PAD)).astype(dtype)


def _lengths(most: int, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    return rng.integers(1, max(2, most - PADDING + 1), shape)


def streams_of(shapes: Mapping[str, tuple[int, int]], rng: np.random.Generator) -> dict[str, Any]:
    """Draws streams whose examples have different numbers of real tokens: at least one, and never all."""
    return {name: _stream(tokens, dim, rng) for name, (tokens, dim) in shapes.items()}


def _stream(tokens: int, dim: int, rng: np.random.Generator) -> dict[str, Any]:
    mask = np.arange(tokens) < _lengths(tokens, (BATCH, 1), rng)
    return {"tokens": rng.normal(size=(BATCH, tokens, dim)).astype("float32"), "mask": mask}


def numbers(nest: Any) -> Any:
    """Converts a nest of tensors to arrays: half precision to float32, and zeros where a stream is masked."""
    if isinstance(nest, Mapping):
        plain = {name: numbers(value) for name, value in nest.items()}
        return plain | {"tokens": plain["tokens"] * plain["mask"][..., None]} if set(plain) == {"tokens", "mask"} else plain
    if isinstance(nest, list | tuple):
        return [numbers(value) for value in nest]
    array = keras.ops.convert_to_numpy(nest)
    return array.astype("float32") if array.dtype.name in ("bfloat16", "float16") else array


def named(nest: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Iterates over the leaves of a nest, each with its path, such as `joint.tokens`."""
    if isinstance(nest, Mapping | list | tuple):
        for key, value in nest.items() if isinstance(nest, Mapping) else enumerate(nest):
            yield from named(value, f"{name}.{key}".strip("."))
    else:
        yield name, nest


def same(first: Any, second: Any, text: str, tolerance: float = TOLERANCE) -> None:
    """Checks that two nests are the same. `text` is the message if not; its `{name}` is replaced by what differs."""
    left, right = dict(named(numbers(first))), dict(named(numbers(second)))
    require(set(left) == set(right), f"the results have other parts: {sorted(left)} and {sorted(right)}.")
    for name, value in left.items():
        require(_close(value, right[name], tolerance), text.format(name=f"'{name}'" if name else "the result"))


def _close(first: Any, second: Any, tolerance: float) -> bool:
    if first.shape != second.shape:
        return False
    if first.dtype.kind == "f":
        return bool(np.allclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True))
    return bool(np.array_equal(first, second))


def finite(nest: Any, text: str) -> None:
    """Checks that every number of a nest is finite."""
    for name, value in named(numbers(nest)):
        bad = value.dtype.kind == "f" and not np.isfinite(value).all()
        require(not bad, text.format(name=f"'{name}'" if name else "the result"))
