"""Cross-entropy of classes."""

from typing import Any

from keras import ops

from mmzoo import Rate


def cross_entropy(logits: Any, label: Any, class_weight: Any = None, *, label_smoothing: Rate = 0.0) -> Any:
    """Cross-entropy: the negative log-probability of the right label.

    `-(1 - s) log p(label) - s mean_c(log p_c)`, times the weight of the example. For several labels with
    shares, the sum of this, weighted by the shares. If all logits are equal, it is the logarithm of the number of classes. For
    an unknown label it is 0, and the example still counts in the mean of the batch.

    Source: label smoothing as in Szegedy et al. 2016, arXiv 1512.00567, section 7.

    Args:
        logits: `(batch, classes)`, any finite numbers.
        label: `(batch,)`, class indices, below 0 for a label that the processor `label` does not know; or `(batch, classes)`,
            shares from 0 to 1, with a sum below 1 where some labels are unknown.
        class_weight: `(batch,)`, the factor of each example's loss; 1 if not given.
        label_smoothing: s, the share of the target that is spread over all classes, including the right one.

    Returns:
        `(batch,)`.
    """
    logs, target = ops.log_softmax(logits), shares(label, logits.shape[-1])
    smoothing = label_smoothing * ops.sum(target, axis=-1, keepdims=True) / logits.shape[-1]
    values = -ops.sum(((1 - label_smoothing) * target + smoothing) * logs, axis=-1)
    return values if class_weight is None else class_weight * values


def shares(label: Any, classes: int) -> Any:
    """Returns the share of each class in a target, `(batch, classes)`, float32; all 0 for an unknown label."""
    if len(label.shape) > 1:
        return ops.cast(label, "float32")
    known = ops.cast(ops.greater_equal(label, 0), "float32")
    return ops.one_hot(ops.maximum(label, 0), classes, dtype="float32") * known[:, None]
