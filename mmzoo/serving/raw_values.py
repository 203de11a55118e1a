"""Raw values that a model is asked: checked against a signature's inputs and completed, for a run and for its export alike."""

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
        who: The signature, as messages name it.
        specs: By input, in order, batched.
        spared: The inputs that may be left out if another of them is given.
    """

    who: str
    specs: Mapping[str, tf.TensorSpec]
    spared: Collection[str]

    def check_names(self, given: Collection[str], write: Callable[[str], str] = str) -> None:
        """Checks that the inputs given are the signature's, and that none is left out that it needs.

        Args:
            given: Names of inputs.
            write: Writes a name as the user knows it.

        Raises:
            MmzooError: They are not.
        """
        for name in given:
            if name not in self.specs:
                raise MmzooError(f"{write(name)}: {self.who} takes no such input. {suggest(name, self.specs)}")
        another = any(name in given and name in self.spared for name in self.specs)
        missing = [name for name in self.specs if name not in given and not (another and name in self.spared)]
        if missing:
            raise MmzooError(f"{self.who} needs {' and '.join(map(write, missing))}, each with one or more values.")

    def complete(self, raw: Mapping[str, Any], write: Callable[[str], str] = str) -> dict[str, tf.Tensor]:
        """Makes a tensor of each input, in order; an input that is left out gets empty values.

        Args:
            raw: By input, the values of a batch, as lists or arrays.
            write: Writes a name as the user knows it.

        Raises:
            MmzooError: An input is unknown, missing or of another form, or the inputs differ in number.
        """
        self.check_names(raw, write)
        given = {name: _padded(write(name), raw[name], spec) for name, spec in self.specs.items() if name in raw}
        count = _same_count({write(name): values for name, values in given.items()})
        return {name: given[name] if name in given else _empty(count, spec) for name, spec in self.specs.items()}


def _same_count(examples: Mapping[str, Sized]) -> int:
    counts = {name: len(values) for name, values in examples.items()}
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise MmzooError(f"expected as many values of each input, received others: {found}.")
    return next(iter(counts.values()))


def _empty(count: int, spec: tf.TensorSpec) -> tf.Tensor:
    return tf.zeros([count, *(1 if size is None else size for size in spec.shape[1:])], spec.dtype)


def _padded(name: str, values: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Makes a tensor of raw values; pads lists of unequal length with empty values."""
    made = _tensor(values, spec)
    if made is None or not made.shape.is_compatible_with(spec.shape):
        what, found = "a list of lists" if spec.shape.rank > 1 else "a list", _kind(values)
        raise MmzooError(f"{name}: expected {what} of {spec.dtype.name}, one for each example; received {found}.")
    return made


def _tensor(values: Any, spec: tf.TensorSpec) -> tf.Tensor | None:
    """Makes a tensor of raw values; None if they are of another form."""
    with suppress(ValueError, TypeError):  # lists of unequal length are tried below
        made = tf.convert_to_tensor(values, spec.dtype)
        if made.shape.rank == spec.shape.rank:
            return made
    if spec.shape.rank > 1:
        with suppress(ValueError, TypeError):  # the caller reports what fits neither
            return tf.ragged.constant(values, spec.dtype, ragged_rank=spec.shape.rank - 1).to_tensor()
    return None


def _kind(values: Any) -> str:
    """Names the types in nested lists by their first elements: `list of list of bytes`."""
    of = f" of {_kind(values[0])}" if isinstance(values, list | tuple) and values else ""
    return type(values).__name__ + of
