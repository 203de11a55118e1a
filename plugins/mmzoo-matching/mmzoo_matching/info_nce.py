"""InfoNCE: each candidate finds its query in the batch, and each query its candidate."""

from typing import Any

from keras import ops

from mmzoo import PositiveInt, Rate, global_batch
from mmzoo_matching.blocks import over_blocks, rows_of


@global_batch
def info_nce(
    candidate_embedding: Any,
    query_embedding: Any,
    logit_scale: Any,
    id: Any = None,
    *,
    label_smoothing: Rate = 0.0,
    block: PositiveInt = 256,
) -> Any:
    """Contrastive cross-entropy over the batch, in both directions (CLIP, ALIGN).

    `1/2 (row_i + column_i)`, with logits `z_ij = logit_scale candidate_i . query_j`. `row_i` is the cross-entropy of the
    softmax of row i with its target, `column_i` that of column i. The target gives each positive of i the same share. A pair is
    a positive of itself and, with ids, of every pair with the same id. Label smoothing spreads its share over all columns,
    positives included, as in Keras. If all logits are equal, the loss is the logarithm of the batch; for a single pair it is 0.
    A bias of the logits would cancel.

    ALIGN sums the two directions: set `weight: 2`.

    The matrix `(batch, batch)` is never stored. Logits are computed block by block, and again for the gradient.

    Source: Oord et al. 2018, arXiv 1807.03748, equation 4; both directions as in Radford et al. 2021, arXiv 2103.00020,
    section 2.3; label smoothing as in Jia et al. 2021, arXiv 2102.05918.

    Args:
        candidate_embedding: `(batch, dim)`, of length 1.
        query_embedding: `(batch, dim)`, of length 1; row i belongs to candidate i.
        logit_scale: `()`, the factor of the cosines: 1 / temperature.
        id: `(batch,)`, integers; pairs with the same id are positives of each other.
        label_smoothing: The share of the target that is spread over the batch.
        block: Rows of logits that are computed at a time; memory grows with `block * batch`.

    Returns:
        `(batch,)`, float32.
    """
    # In half precision a sum over the batch would lose most of its terms.
    scale, candidate, query = (ops.cast(value, "float32") for value in (logit_scale, candidate_embedding, query_embedding))
    candidate = scale * candidate
    right = _dots(candidate, _positives(query, id)) + _dots(_positives(candidate, id), query)
    if label_smoothing:
        spread = ops.matmul(candidate, ops.mean(query, axis=0)) + ops.matmul(query, ops.mean(candidate, axis=0))
        right = (1 - label_smoothing) * right + label_smoothing * spread
    return (_log_sums(block)(candidate, query) - right) / 2


def _dots(first: Any, second: Any) -> Any:
    return ops.sum(first * second, axis=1)


def _log_sums(block: int) -> Any:
    """Makes the function that returns `log sum exp` of row i plus that of column i of `candidate @ query.T`, `(batch,)`."""

    def log_sums(candidate: Any, query: Any) -> Any:
        def fold(first: Any, fresh: Any, sums: Any) -> Any:
            logits = ops.matmul(rows_of(candidate, first, fresh), ops.transpose(query))
            more = ops.logsumexp(ops.where(fresh[:, None], logits, -float("inf")), axis=0)
            return ops.slice_update(sums[0], (first,), ops.logsumexp(logits, axis=1)), ops.logaddexp(sums[1], more)

        none = ops.full_like(query[:, 0], -float("inf"))
        rows, columns = over_blocks(block, candidate, fold, (none, none))

        def gradient(output_gradients: Any) -> Any:
            def back(first: Any, fresh: Any, gradients: Any) -> Any:
                part = rows_of(candidate, first, fresh)
                logits = ops.matmul(part, ops.transpose(query))
                of_row, row = (rows_of(values, first, fresh)[:, None] for values in (output_gradients, rows))
                of_logits = of_row * ops.exp(logits - row) + output_gradients * ops.exp(logits - columns)
                more = ops.matmul(ops.transpose(ops.where(fresh[:, None], of_logits, 0.0)), part)
                return ops.slice_update(gradients[0], (first, 0), ops.matmul(of_logits, query)), gradients[1] + more

            return over_blocks(block, candidate, back, (ops.zeros_like(candidate), ops.zeros_like(query)))

        return rows + columns, gradient

    return ops.custom_gradient(log_sums)


def _positives(embedding: Any, id: Any) -> Any:
    """Replaces each row by the mean of the rows with the same id: `(batch, dim)` -> `(batch, dim)`."""
    if id is None:
        return embedding
    batch, group = ops.shape(embedding)[0], _groups(id)
    total = ops.segment_sum(embedding, group, num_segments=batch)
    count = ops.segment_sum(ops.ones_like(embedding[:, :1]), group, num_segments=batch)
    return ops.take(total / ops.maximum(count, 1), group, axis=0)


def _groups(id: Any) -> Any:
    """Numbers the distinct ids from 0: `(batch,)` -> `(batch,)`."""
    order = ops.argsort(id)
    ordered = ops.take(id, order)
    new = ops.not_equal(ordered[1:], ordered[:-1])
    return ops.take(ops.pad(ops.cumsum(ops.cast(new, "int32")), [[1, 0]]), ops.argsort(order))
