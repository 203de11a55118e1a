"""Focal loss."""

from typing import Annotated, Any

from annotated_types import Ge
from keras import ops

from mmzoo_answering.cross_entropy import shares

SMALLEST = 1e-7
"""Lower bound of 1 - p, below which the gradient of its power may not be finite."""


def focal(logits: Any, label: Any, class_weight: Any = None, *, gamma: Annotated[float, Ge(0)] = 2.0) -> Any:
    """Focal loss: the cross-entropy, reduced for well-classified examples.

    `-(1 - p(label)) ** gamma log p(label)`, with p the softmax, times the weight of the example. For several labels with
    shares, the sum of this, weighted by the shares. 0 for an unknown label. Meant for imbalanced labels, where a few have most
    of the examples.

    Source: Lin et al. 2017, arXiv 1708.02002, equations 4 and 5, with the softmax in place of the sigmoid. Their alpha is the
    option `class_weights` of the head.

    Args:
        logits: `(batch, classes)`, any finite numbers.
        label: `(batch,)`, class indices, below 0 for a label that the processor `label` does not know; or `(batch, classes)`,
            shares from 0 to 1.
        class_weight: `(batch,)`, the factor of each example's loss; 1 if not given.
        gamma: Focusing parameter: larger values reduce the loss of well-classified examples more. 0 is the cross-entropy.

    Returns:
        `(batch,)`.
    """
    logs = ops.log_softmax(logits)
    error = ops.maximum(-ops.expm1(logs), SMALLEST)  # 1 - p
    values = -ops.sum(shares(label, logits.shape[-1]) * error**gamma * logs, axis=-1)
    return values if class_weight is None else class_weight * values
