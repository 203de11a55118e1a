"""SigLIP's loss: each picture and each text of a batch, a pair or not."""

from typing import Any

from keras import ops

from mmzoo import PositiveInt, global_batch
from mmzoo_matching.blocks import over_blocks, rows_of


@global_batch
def sigmoid(
    image_embedding: Any, text_embedding: Any, logit_scale: Any, logit_bias: Any, id: Any = None, *, block: PositiveInt = 256
) -> Any:
    """Sums, for each picture, the cross-entropies of telling which texts of the batch are its own.

    `- sum over j of log sigmoid(s_ij (logit_scale image_i . text_j + logit_bias))`, where `s_ij` is 1 for a picture's own text
    and for every text with the same id, -1 for the others. It is summed over the texts as in the paper, so it grows with the
    batch; begin with a bias near -10.

    No table of batch by batch is kept: logits are made block by block, for the gradient a second time.

    Source: Zhai et al. 2023, arXiv 2303.15343, section 3.2 and algorithm 1.

    Args:
        image_embedding: `(batch, dim)`, of length 1.
        text_embedding: `(batch, dim)`, of length 1; row i belongs to picture i.
        logit_scale: `()`, what the cosines are multiplied by: 1 / temperature.
        logit_bias: `()`, what is added to them.
        id: `(batch,)`, whole numbers; pairs with the same one belong to each other.
        block: Rows of logits that are held at a time; memory grows with `block * batch`.

    Returns:
        `(batch,)`.
    """
    id = ops.arange(ops.shape(image_embedding)[0], dtype="int32") if id is None else id
    return _sums(id, block)(logit_scale * image_embedding, text_embedding, ops.cast(logit_bias, image_embedding.dtype))


def _sums(id: Any, block: int) -> Any:
    """Makes the function that gives the sum of each row, `(batch,)`."""

    def sums(image: Any, text: Any, bias: Any) -> Any:
        def signed(first: Any, fresh: Any) -> Any:
            own = ops.equal(rows_of(id, first, fresh)[:, None], id)
            sign = ops.where(own, 1.0, -1.0)
            return sign, sign * (ops.matmul(rows_of(image, first, fresh), ops.transpose(text)) + bias)

        def fold(first: Any, fresh: Any, values: Any) -> Any:
            return ops.slice_update(values, (first,), ops.sum(ops.softplus(-signed(first, fresh)[1]), axis=1))

        values = over_blocks(block, image, fold, ops.zeros_like(image[:, 0]))

        def gradient(upstream: Any) -> Any:
            def back(first: Any, fresh: Any, gradients: Any) -> Any:
                sign, logits = signed(first, fresh)
                slopes = -rows_of(upstream, first, fresh)[:, None] * sign * ops.sigmoid(-logits)
                once = ops.where(fresh[:, None], slopes, 0.0)
                texts = ops.matmul(ops.transpose(once), rows_of(image, first, fresh))
                images = ops.slice_update(gradients[0], (first, 0), ops.matmul(slopes, text))
                return images, gradients[1] + texts, gradients[2] + ops.sum(once)

            return over_blocks(block, image, back, (ops.zeros_like(image), ops.zeros_like(text), ops.zeros_like(bias)))

        return values, gradient

    return ops.custom_gradient(sums)
