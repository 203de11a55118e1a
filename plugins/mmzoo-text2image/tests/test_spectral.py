"""Spectral normalisation against the singular values that NumPy finds."""

import keras
import numpy as np
import pytest
from mmzoo_text2image.spectral import SpectralConv2D, SpectralDense, normalized
from weight_gradients import value_and_gradients

RNG = np.random.default_rng(0)


def largest(kernel):
    return np.linalg.svd(np.reshape(kernel, (-1, kernel.shape[-1])), compute_uv=False)[0]


def trained(layer, inputs, calls=60):
    """Returns the layer, called so often in training that the power iteration has converged."""
    layer.build(inputs.shape)
    layer.kernel.assign(3 * RNG.normal(size=layer.kernel.shape))
    for _ in range(calls):
        layer(inputs, training=True)
    return layer


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(SpectralDense(4, use_bias=False), (2, 6)), (SpectralConv2D(5, 3), (1, 4, 4, 2)), (SpectralConv2D(1, 4), (1, 4, 4, 2))],
)
def test_the_largest_singular_value_becomes_1(layer, shape):
    layer = trained(layer, RNG.normal(size=shape).astype("float32"))
    assert largest(np.asarray(layer.kernel)) > 2
    kernel = np.asarray(normalized(layer, layer.kernel, training=False))
    assert kernel.shape == layer.kernel.shape
    np.testing.assert_allclose(largest(kernel), 1, rtol=1e-3)


def test_no_output_is_longer_than_its_input():
    layer = trained(SpectralDense(4, use_bias=False), np.eye(6, dtype="float32"))
    inputs = RNG.normal(size=(100, 6)).astype("float32")
    lengths = np.linalg.norm(np.asarray(layer(inputs)), axis=1) / np.linalg.norm(inputs, axis=1)
    assert 0.3 < lengths.max() <= 1.001


def test_outputs_are_those_of_the_divided_kernel_with_bias_and_activation():
    inputs = RNG.normal(size=(3, 6)).astype("float32")
    layer = trained(SpectralDense(4, activation="relu"), inputs)
    layer.bias.assign([0.1, -0.2, 0.3, 0.0])
    kernel = np.asarray(layer.kernel, "float64")
    expected = np.maximum(inputs @ kernel / largest(kernel) + np.asarray(layer.bias), 0)
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-3, atol=1e-4)


def test_training_alone_changes_the_state():
    layer = SpectralConv2D(5, 3)
    inputs = RNG.normal(size=(1, 4, 4, 2)).astype("float32")
    layer.build(inputs.shape)
    kernel, vector = np.array(layer.kernel), np.array(layer.singular_vector)
    once = np.array(layer(inputs))
    np.testing.assert_array_equal(layer(inputs), once)
    np.testing.assert_array_equal(layer.singular_vector, vector)
    np.testing.assert_allclose(layer(inputs, training=True), once, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(layer.singular_vector, vector)
    np.testing.assert_array_equal(layer.kernel, kernel)
    layer.trainable = False
    vector = np.array(layer.singular_vector)
    layer(inputs, training=True)
    np.testing.assert_array_equal(layer.singular_vector, vector)


@pytest.mark.parametrize("layer", [SpectralConv2D(5, 3), SpectralDense(4, use_bias=False)])
def test_the_state_is_saved_with_the_weights(layer, tmp_path):
    shape = (None, 4, 4, 2) if isinstance(layer, SpectralConv2D) else (None, 6)
    model, again = (keras.Sequential([keras.Input(shape[1:]), type(layer).from_config(layer.get_config())]) for _ in range(2))
    model.save_weights(tmp_path / "saved.weights.h5")
    again.load_weights(tmp_path / "saved.weights.h5")
    for mine, theirs in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_kernel_of_zeros_gives_zeros():
    layer = SpectralDense(4)
    layer.build((None, 6))
    layer.kernel.assign(np.zeros((6, 4)))
    assert not np.any(np.asarray(layer(np.ones((1, 6), "float32"), training=True)))


def test_the_gradient_passes_through_the_norm_and_the_state_is_stored_in_a_compiled_step():
    # d(W / s) = dW / s - W ds / s^2, where ds is the product of dW with the first pair of singular vectors.
    inputs = np.eye(6, dtype="float32")
    layer = trained(SpectralDense(4, use_bias=False), inputs)
    kernel = np.asarray(layer.kernel, "float64")
    left, values, right = np.linalg.svd(kernel)
    expected = np.ones((6, 4)) / values[0] - kernel.sum() / values[0] ** 2 * np.outer(left[:, 0], right[0])
    layer.singular_vector.assign(right[:1] + 0.01)
    before = np.array(layer.singular_vector)
    total, (gradient,) = value_and_gradients(layer, inputs)
    np.testing.assert_allclose(total, kernel.sum() / values[0], rtol=1e-3)
    np.testing.assert_allclose(gradient, expected, rtol=1e-2, atol=1e-2)
    np.testing.assert_allclose(np.linalg.norm(layer.singular_vector), 1, rtol=1e-5)
    assert np.abs(np.abs(np.asarray(layer.singular_vector) @ right[0]) - 1) < 1e-4 < np.abs(np.linalg.norm(before) - 1)


def test_half_precision_keeps_the_norm():
    layer = SpectralDense(4, use_bias=False, dtype=keras.DTypePolicy("mixed_bfloat16"))
    layer = trained(layer, np.eye(6, dtype="float32"))
    found = layer(np.eye(6, dtype="float32"))
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    np.testing.assert_allclose(largest(np.asarray(keras.ops.cast(found, "float32"))), 1, rtol=0.02)
