"""Cross-entropy of one label among many."""

from typing import Any

from keras import ops

from mmzoo import Rate


def cross_entropy(logits: Any, label: Any, class_weight: Any = None, *, label_smoothing: Rate = 0.0) -> Any:
    """Takes the negative log-probability of the right label.

    `-(1 - s) log p(label) - s mean over the classes of log p`, and of several labels with shares the sum of that by their
    shares; times the weight of the example. All logits equal cost the logarithm of the number of classes. A label that the
    processor `label` does not know costs 0, and counts in the mean of a batch.

    Source: label smoothing as in Szegedy et al. 2016, arXiv 1512.00567, section 7.

    Args:
        logits: `(batch, classes)`, any finite numbers.
        label: `(batch,)`, numbers of classes, below 0 for a label that is not known; or `(batch, classes)`, each class's share
            from 0 to 1, which add up to less than 1 where some labels are not known.
        class_weight: `(batch,)`, by which each value is multiplied; 1 if not given.
        label_smoothing: s, the share of the target that is spread over all classes, the right one included.

    Returns:
        `(batch,)`.
    """
    logs, wanted = ops.log_softmax(logits), shares(label, logits.shape[-1])
    spread = label_smoothing * ops.sum(wanted, axis=-1, keepdims=True) / logits.shape[-1]
    values = -ops.sum(((1 - label_smoothing) * wanted + spread) * logs, axis=-1)
    return values if class_weight is None else class_weight * values


def shares(label: Any, classes: int) -> Any:
    """Gives each class's share of a target, `(batch, classes)`, float32: all 0 for a label that is not known."""
    if len(label.shape) > 1:
        return ops.cast(label, "float32")
    known = ops.cast(ops.greater_equal(label, 0), "float32")
    return ops.one_hot(ops.maximum(label, 0), classes, dtype="float32") * known[:, None]
