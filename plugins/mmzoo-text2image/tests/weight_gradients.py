"""Gradients with respect to weights, on the backend at hand, compiled."""

import keras
import numpy as np


def value_and_gradients(layer, *inputs):
    """Calls a built layer in training and sums what it returns.

    Returns the sum and the gradients of the trainable weights. What the layer stores is stored.
    """
    found = (_on_jax if keras.backend.backend() == "jax" else _on_tensorflow)(layer, inputs)
    return keras.tree.map_structure(np.asarray, found)


def _on_tensorflow(layer, inputs):
    import tensorflow as tf

    @tf.function(autograph=False)
    def both(*inputs):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(*inputs, training=True))
        weights = [weight.value for weight in layer.trainable_weights]
        return total, tape.gradient(total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return both(*map(tf.constant, inputs))


def _on_jax(layer, inputs):
    import jax

    def total(weights, state):
        result, state = layer.stateless_call(weights, state, *inputs, training=True)
        return result.sum(), state

    weights, state = ([one.value for one in group] for group in (layer.trainable_weights, layer.non_trainable_variables))
    (value, state), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(weights, state)
    for variable, new in zip(layer.non_trainable_variables, state, strict=True):
        variable.assign(new)
    return value, gradients
