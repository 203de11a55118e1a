"""Cross-entropy of one label among many."""

from typing import Any

from keras import ops

from mmzoo import Rate


def cross_entropy(logits: Any, label: Any, *, label_smoothing: Rate = 0.0) -> Any:
    """Takes the negative log-probability of the right label.

    `-(1 - s) log p(label) - s mean over the classes of log p`. All logits equal cost the logarithm of the number of classes.
    A label that the processor `label` does not know costs 0, and counts in the mean of a batch.

    Source: label smoothing as in Szegedy et al. 2016, arXiv 1512.00567, section 7.

    Args:
        logits: `(batch, classes)`, any finite numbers.
        label: `(batch,)`, numbers of classes; below 0 for a label that is not known.
        label_smoothing: s, the share of the target that is spread over all classes, the right one included.

    Returns:
        `(batch,)`.
    """
    logs = ops.log_softmax(logits)
    known = ops.greater_equal(label, 0)
    wanted = ops.take_along_axis(logs, ops.expand_dims(ops.where(known, label, 0), -1), axis=-1)
    values = (1 - label_smoothing) * ops.squeeze(wanted, -1) + label_smoothing * ops.mean(logs, axis=-1)
    return ops.where(known, -values, ops.zeros_like(values))
