"""Gradients with respect to inputs, for penalties. The one file that knows TensorFlow and JAX: `keras.ops` has no gradient."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras

from mmzoo import MmzooError


def input_gradients(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    """Computes the gradient of the sum of a function's result with respect to each input.

    The gradients can be differentiated again, with respect to inputs and weights, so they may be part of a loss. It may be
    called within a layer's `call`. The function may call layers: what they update, such as running means, is updated. What the
    function finds elsewhere counts as constant, even where it is the same tensor as an input.

    Args:
        function: Tensors -> a tensor of any shape, such as the scores `(batch,)`.
        inputs: The tensors, floating point. Where the result of an example depends on this example alone, its rows of the
            gradients are those of its own result.

    Returns:
        Gradients, one per input and of its shape; 0 where the function does not depend on the input.

    Raises:
        MmzooError: Keras runs on a backend other than TensorFlow and JAX.
    """
    backend = keras.backend.backend()
    ways = {"tensorflow": _by_tape, "jax": _by_transformation}
    if backend not in ways:
        raise MmzooError(
            f"the gradient with respect to inputs is there on tensorflow and jax, not on Keras' backend '{backend}'. "
            "Leave out gradient penalties, or set KERAS_BACKEND to one of the two."
        )
    return ways[backend](function, inputs)


def _by_tape(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    import tensorflow as tf

    inputs = [tf.identity(one) for one in inputs]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(function(*inputs))
    return tape.gradient(total, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _by_transformation(function: Callable[..., Any], inputs: Sequence[Any]) -> list[Any]:
    import jax

    scope = _Updates()
    updated: list[Any] = []

    def total(*inputs: Any) -> tuple[Any, list[Any]]:
        with scope:
            result = function(*inputs).sum()
        updated[:] = scope.updated.values()
        return result, [scope.get_current_value(variable) for variable in updated]

    gradients, values = jax.grad(total, argnums=tuple(range(len(inputs))), has_aux=True)(*inputs)
    # The updates leave the transformation as values; as they are inside of it, nothing outside could use them.
    for variable, value in zip(updated, values, strict=True):
        variable.assign(value)
    return list(gradients)


class _Updates(keras.StatelessScope):
    """A scope inside of the current one: sees its values, and keeps the updates to itself."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self.updated: dict[int, Any] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        if self.original_scope is not None:
            self.state_mapping = dict(self.original_scope.state_mapping)
        return self

    def add_update(self, update: tuple[Any, Any]) -> None:
        super().add_update(update)
        self.updated[id(update[0])] = update[0]
