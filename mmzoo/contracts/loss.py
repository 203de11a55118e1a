"""Loss: named tensors -> one value per example.

A loss is a plain function, written with `keras.ops`. The parameters before `*` are tensors. Each is looked up by its name
among the head's outputs and the recipe's inputs; a recipe may name another one. A tensor with a default may be missing.
The parameters after `*` are the loss's options. The function returns `(batch,)`; the core takes the mean, and the weighted
sum of several losses. Every loss may also take the tensor `step`: the number of updates so far, a scalar.

    def cross_entropy(logits, label, class_weight=None, *, label_smoothing: Rate = 0.0):
        ...  # logits (batch, classes), label (batch,) -> (batch,)
"""

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def global_batch(loss: Function) -> Function:
    """Marks a loss that compares the examples of a batch with each other, such as a contrastive loss.

    On several devices, its tensors are gathered from all devices, with their gradients, and each device keeps its own rows
    of the result. So the function is written as for one device and sees the global batch.
    """
    loss.global_batch = True  # type: ignore[attr-defined]
    return loss
