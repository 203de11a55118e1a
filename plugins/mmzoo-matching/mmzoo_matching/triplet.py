"""Triplet loss: a pair closer than its negatives in the batch, by a margin."""

from typing import Any, Literal

from keras import ops

from mmzoo import MmzooError, NonNegativeInt, PositiveFloat, global_batch

SMALLEST = 1e-12
"""The lower bound of the squared distance, where the gradient of the square root is finite."""


@global_batch
def triplet(
    candidate_embedding: Any,
    query_embedding: Any,
    id: Any = None,
    step: Any = None,
    *,
    negatives: Literal["all", "semi_hard", "hardest"] = "hardest",
    margin: PositiveFloat = 0.2,
    distance: Literal["cosine", "euclidean"] = "cosine",
    warm_up: NonNegativeInt = 0,
) -> Any:
    """Hinge loss with a margin over the negatives of the batch, in both directions (VSE++).

    The hinge of a negative is `max(0, margin + similarity of the negative - similarity of the pair)`. `negatives` reduces the
    hinges of the candidate with other queries to one number, and those of the query with other candidates to another. The loss
    of a pair is their sum, 0 without negatives. Training takes the mean over the batch, but the authors' code takes the sum, so
    their learning rate does not carry over. The only positive of a candidate is its own query. Other pairs with its id are not
    negatives; each has a loss of its own. The matrix `(batch, batch)` is stored.

    Source: Faghri et al. 2018, arXiv 1707.05612, equations 5 (`all`) and 6 (`hardest`); `semi_hard` after Schroff et al. 2015,
    arXiv 1503.03832, section 3.2, which leaves open the case in which no negative is farther than the pair.

    Args:
        candidate_embedding: `(batch, dim)`, of length 1.
        query_embedding: `(batch, dim)`, of length 1; row i belongs to candidate i.
        id: `(batch,)`, integers; pairs with the same id are not negatives of each other.
        step: `()`, the number of updates so far; only a warm-up needs it.
        negatives: `all` sums the hinges. `hardest` takes the largest hinge. `semi_hard` takes the largest hinge of the
            negatives that are farther than the pair, or the smallest hinge if no negative is.
        margin: How much closer a pair must be, in the unit of the distance.
        distance: The similarity is the cosine (`cosine`), or minus the distance, not squared (`euclidean`).
        warm_up: The number of updates for which `all` takes the place of `negatives`. Without a warm-up, training from scratch
            with the hardest negatives alone can collapse all embeddings into one.

    Returns:
        `(batch,)`.

    Raises:
        MmzooError: `warm_up` is set and `step` is missing.
    """
    if warm_up and step is None:
        raise MmzooError("the loss 'triplet' received no `step`; expected the number of updates, since there is a warm-up.")
    similarity = _similarity(candidate_embedding, query_embedding, distance)
    id = ops.arange(ops.shape(similarity)[0], dtype="int32") if id is None else id
    negative = ops.cast(ops.not_equal(id[:, None], id), similarity.dtype)
    reduce = {"all": _all, "semi_hard": _semi_hard, "hardest": _hardest}[negatives]

    def both(reduce: Any) -> Any:
        return reduce(similarity, negative, margin) + reduce(ops.transpose(similarity), negative, margin)

    return ops.where(step < warm_up, both(_all), both(reduce)) if warm_up else both(reduce)


def _similarity(candidate: Any, query: Any, distance: str) -> Any:
    cosine = ops.matmul(candidate, ops.transpose(query))
    if distance == "cosine":
        return cosine
    squares = ops.sum(ops.square(candidate), axis=1)[:, None] + ops.sum(ops.square(query), axis=1) - 2 * cosine
    return -ops.sqrt(ops.maximum(squares, SMALLEST))


def _hinges(similarity: Any, negative: Any, margin: float) -> Any:
    """Returns the hinge of each negative, and 0 for positives."""
    return negative * ops.relu(margin + similarity - ops.diagonal(similarity)[:, None])


def _all(similarity: Any, negative: Any, margin: float) -> Any:
    return ops.sum(_hinges(similarity, negative, margin), axis=1)


def _hardest(similarity: Any, negative: Any, margin: float) -> Any:
    return ops.max(_hinges(similarity, negative, margin), axis=1)


def _semi_hard(similarity: Any, negative: Any, margin: float) -> Any:
    farther = negative * ops.cast(similarity < ops.diagonal(similarity)[:, None], similarity.dtype)
    hinges = _hinges(similarity, negative, margin)
    easiest = ops.min(ops.where(negative > 0, hinges, ops.max(hinges, axis=1, keepdims=True)), axis=1)
    return ops.where(ops.any(farther > 0, axis=1), ops.max(hinges * farther, axis=1), easiest)
