"""Triplet loss: a picture and its text nearer to each other than to the batch's others, by a margin."""

from typing import Any, Literal

from keras import ops

from mmzoo import MmzooError, NonNegativeInt, PositiveFloat, global_batch

SMALLEST = 1e-12
"""The least squared distance: the root's slope is finite there."""


@global_batch
def triplet(
    image_embedding: Any,
    text_embedding: Any,
    id: Any = None,
    step: Any = None,
    *,
    negatives: Literal["all", "semi_hard", "hardest"] = "hardest",
    margin: PositiveFloat = 0.2,
    distance: Literal["cosine", "euclidean"] = "cosine",
    warm_up: NonNegativeInt = 0,
) -> Any:
    """Asks that a pair is nearer, by a margin, than its picture and its text are to others of the batch.

    The hinge of a negative is `max(0, margin + nearness of the negative - nearness of the pair)`. Per pair, what `negatives`
    makes of the hinges of the picture with other texts plus the same of the text with other pictures. Training takes the mean
    over the batch, where the authors' code takes the sum, so a learning rate from there does not carry over. 0 without
    negatives. The positive of a picture is its own text: others with its id are no negatives, and pull as pairs of their own.
    The table of batch by batch is kept.

    Source: Faghri et al. 2018, arXiv 1707.05612, equations 5 (`all`) and 6 (`hardest`); `semi_hard` after Schroff et al. 2015,
    arXiv 1503.03832, section 3.2, which does not say what to do where no negative is farther than the pair.

    Args:
        image_embedding: `(batch, dim)`, of length 1.
        text_embedding: `(batch, dim)`, of length 1; row i belongs to picture i.
        id: `(batch,)`, whole numbers; pairs with the same one are no negatives of each other.
        step: `()`, how many updates the training has made; only a warm-up needs it.
        negatives: `all` sums the hinges, `hardest` takes the largest, `semi_hard` the largest of the negatives that are farther
            than the pair, and the smallest hinge where there is none.
        margin: How much nearer a pair must be, in the unit of the distance.
        distance: `cosine`: nearness is the cosine; `euclidean`: less the distance, not squared.
        warm_up: Updates for which all negatives count, before those that `negatives` names: from scratch the hardest alone
            let all embeddings collapse into one.

    Returns:
        `(batch,)`.

    Raises:
        MmzooError: There is a warm-up, and no `step`.
    """
    if warm_up and step is None:
        raise MmzooError("the loss 'triplet' received no `step`; expected the number of updates, since there is a warm-up.")
    near = _nearness(image_embedding, text_embedding, distance)
    id = ops.arange(ops.shape(near)[0], dtype="int32") if id is None else id
    other = ops.cast(ops.not_equal(id[:, None], id), near.dtype)
    pick = {"all": _all, "semi_hard": _semi_hard, "hardest": _hardest}[negatives]

    def both(pick: Any) -> Any:
        return pick(near, other, margin) + pick(ops.transpose(near), other, margin)

    return ops.where(step < warm_up, both(_all), both(pick)) if warm_up else both(pick)


def _nearness(image: Any, text: Any, distance: str) -> Any:
    cosine = ops.matmul(image, ops.transpose(text))
    if distance == "cosine":
        return cosine
    squares = ops.sum(ops.square(image), axis=1)[:, None] + ops.sum(ops.square(text), axis=1) - 2 * cosine
    return -ops.sqrt(ops.maximum(squares, SMALLEST))


def _hinges(near: Any, other: Any, margin: float) -> Any:
    """Gives the hinge of each negative, 0 where there is none."""
    return other * ops.relu(margin + near - ops.diagonal(near)[:, None])


def _all(near: Any, other: Any, margin: float) -> Any:
    return ops.sum(_hinges(near, other, margin), axis=1)


def _hardest(near: Any, other: Any, margin: float) -> Any:
    return ops.max(_hinges(near, other, margin), axis=1)


def _semi_hard(near: Any, other: Any, margin: float) -> Any:
    farther = other * ops.cast(near < ops.diagonal(near)[:, None], near.dtype)
    hinges = _hinges(near, other, margin)
    easiest = ops.min(ops.where(other > 0, hinges, ops.max(hinges, axis=1, keepdims=True)), axis=1)
    return ops.where(ops.any(farther > 0, axis=1), ops.max(hinges * farther, axis=1), easiest)
