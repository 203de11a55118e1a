"""A loss: a function of named tensors. It needs no base class; this file marks the losses that compare examples."""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def global_batch(loss: Function) -> Function:
    """Marks a loss that compares the examples of a batch with each other: on several devices it is given all their shares.

    Its tensors are gathered over the devices, with their gradient, and each device takes its own rows of the values. So the
    function is the plain mathematics of one batch.
    """
    loss.global_batch = True  # type: ignore[attr-defined]
    return loss
