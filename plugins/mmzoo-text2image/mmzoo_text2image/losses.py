"""Losses of generative adversarial networks that are given a text."""

from typing import Annotated, Any, Literal

from annotated_types import Ge
from keras import ops

from mmzoo import PositiveFloat

Form = Literal["cross_entropy", "hinge"]
"""`cross_entropy`: binary cross-entropy of the logits. `hinge`: Lim and Ye 2017, arXiv 1705.02894."""
SMALLEST = 1e-12
"""The lower bound of a squared norm, where the gradient of any power is finite."""


def discriminator(
    real: Any,
    mismatched: Any,
    generated: Any,
    real_alone: Any = None,
    generated_alone: Any = None,
    *,
    form: Form = "cross_entropy",
    average: bool = True,
) -> Any:
    """Discriminator's loss: real pictures with their texts are true, all else is false.

    True terms: `real`, `real_alone`. False terms: `generated`, the mean of `mismatched`, `generated_alone`. A true logit s
    costs softplus(-s), a false one softplus(s); with `hinge` max(0, 1 - s) and max(0, 1 + s). With `average`, a scale costs
    the mean of its true terms plus the mean of its false terms (StackGAN, AttnGAN). Without it, the sum of all terms, with the
    weight 2 on `real_alone`, since a mismatched picture is a real picture too (StackGAN++). The scales are summed.

    Source: Zhang et al. 2017, arXiv 1612.03242, section 3; 2018, arXiv 1710.10916, section 4; Xu et al. 2018, arXiv
    1711.10485, section 3.1; the weights are those of the authors' code.

    Args:
        real: Logits of real pictures with their texts, `(batch, scales)`.
        mismatched: Logits of real pictures with texts of others, `(batch, scales, mismatches)`.
        generated: Logits of generated pictures with their texts, `(batch, scales)`.
        real_alone: Logits of real pictures without a text, `(batch, scales)`.
        generated_alone: Logits of generated pictures without a text, `(batch, scales)`.
        form: What a logit costs.
        average: Whether true terms and false terms are averaged.

    Returns:
        `(batch,)`.
    """
    cost = {"cross_entropy": ops.softplus, "hinge": _hinge}[form]
    true = [cost(-logits) for logits in (real, real_alone) if logits is not None]
    false = [cost(logits) for logits in (generated, generated_alone) if logits is not None]
    false.append(ops.mean(cost(mismatched), axis=2))
    if average:
        return ops.sum(sum(true) / len(true) + sum(false) / len(false), axis=1)
    return ops.sum(true[0] + 2 * sum(true[1:]) + sum(false), axis=1)


def generator(fooling: Any, fooling_alone: Any = None, *, form: Form = "cross_entropy") -> Any:
    """Generator's loss: the discriminators should take generated pictures for real.

    A logit s costs softplus(-s), the loss that does not saturate; with `hinge` -s. All are summed.

    Source: Goodfellow et al. 2014, arXiv 1406.2661, section 3; Lim and Ye 2017, arXiv 1705.02894.

    Args:
        fooling: Logits of generated pictures with their texts, `(batch, scales)`.
        fooling_alone: Logits of generated pictures without a text, `(batch, scales)`.
        form: What a logit costs.

    Returns:
        `(batch,)`.
    """
    logits = fooling if fooling_alone is None else ops.concatenate([fooling, fooling_alone], axis=1)
    return ops.sum(ops.softplus(-logits) if form == "cross_entropy" else -logits, axis=1)


def matching(fooling: Any, fooling_mismatched: Any) -> Any:
    """Generator's loss: a generated picture should fit its own text better than other texts.

    Cross-entropy of its own text among all that the discriminator scores the picture with: log(sum(exp(logits))) minus its own
    logit, summed over the scales. Real pictures teach the discriminator which texts fit. Its score of a generated picture says
    above all whether it looks real; the difference between two texts says what it shows.

    Source: Zhang et al. 2021 (XMC-GAN), arXiv 2101.04702, section 4.2, the contrastive loss of sentence and image with the
    discriminator's own features. There the other texts are those of the batch.

    Args:
        fooling: Logits of generated pictures with their texts, `(batch, scales)`.
        fooling_mismatched: Logits of generated pictures with other texts, `(batch, scales, mismatches)`.

    Returns:
        `(batch,)`, at least 0.
    """
    logits = ops.concatenate([fooling[..., None], fooling_mismatched], axis=2)
    return ops.sum(ops.logsumexp(logits, axis=2) - fooling, axis=1)


def kl(mean: Any, log_variance: Any, *, reduction: Literal["mean", "sum"] = "mean") -> Any:
    """Divergence of the conditions' distribution from the standard normal one.

    -1/2 (1 + log_variance - mean^2 - exp(log_variance)) per number. The paper writes the sum over the numbers; the authors'
    code takes their mean, with the weight 2 in StackGAN and StackGAN++, and 1 in AttnGAN.

    Source: Zhang et al. 2017, arXiv 1612.03242, equation 2.

    Args:
        mean: `(batch, dim)`.
        log_variance: `(batch, dim)`.
        reduction: What joins the numbers of an example.

    Returns:
        `(batch,)`, at least 0.
    """
    reduce = ops.mean if reduction == "mean" else ops.sum
    return reduce(-0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance)), axis=1)


def r1(picture_gradient: Any, *, gamma: PositiveFloat = 1.0) -> Any:
    """R1 penalty on the discriminator's gradient at real pictures: `gamma / 2` times its squared norm.

    Source: Mescheder et al. 2018, arXiv 1801.04406, section 4. StyleGAN2-ADA takes 0.0002 * pixels / batch for gamma.

    Args:
        picture_gradient: Squared norm of the gradient of the logit with respect to a real picture, `(batch,)`.
        gamma: The weight.

    Returns:
        `(batch,)`.
    """
    return gamma / 2 * picture_gradient


def ma_gp(picture_gradient: Any, text_gradient: Any, *, power: Annotated[float, Ge(1)] = 6.0) -> Any:
    """Matching-aware penalty on the discriminator's gradient at real pictures with their texts.

    `norm ** power`, where the norm is that of both gradients as one vector; the published weight is 2. DF-GAN's paper writes
    the sum of the two norms instead; this is its code. Here the gradient of the penalty is 0 where the norm is 0, for any
    power.

    Source: Tao et al. 2022, arXiv 2008.05865, section 3.3.

    Args:
        picture_gradient: Squared norm of the gradient of the conditional logit with respect to a real picture, `(batch,)`.
        text_gradient: Squared norm of its gradient with respect to the sentence, `(batch,)`.
        power: The power of the norm.

    Returns:
        `(batch,)`.
    """
    return ops.power(ops.maximum(picture_gradient + text_gradient, SMALLEST), power / 2)


def _hinge(logits: Any) -> Any:
    return ops.relu(1 + logits)
