"""Loops over blocks of a batch's rows, so that no table of batch by batch is held."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def over_blocks(block: int, rows: Any, fold: Callable[[Any, Any, Any], Any], state: Any) -> Any:
    """Folds over the blocks of a batch.

    The last block begins where it is full, so it may hold rows that the one before it held: `fresh` says which it does not.

    Args:
        block: The most rows in a block.
        rows: `(batch, ...)`.
        fold: The block's first row `()`, `fresh` `(block,)` and the state -> the next state, of the same shapes.
        state: Tensors to begin with.

    Returns:
        The last state.
    """
    batch = ops.shape(rows)[0]
    count = -(-batch // block)
    # JAX cannot compare with a batch that it knows by name only, when it traces nothing but shapes.
    size = -(-batch // count) if isinstance(batch, int) or ops.is_tensor(batch) else batch

    def step(number: Any, state: Any) -> Any:
        # Left free, TensorFlow runs several steps at a time and holds all their blocks: each needs the one before it.
        after = 0 * ops.cast(ops.ravel(keras.tree.flatten(state)[-1])[0] > 0, "int32")
        first = ops.minimum(number * size, batch - size) + after
        return fold(first, first + ops.arange(size, dtype="int32") >= number * size, state)

    return ops.fori_loop(0, count, step, state)


def rows_of(values: Any, first: Any, fresh: Any) -> Any:
    """Cuts a block out of `(batch, ...)`."""
    return ops.slice(values, (first, *(0 for _ in values.shape[1:])), (ops.shape(fresh)[0], *values.shape[1:]))
