"""SigLIP's loss: binary cross-entropy of every candidate with every query of the batch."""

from typing import Any

from keras import ops

from mmzoo import PositiveInt, global_batch
from mmzoo_matching.blocks import over_blocks, rows_of


@global_batch
def sigmoid(
    candidate_embedding: Any,
    query_embedding: Any,
    logit_scale: Any,
    logit_bias: Any,
    id: Any = None,
    *,
    block: PositiveInt = 256,
) -> Any:
    """Binary cross-entropy of every candidate with every query of the batch (SigLIP).

    `- sum over j of log sigmoid(s_ij (logit_scale candidate_i . query_j + logit_bias))`. `s_ij` is 1 for a candidate's own
    query and for every query with the same id, and -1 for the others. The sum over the queries is the paper's, so the loss
    grows with the batch. Start with a bias near -10.

    The matrix `(batch, batch)` is never stored. Logits are computed block by block, and again for the gradient.

    Source: Zhai et al. 2023, arXiv 2303.15343, section 3.2 and algorithm 1.

    Args:
        candidate_embedding: `(batch, dim)`, of length 1.
        query_embedding: `(batch, dim)`, of length 1; row i belongs to candidate i.
        logit_scale: `()`, the factor of the cosines: 1 / temperature.
        logit_bias: `()`, added to the scaled cosines.
        id: `(batch,)`, integers; pairs with the same id are positives of each other.
        block: Rows of logits that are computed at a time; memory grows with `block * batch`.

    Returns:
        `(batch,)`, float32.
    """
    id = ops.arange(ops.shape(candidate_embedding)[0], dtype="int32") if id is None else id
    # In half precision a sum over the batch would lose most of its terms.
    scale, bias, candidate, query = (
        ops.cast(value, "float32") for value in (logit_scale, logit_bias, candidate_embedding, query_embedding)
    )
    return _sums(id, block)(scale * candidate, query, bias)


def _sums(id: Any, block: int) -> Any:
    """Makes the function that returns the sum of each row, `(batch,)`."""

    def sums(candidate: Any, query: Any, bias: Any) -> Any:
        def signed(first: Any, fresh: Any) -> Any:
            own = ops.equal(rows_of(id, first, fresh)[:, None], id)
            sign = ops.where(own, 1.0, -1.0)
            return sign, sign * (ops.matmul(rows_of(candidate, first, fresh), ops.transpose(query)) + bias)

        def fold(first: Any, fresh: Any, values: Any) -> Any:
            return ops.slice_update(values, (first,), ops.sum(ops.softplus(-signed(first, fresh)[1]), axis=1))

        values = over_blocks(block, candidate, fold, ops.zeros_like(candidate[:, 0]))

        def gradient(output_gradients: Any) -> Any:
            def back(first: Any, fresh: Any, gradients: Any) -> Any:
                sign, logits = signed(first, fresh)
                of_logits = -rows_of(output_gradients, first, fresh)[:, None] * sign * ops.sigmoid(-logits)
                once = ops.where(fresh[:, None], of_logits, 0.0)
                of_queries = ops.matmul(ops.transpose(once), rows_of(candidate, first, fresh))
                of_candidates = ops.slice_update(gradients[0], (first, 0), ops.matmul(of_logits, query))
                return of_candidates, gradients[1] + of_queries, gradients[2] + ops.sum(once)

            start = (ops.zeros_like(candidate), ops.zeros_like(query), ops.zeros_like(bias))
            return over_blocks(block, candidate, back, start)

        return values, gradient

    return ops.custom_gradient(sums)
