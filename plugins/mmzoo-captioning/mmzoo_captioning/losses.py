"""Losses of captioning: one value per caption."""

from typing import Any, Literal

from keras import ops

from mmzoo import PAD, Rate


def token_cross_entropy(
    logits: Any, tokens: Any, *, label_smoothing: Rate = 0.0, reduction: Literal["mean", "sum"] = "mean"
) -> Any:
    """Cross-entropy over the real tokens of a caption.

    `-(1 - s) log p(token) - s mean over the vocabulary of log p`, over the tokens that are not PAD. So padding and the lengths
    of other captions have no influence. 0 for a caption without tokens.

    Args:
        logits: `(batch, length, vocabulary)`, any finite numbers.
        tokens: `(batch, length)`, ids; PAD is ignored.
        label_smoothing: s, the share of the target that is spread over the vocabulary.
        reduction: `mean` gives each caption the same weight. `sum` is the negative log-probability of the caption and gives
            each token the same weight, in long and short captions alike (Xu et al. 2015, equation 14).

    Returns:
        `(batch,)`.
    """
    logs = ops.log_softmax(logits)
    values = -ops.squeeze(ops.take_along_axis(logs, ops.expand_dims(tokens, -1), axis=-1), -1)
    if label_smoothing:
        values = (1 - label_smoothing) * values - label_smoothing * ops.mean(logs, axis=-1)
    real = ops.cast(ops.not_equal(tokens, PAD), values.dtype)
    total = ops.sum(values * real, axis=1)
    return total if reduction == "sum" else total / ops.maximum(ops.sum(real, axis=1), 1)


def doubly_stochastic(attention: Any, tokens: Any) -> Any:
    """Penalises attention that does not cover every region equally.

    Doubly stochastic attention: each region should get a total of 1 over a caption.

    `sum over regions i of (1 - sum over real tokens t of attention_ti)^2`, summed over the regions as in the paper. Some
    implementations average over the regions, so a loss weight taken from elsewhere may need scaling.

    Source: Xu et al. 2015, arXiv 1502.03044, section 4.2.1, equation 14.

    Args:
        attention: `(batch, length, regions)`; sums to 1 at each step.
        tokens: `(batch, length)`, ids; steps at PAD are ignored.

    Returns:
        `(batch,)`; 0 if the total of every region is 1.
    """
    real = ops.cast(ops.not_equal(tokens, PAD), attention.dtype)
    totals = ops.sum(attention * ops.expand_dims(real, -1), axis=1)
    return ops.sum(ops.square(1 - totals), axis=-1)
