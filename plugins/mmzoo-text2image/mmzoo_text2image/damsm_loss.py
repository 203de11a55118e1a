"""DAMSM's loss: each image finds its caption in the batch, and each caption its image, by words and as a whole."""

from typing import Any, Literal

from keras import ops

from mmzoo import MASKED_LOGIT, PositiveFloat, global_batch

SMALLEST = 1e-12
"""The lower bound of a squared length: the cosine with zeros is 0, and its gradient is finite."""


@global_batch
def damsm(
    regions: Any,
    words: Any,
    words_mask: Any,
    candidate_embedding: Any,
    query_embedding: Any,
    id: Any = None,
    regions_mask: Any = None,
    *,
    gamma1: PositiveFloat = 4.0,
    gamma2: PositiveFloat = 5.0,
    gamma3: PositiveFloat = 10.0,
    word_score: Literal["log_sum", "soft_maximum"] = "log_sum",
) -> Any:
    """Contrastive loss of images and captions, by words and as a whole (AttnGAN).

    `L1w + L2w + L1s + L2s`. Each is the cross-entropy of a softmax over the batch: the caption of an image (1) or the image of
    a caption (2), by words (w) or as a whole (s). The logits of an image and a caption are `gamma3` times

    - w: `log sum_i exp(gamma2 cosine(c_i, e_i))`, over the real words `e_i`; `word_score: soft_maximum` divides it by `gamma2`.
      `c_i = sum_j a_ij v_j` is what the word attends to in the regions `v_j`. `a_i` is the softmax over the regions of `gamma1`
      times their softmax over the words of `e_i . v_j`;
    - s: the cosine of the two global vectors.

    Pairs of different examples with the same id are left out of the softmax. If all logits are equal, the loss is 4 times the
    logarithm of the batch; for a single pair it is 0. An image without regions and a caption without words give finite numbers.

    All images are compared with all captions at once: memory grows with `batch * batch * words * regions`.

    Source: Xu et al. 2018, arXiv 1711.10485, section 3.2, equations 7 to 14. The defaults are those of the authors' code, which
    differ twice: `gamma1` is 5 in the paper, and equation 10 is `soft_maximum`. The paper sums over the batch, the code and
    mmzoo take the mean.

    Args:
        regions: `(batch, regions, dim)`.
        words: `(batch, words, dim)`; row i belongs to row i of the regions.
        words_mask: `(batch, words)`, True for a real word.
        candidate_embedding: `(batch, dim)`, of length 1: the images.
        query_embedding: `(batch, dim)`, of length 1: the captions.
        id: `(batch,)`, integers; pairs with the same id are not negatives of each other.
        regions_mask: `(batch, regions)`, True for a real region; all are real if not given.
        gamma1: Sharpness of a word's attention to the regions.
        gamma2: How much the best matching words count in the score of a caption.
        gamma3: The factor of the scores in the softmax over the batch.
        word_score: How the cosines of the words become one score: `log_sum` as in the code, or `soft_maximum` as in the paper,
            which is at most `log(words) / gamma2` above the largest cosine.

    Returns:
        `(batch,)`.
    """
    by_words = _word_scores(regions, words, words_mask, regions_mask, gamma1, gamma2)  # (images, captions)
    if word_score == "soft_maximum":
        by_words = by_words / gamma2
    by_vectors = ops.matmul(candidate_embedding, ops.transpose(query_embedding))
    row = ops.arange(ops.shape(words)[0], dtype="int32")
    id = row if id is None else id
    left_out = ops.logical_and(ops.equal(id[:, None], id), ops.not_equal(row[:, None], row))
    return _both_directions(gamma3 * by_words, left_out) + _both_directions(gamma3 * by_vectors, left_out)


def attend(similarity: Any, words_mask: Any, regions_mask: Any, gamma1: float) -> Any:
    """Returns how much each word attends to each region: `(..., words, regions)`.

    `a = softmax over regions of gamma1 * softmax over words of similarity`. The weights of a real word sum to 1. Those of
    masked words and regions are 0.

    Source: Xu et al. 2018, arXiv 1711.10485, equations 8 and 9.

    Args:
        similarity: `(..., words, regions)`, inner products.
        words_mask: `(..., words)`, True for a real word.
        regions_mask: `(..., regions)`, True for a real region.
        gamma1: Sharpness.
    """
    words_mask, regions_mask = words_mask[..., :, None], regions_mask[..., None, :]
    shares = _softmax(similarity, words_mask, axis=-2)
    return ops.where(words_mask, _softmax(gamma1 * shares, regions_mask, axis=-1), 0.0)


def _word_scores(regions: Any, words: Any, words_mask: Any, regions_mask: Any, gamma1: float, gamma2: float) -> Any:
    """Returns `log sum_i exp(gamma2 cosine(c_i, e_i))` of each image with each caption, `(images, captions)`."""
    if regions_mask is None:
        regions_mask = ops.ones_like(regions[..., 0], dtype="bool")
    real, seen = ops.cast(words_mask, "bool")[None], ops.cast(regions_mask, "bool")[:, None]
    similarity = ops.einsum("ctd,ird->ictr", words, regions)  # i images, c captions, t words, r regions
    context = ops.einsum("ictr,ird->ictd", attend(similarity, real, seen, gamma1), regions)
    cosines = ops.sum(context * words, axis=-1) * _inverse_length(context) * _inverse_length(words)
    scores = ops.logsumexp(ops.where(real, gamma2 * cosines, MASKED_LOGIT), axis=-1)
    return ops.where(ops.any(real, axis=-1), scores, 0.0)


def _inverse_length(vectors: Any) -> Any:
    return ops.rsqrt(ops.maximum(ops.sum(ops.square(vectors), axis=-1), SMALLEST))


def _softmax(logits: Any, mask: Any, axis: int) -> Any:
    """Softmax over what the mask says is real; 0 for the rest. Keras' own warns about an axis of one."""
    logits = ops.where(mask, logits, MASKED_LOGIT)
    return ops.where(mask, ops.exp(logits - ops.logsumexp(logits, axis=axis, keepdims=True)), 0.0)


def _both_directions(logits: Any, left_out: Any) -> Any:
    """Cross-entropy of each row with its own column, plus that of each column with its own row: `(batch,)`."""
    logits = ops.where(left_out, MASKED_LOGIT, logits)
    return ops.logsumexp(logits, axis=1) + ops.logsumexp(logits, axis=0) - 2 * ops.diagonal(logits)
