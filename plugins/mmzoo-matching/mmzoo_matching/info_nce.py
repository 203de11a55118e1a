"""InfoNCE: each picture finds its text among the batch's, each text its picture."""

from typing import Any

from keras import ops

from mmzoo import PositiveInt, Rate, global_batch
from mmzoo_matching.blocks import over_blocks, rows_of


@global_batch
def info_nce(
    image_embedding: Any,
    text_embedding: Any,
    logit_scale: Any,
    id: Any = None,
    *,
    label_smoothing: Rate = 0.0,
    block: PositiveInt = 256,
) -> Any:
    """Averages the cross-entropies of finding a picture's text and a text's picture in the batch.

    `1/2 (row_i + column_i)`, with logits `z_ij = logit_scale image_i . text_j`: `row_i` is the cross-entropy of the softmax of
    row i with a target that gives each positive of i the same share, `column_i` that of column i. A pair is a positive of
    itself and, if there are ids, of every pair with the same one. Smoothing spreads its share over all columns, positives
    included, as Keras does. All logits equal cost the logarithm of the batch; one pair alone costs 0.
    A bias of the logits would cancel.

    ALIGN sums the two directions: give it `weight: 2`.

    No table of batch by batch is kept: logits are made block by block, for the gradient a second time.

    Source: Oord et al. 2018, arXiv 1807.03748, equation 4; both directions as in Radford et al. 2021, arXiv 2103.00020,
    section 2.3; label smoothing as in Jia et al. 2021, arXiv 2102.05918.

    Args:
        image_embedding: `(batch, dim)`, of length 1.
        text_embedding: `(batch, dim)`, of length 1; row i belongs to picture i.
        logit_scale: `()`, what the cosines are multiplied by: 1 / temperature.
        id: `(batch,)`, whole numbers; pairs with the same one are no negatives of each other.
        label_smoothing: The share of the target that is spread over the batch.
        block: Rows of logits that are held at a time; memory grows with `block * batch`.

    Returns:
        `(batch,)`.
    """
    image, text = logit_scale * image_embedding, text_embedding
    right = _dots(image, _positives(text, id)) + _dots(_positives(image, id), text)
    if label_smoothing:
        spread = ops.matmul(image, ops.mean(text, axis=0)) + ops.matmul(text, ops.mean(image, axis=0))
        right = (1 - label_smoothing) * right + label_smoothing * spread
    return (_log_sums(block)(image, text) - right) / 2


def _dots(first: Any, second: Any) -> Any:
    return ops.sum(first * second, axis=1)


def _log_sums(block: int) -> Any:
    """Makes the function that gives `log sum exp` of row i plus that of column i of `image @ text.T`, `(batch,)`."""

    def log_sums(image: Any, text: Any) -> Any:
        def fold(first: Any, fresh: Any, sums: Any) -> Any:
            logits = ops.matmul(rows_of(image, first, fresh), ops.transpose(text))
            more = ops.logsumexp(ops.where(fresh[:, None], logits, -float("inf")), axis=0)
            return ops.slice_update(sums[0], (first,), ops.logsumexp(logits, axis=1)), ops.logaddexp(sums[1], more)

        none = ops.full_like(text[:, 0], -float("inf"))
        rows, columns = over_blocks(block, image, fold, (none, none))

        def gradient(upstream: Any) -> Any:
            def back(first: Any, fresh: Any, gradients: Any) -> Any:
                part = rows_of(image, first, fresh)
                logits = ops.matmul(part, ops.transpose(text))
                of_row, row = (rows_of(values, first, fresh)[:, None] for values in (upstream, rows))
                slopes = of_row * ops.exp(logits - row) + upstream * ops.exp(logits - columns)
                more = ops.matmul(ops.transpose(ops.where(fresh[:, None], slopes, 0.0)), part)
                return ops.slice_update(gradients[0], (first, 0), ops.matmul(slopes, text)), gradients[1] + more

            return over_blocks(block, image, back, (ops.zeros_like(image), ops.zeros_like(text)))

        return rows + columns, gradient

    return ops.custom_gradient(log_sums)


def _positives(embedding: Any, id: Any) -> Any:
    """Averages each row with the rows that have the same id: `(batch, dim)` -> `(batch, dim)`."""
    if id is None:
        return embedding
    batch, group = ops.shape(embedding)[0], _groups(id)
    total = ops.segment_sum(embedding, group, num_segments=batch)
    count = ops.segment_sum(ops.ones_like(embedding[:, :1]), group, num_segments=batch)
    return ops.take(total / ops.maximum(count, 1), group, axis=0)


def _groups(id: Any) -> Any:
    """Numbers the different ids from 0: `(batch,)` -> `(batch,)`."""
    order = ops.argsort(id)
    ordered = ops.take(id, order)
    new = ops.not_equal(ordered[1:], ordered[:-1])
    return ops.take(ops.pad(ops.cumsum(ops.cast(new, "int32")), [[1, 0]]), ops.argsort(order))
