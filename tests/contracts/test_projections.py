"""Projections as products of matrices: the numbers and files of Keras' own layer."""

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from mmzoo import plain_products

DRAW = np.random.default_rng(0)


def gradients(layer: Any, weights: list[Any], compute: Any) -> list[Any]:
    """Gives the gradient of the sum of squares of what `compute` gives, on either backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            total = ops.sum(ops.square(compute()))
        return [np.asarray(one) for one in tape.gradient(total, [weight.value for weight in weights])]
    import jax

    def loss(values: list[Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
            return ops.sum(ops.square(compute()))

    return [np.asarray(one) for one in jax.grad(loss)([weight.value for weight in weights])]


def two(**options: Any) -> tuple[Any, Any]:
    """Gives Keras' attention and one that computes by products, of the same weights."""
    pair = [keras.layers.MultiHeadAttention(3, 4, **options) for _ in range(2)]
    for layer in pair:
        layer.build((2, 6, 8), (2, 7, 9))
    for weight, source in zip(pair[1].weights, pair[0].weights, strict=True):
        source.assign(DRAW.normal(scale=0.3, size=source.shape))
        weight.assign(source)
    plain_products(pair[1])
    return pair[0], pair[1]


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({}, {}),
        ({"use_bias": False}, {}),
        ({}, {"attention_mask": DRAW.random((2, 6, 7)) < 0.7}),
        ({"dropout": 0.5, "seed": 3}, {"training": True}),
        ({"use_gate": True}, {}),
        ({"output_shape": (2, 3)}, {}),
    ],
)
def test_attention_is_that_of_keras(options: dict[str, Any], call: dict[str, Any]) -> None:
    query, value = (ops.convert_to_tensor(DRAW.normal(size=shape), "float32") for shape in ((2, 6, 8), (2, 7, 9)))
    outputs, slopes = [], []
    for layer in two(**options):
        outputs.append(np.asarray(layer(query, value, **call)))
        slopes.append(gradients(layer, layer.trainable_weights, lambda layer=layer: layer(query, value, **call)))
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
    largest = max(np.abs(one).max() for one in slopes[0])  # a key's bias has no slope but rounding
    for found, wanted in zip(slopes[1], slopes[0], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5 * largest)


def test_causal_attention_in_bfloat16_is_that_of_keras() -> None:
    states = ops.convert_to_tensor(DRAW.normal(size=(2, 6, 8)), "bfloat16")
    layers = [keras.layers.MultiHeadAttention(2, 4, dtype="mixed_bfloat16") for _ in range(2)]
    for layer in layers:
        layer.build((2, 6, 8), (2, 6, 8))
    layers[1].set_weights(layers[0].get_weights())
    plain_products(layers[1])
    wanted, found = (layer(states, states, use_causal_mask=True) for layer in layers)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    np.testing.assert_allclose(ops.cast(found, "float32"), ops.cast(wanted, "float32"), atol=0.02)


@pytest.mark.parametrize(("equation", "shape"), [("...x,xy->...y", (3,)), ("abc,cde->abde", (None, 3, 2))])
def test_a_projection_is_the_float64_product(equation: str, shape: tuple[int | None, ...]) -> None:
    layer = keras.layers.EinsumDense(equation, shape)
    layer.build((2, 4, 5))
    plain_products(layer)
    inputs = DRAW.normal(size=(2, 4, 5))
    wanted = np.einsum(equation, inputs, np.asarray(layer.kernel, "float64"))
    assert type(layer) is not keras.layers.EinsumDense
    np.testing.assert_allclose(layer(ops.convert_to_tensor(inputs, "float32")), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("equation", ["abc,dc->abd", "abc,bcd->abd", "abc,cd->adb"])
def test_another_sum_stays_keras_own(equation: str) -> None:
    layer = keras.layers.EinsumDense(equation, (None, 3))
    plain_products(layer)
    assert type(layer) is keras.layers.EinsumDense


def test_files_are_those_of_keras_layers(tmp_path: Path) -> None:
    names: list[set[str]] = []
    for number, layer in enumerate(two()):
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
        model.attention = layer
        model.save_weights(tmp_path / f"{number}.weights.h5")
        with h5py.File(tmp_path / f"{number}.weights.h5") as file:
            found: set[str] = set()
            file.visit(found.add)
            names.append(found)
    assert names[0] == names[1]
    assert any("query_dense" in name for name in names[0])
