"""Focal loss: the cross-entropy of what is not yet right."""

from typing import Annotated, Any

from annotated_types import Ge
from keras import ops

from mmzoo_answering.cross_entropy import shares

SMALLEST = 1e-7
"""The least probability of a mistake: below it the gradient of its power is none."""


def focal(logits: Any, label: Any, class_weight: Any = None, *, gamma: Annotated[float, Ge(0)] = 2.0) -> Any:
    """Takes the cross-entropy, and less of it the surer the right answer is already.

    `-(1 - p(label)) ** gamma log p(label)`, p by the softmax, and of several labels with shares the sum by their shares;
    times the weight of the example. For labels of which a few have most of the examples. A label that the processor `label`
    does not know costs 0.

    Source: Lin et al. 2017, arXiv 1708.02002, equations 4 and 5, with the softmax in place of the sigmoid; their alpha is
    `class_weights` of the head.

    Args:
        logits: `(batch, classes)`, any finite numbers.
        label: `(batch,)`, numbers of classes, below 0 for a label that is not known; or `(batch, classes)`, each class's share.
        class_weight: `(batch,)`, by which each value is multiplied; 1 if not given.
        gamma: How fast what is sure loses its weight; 0 is the cross-entropy.

    Returns:
        `(batch,)`.
    """
    logs = ops.log_softmax(logits)
    mistaken = ops.maximum(-ops.expm1(logs), SMALLEST)  # 1 - p
    values = -ops.sum(shares(label, logits.shape[-1]) * mistaken**gamma * logs, axis=-1)
    return values if class_weight is None else class_weight * values
