"""Losses of captioning: one value per caption."""

from typing import Any, Literal

from keras import ops

from mmzoo import PAD, Rate


def token_cross_entropy(
    logits: Any, tokens: Any, *, label_smoothing: Rate = 0.0, reduction: Literal["mean", "sum"] = "mean"
) -> Any:
    """Averages, or sums, the cross-entropy over the real tokens of a caption.

    `-(1 - s) log p(token) - s mean over the vocabulary of log p`, over the tokens that are not PAD. So neither the padding nor
    the length of other captions changes it. 0 for a caption without tokens.

    Args:
        logits: `(batch, length, vocabulary)`, any finite numbers.
        tokens: `(batch, length)`, ids; PAD counts for nothing.
        label_smoothing: s, the share of the target that is spread over the vocabulary.
        reduction: `mean` counts each caption the same; `sum`, the negative logarithm of the caption's probability, counts each
            token the same, so that a long caption's words weigh as much as a short one's (Xu et al. 2015, equation 14).

    Returns:
        `(batch,)`.
    """
    logs = ops.log_softmax(logits)
    wanted = -ops.squeeze(ops.take_along_axis(logs, ops.expand_dims(tokens, -1), axis=-1), -1)
    values = (1 - label_smoothing) * wanted - label_smoothing * ops.mean(logs, axis=-1) if label_smoothing else wanted
    real = ops.cast(ops.not_equal(tokens, PAD), values.dtype)
    total = ops.sum(values * real, axis=1)
    return total if reduction == "sum" else total / ops.maximum(ops.sum(real, axis=1), 1)


def doubly_stochastic(attention: Any, tokens: Any) -> Any:
    """Asks attention to look at every region once over a caption.

    `sum over regions i of (1 - sum over real tokens t of attention_ti)^2`, summed over the regions of each caption as in the
    paper; implementations differ (some average over the regions), so a weight found elsewhere may need scaling.

    Source: Xu et al. 2015, arXiv 1502.03044, section 4.2.1, equation 14.

    Args:
        attention: `(batch, length, regions)`, each step sums to 1.
        tokens: `(batch, length)`, ids; the steps at PAD do not count.

    Returns:
        `(batch,)`; 0 if every region's total is 1.
    """
    real = ops.cast(ops.not_equal(tokens, PAD), attention.dtype)
    totals = ops.sum(attention * ops.expand_dims(real, -1), axis=1)
    return ops.sum(ops.square(1 - totals), axis=-1)
