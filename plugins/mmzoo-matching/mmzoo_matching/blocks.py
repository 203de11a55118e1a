"""Loops over blocks of a batch's rows, so that no matrix `(batch, batch)` is stored."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def over_blocks(block: int, rows: Any, fold: Callable[[Any, Any, Any], Any], state: Any) -> Any:
    """Folds over the blocks of a batch.

    All blocks have the same size, so the last one may overlap the one before it. `fresh` is true for rows that no earlier block
    had.

    Args:
        block: The maximum number of rows in a block.
        rows: `(batch, ...)`.
        fold: First row `()` of the block, `fresh` `(block,)`, state -> next state, of the same shapes.
        state: The initial tensors.

    Returns:
        The final state.
    """
    batch = ops.shape(rows)[0]
    count = -(-batch // block)
    # JAX traces shapes with a symbolic batch, which it cannot compare with a number.
    size = -(-batch // count) if isinstance(batch, int) or ops.is_tensor(batch) else batch

    def step(number: Any, state: Any) -> Any:
        # TensorFlow would run steps in parallel and hold all their blocks: make each depend on the one before it.
        after = 0 * ops.cast(ops.ravel(keras.tree.flatten(state)[-1])[0] > 0, "int32")
        first = ops.minimum(number * size, batch - size) + after
        return fold(first, first + ops.arange(size, dtype="int32") >= number * size, state)

    return ops.fori_loop(0, count, step, state)


def rows_of(values: Any, first: Any, fresh: Any) -> Any:
    """Slices a block out of `(batch, ...)`."""
    return ops.slice(values, (first, *(0 for _ in values.shape[1:])), (ops.shape(fresh)[0], *values.shape[1:]))
