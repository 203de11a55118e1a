"""The memory that a task takes: layers whose weights have no values yet, and the faults of what does not fit."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import keras
from keras.src.backend.common import global_state  # no public name returns the variables that have no value yet

from mmzoo.errors import Fault
from mmzoo.recipe.source import Node

VALUE = 4
"""Bytes of a weight, which is float32 with every precision of a recipe, and of a value of an example."""
_PENDING = "uninitialized_variables"


@contextmanager
def own_variables() -> Iterator[None]:
    """Forgets at the end which variables have no value; Keras would initialize those of a failed call in the next one."""
    try:
        yield
    finally:
        global_state.set_global_attribute(_PENDING, [])


@contextmanager
def without_values() -> Iterator[None]:
    """Makes weights that have a shape and no value, which takes neither their memory nor the time to draw them."""
    with own_variables(), keras.StatelessScope(initialize_variables=False):
        yield


def fault_of_example(node: Node, shape: Iterable[int | None]) -> Fault | None:
    """Returns the fault of an input if one example of it, as its processor makes it, is more than the machine's memory."""
    values = math.prod(size or 1 for size in shape)
    return _fault(node, "one example of it has", f"{values:,} values", values) if values * VALUE > _memory() else None


def fault_of_size(node: Node) -> Fault | None:
    """Returns the fault of a part if the weights without values, its own the last, are more than the machine's memory."""
    weights = sum(math.prod(one.shape) for one in global_state.get_global_attribute(_PENDING) or ())
    return fault_of_memory(node, weights) if weights * VALUE > _memory() else None


def fault_of_memory(node: Node, weights: int) -> Fault:
    """Returns the fault of a part with which the memory does not suffice for so many weights, those before it included."""
    return _fault(node, "with it the model has", f"{weights:,} weights", weights)


def _fault(node: Node, has: str, what: str, values: int) -> Fault:
    size, memory = values * VALUE / 2**30, _memory() / 2**30
    what = f"{has} {what}, {size:,.0f} GiB, which this machine's memory of {memory:,.0f} GiB cannot hold."
    return node.fault(what, "Make its sizes smaller, or build it on a machine with more memory.")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Returns whether an error, or one that it was raised for, is that of memory: of Python, NumPy, TensorFlow or JAX."""
    while error is not None:
        by_name = type(error).__name__ == "ResourceExhaustedError" or "RESOURCE_EXHAUSTED" in str(error)
        if by_name or isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _memory() -> int:
    """Returns the bytes of the machine's memory. A model is compared with its export in it, wherever it was trained."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
