"""Checks the raw values of a request against the inputs of a signature, and completes them; for a run and for its export."""

from collections.abc import Callable, Collection, Mapping, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from mmzoo.errors import MmzooError, suggest


@dataclass(frozen=True)
class SignatureInputs:
    """The inputs of a signature.

    Args:
        owner: The signature, as messages name it.
        specs: Input -> batched spec, in order.
        optional: The inputs that may be left out if another one of `optional` is given.
    """

    owner: str
    specs: Mapping[str, tf.TensorSpec]
    optional: Collection[str]

    def check_names(self, given: Collection[str], display: Callable[[str], str] = str) -> None:
        """Checks that all given inputs exist, and that no required input is missing.

        Args:
            given: Names of inputs.
            display: Formats a name for messages, such as `--name`.

        Raises:
            MmzooError: An input does not exist or is missing.
        """
        for name in given:
            if name not in self.specs:
                raise MmzooError(f"{display(name)}: {self.owner} takes no such input. {suggest(name, self.specs)}")
        any_optional = any(name in given and name in self.optional for name in self.specs)
        missing = [name for name in self.specs if name not in given and not (any_optional and name in self.optional)]
        if missing:
            raise MmzooError(f"{self.owner} needs {' and '.join(map(display, missing))}, each with one or more values.")

    def complete(self, raw: Mapping[str, Any], display: Callable[[str], str] = str) -> dict[str, tf.Tensor]:
        """Makes a tensor of each input, in order; an input that is left out gets empty values.

        Args:
            raw: Input -> the values of a batch, as lists or arrays.
            display: Formats a name for messages, such as `--name`.

        Raises:
            MmzooError: An input does not exist, is missing, or has another type; or the inputs differ in the number of values.
        """
        self.check_names(raw, display)
        given = {name: _padded(display(name), raw[name], spec) for name, spec in self.specs.items() if name in raw}
        count = common_length({display(name): values for name, values in given.items()})
        return {name: given[name] if name in given else _empty(count, spec) for name, spec in self.specs.items()}


def _padded(name: str, values: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Makes a tensor of raw values; lists of unequal length are padded with empty values."""
    tensor = _tensor(values, spec)
    if tensor is None or not tensor.shape.is_compatible_with(spec.shape):
        expected = "a list of lists" if spec.shape.rank > 1 else "a list"
        what = f"expected {expected} of {spec.dtype.name}, one for each example; received {_nested_type(values)}."
        raise MmzooError(f"{name}: {what}")
    return tensor


def _tensor(values: Any, spec: tf.TensorSpec) -> tf.Tensor | None:
    """Makes a tensor of raw values; None if their type or nesting does not fit."""
    with suppress(ValueError, TypeError):  # lists of unequal length are tried below
        tensor = tf.convert_to_tensor(values, spec.dtype)
        if tensor.shape.rank == spec.shape.rank:
            return tensor
    if spec.shape.rank > 1:
        with suppress(ValueError, TypeError):  # the caller reports what fits neither
            return tf.ragged.constant(values, spec.dtype, ragged_rank=spec.shape.rank - 1).to_tensor()
    return None


def _nested_type(values: Any) -> str:
    """Formats the type of nested lists, from their first elements: `list of list of bytes`."""
    of = f" of {_nested_type(values[0])}" if isinstance(values, list | tuple) and values else ""
    return type(values).__name__ + of


def common_length(values: Mapping[str, Sized]) -> int:
    """Returns the number of values that all inputs have; raises if they differ."""
    counts = {name: len(column) for name, column in values.items()}
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise MmzooError(f"expected the same number of values for each input; {found}.")
    return next(iter(counts.values()))


def _empty(count: int, spec: tf.TensorSpec) -> tf.Tensor:
    """Makes `count` empty values: empty strings, or zeros."""
    return tf.zeros([count, *(1 if size is None else size for size in spec.shape[1:])], spec.dtype)
