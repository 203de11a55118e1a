"""Gradients with respect to inputs, first and second order, against closed forms and finite differences in float64."""

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.gradients import input_gradients
from weight_gradients import value_and_gradients

from mmzoo import MmzooError

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(3, 4)).astype("float32")
TEXTS = RNG.normal(size=(3, 2)).astype("float32")


class Penalty(keras.layers.Layer):
    """The squared norms of the gradients of `tanh(x W + y U) v`, per example."""

    def __init__(self):
        super().__init__()
        self.pictures, self.texts, self.out = (keras.layers.Dense(size, use_bias=False) for size in (5, 5, 1))

    def score(self, pictures, texts):
        return self.out(ops.tanh(self.pictures(pictures) + self.texts(texts)))[:, 0]

    def call(self, pictures, texts, training=False):
        gradients = input_gradients(self.score, [pictures, texts])
        return sum(ops.sum(ops.square(gradient), axis=1) for gradient in gradients)


def penalty(weights):
    (of_pictures, of_texts, out), pictures, texts = weights, INPUTS.astype("float64"), TEXTS.astype("float64")
    inner = (1 - np.tanh(pictures @ of_pictures + texts @ of_texts) ** 2) * out[:, 0]
    return np.sum((inner @ of_pictures.T) ** 2, axis=1) + np.sum((inner @ of_texts.T) ** 2, axis=1)


def differences(function, weights, step=1e-5):
    """Computes the gradient of a sum of values by central differences."""
    gradients = [np.zeros(weight.shape) for weight in weights]
    for weight, gradient in zip(weights, gradients, strict=True):
        for place in np.ndindex(weight.shape):
            before, sums = weight[place], []
            for change in (step, -step):
                weight[place] = before + change
                sums.append(np.sum(function(weights)))
            weight[place], gradient[place] = before, (sums[0] - sums[1]) / (2 * step)
    return gradients


def test_gradients_of_a_cubic_are_its_derivative():
    twice, none = input_gradients(lambda x, y: x**3, [ops.convert_to_tensor(INPUTS), ops.convert_to_tensor(TEXTS)])
    np.testing.assert_allclose(twice, 3 * INPUTS**2, rtol=1e-5)
    np.testing.assert_array_equal(none, np.zeros_like(TEXTS))


def test_what_the_function_finds_elsewhere_is_constant():
    inputs = ops.convert_to_tensor(INPUTS)
    (gradient,) = input_gradients(lambda x: x * inputs, [inputs])
    np.testing.assert_allclose(gradient, INPUTS, rtol=1e-6)


def test_gradients_can_be_differentiated_again():
    def squares(x):
        return ops.square(input_gradients(lambda x: x**3, [x])[0])

    (gradient,) = input_gradients(squares, [ops.convert_to_tensor(INPUTS)])
    np.testing.assert_allclose(gradient, 36 * INPUTS**3, rtol=1e-4, atol=1e-5)


def test_a_penalty_and_its_gradients_of_the_weights_are_right():
    layer = Penalty()
    layer(keras.KerasTensor((None, 4)), keras.KerasTensor((None, 2)))
    weights = [np.array(weight, "float64") for weight in layer.trainable_weights]
    np.testing.assert_allclose(layer(INPUTS, TEXTS), penalty(weights), rtol=1e-4)
    total, gradients = value_and_gradients(layer, INPUTS, TEXTS)
    np.testing.assert_allclose(total, penalty(weights).sum(), rtol=1e-4)
    for found, expected in zip(gradients, differences(penalty, weights), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


class PictureGradient(keras.layers.Layer):
    """The squared norm of the gradient of both scores of a discriminator with respect to the pictures, per example."""

    def __init__(self, **options):
        super().__init__(autocast=False)
        self.discriminator = Discriminator(8, 8, 3, **options)
        self.built = True

    def score(self, pictures, texts):
        features = self.discriminator.features(pictures, training=True)
        alone = self.discriminator.score_alone(features, training=True)
        return self.discriminator.score(features, texts, training=True) + alone

    def call(self, pictures, texts, training=False):
        (gradient,) = input_gradients(lambda pictures: self.score(pictures, texts), [pictures])
        return ops.sum(ops.square(gradient), axis=(1, 2, 3))


NORMS = [{"norm": "none"}, {"norm": "batch"}, {"norm": "none", "spectral": True}]


@pytest.mark.parametrize("options", NORMS)
def test_a_penalty_in_a_compiled_step_stores_the_state_of_the_layers(options):
    layer = PictureGradient(**options)
    states = [np.array(one) for one in layer.non_trainable_variables]
    pictures = RNG.normal(size=(4, 8, 8, 3)).astype("float32")
    _, gradients = value_and_gradients(layer, pictures, RNG.normal(size=(4, 3)).astype("float32"))
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert any(np.abs(gradient).max() > 1e-4 for gradient in gradients)
    for before, variable in zip(states, layer.non_trainable_variables, strict=True):
        assert np.isfinite(variable).all()
        assert not np.array_equal(before, variable)


@pytest.fixture
def float64(monkeypatch):
    # Where a leaky ReLU changes its sign, the penalty jumps, and differences are wrong.
    monkeypatch.setattr(ops, "leaky_relu", lambda features, negative_slope: ops.softplus(features))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX has float64 only where all of it is set so")
@pytest.mark.parametrize("options", NORMS)
def test_a_discriminators_penalty_agrees_with_differences(options, float64):
    layer = PictureGradient(**options)
    pictures, texts = RNG.normal(size=(2, 8, 8, 3)), RNG.normal(size=(2, 3))
    state = [np.array(one) for one in layer.non_trainable_variables]

    def again(function, *inputs):
        for variable, value in zip(layer.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return function(*inputs)

    # Along a direction of the picture: the gradient itself.
    direction, step = RNG.normal(size=pictures.shape), 1e-6
    (gradient,) = again(input_gradients, lambda pictures: layer.score(pictures, texts), [ops.convert_to_tensor(pictures)])
    up, down = (np.sum(again(layer.score, pictures + sign * step * direction, texts)) for sign in (1, -1))
    np.testing.assert_allclose(np.sum(np.asarray(gradient) * direction), (up - down) / (2 * step), rtol=1e-6)
    # Along a direction of each weight: the gradient of the penalty.
    _, gradients = again(value_and_gradients, layer, pictures, texts)
    for weight, found in zip(layer.trainable_weights, gradients, strict=True):
        before, direction, sums = np.array(weight), RNG.normal(size=weight.shape), []
        for sign in (1, -1):
            weight.assign(before + sign * step * direction)
            sums.append(float(np.sum(again(layer, pictures, texts))))
        weight.assign(before)
        expected = (sums[0] - sums[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(found * direction), expected, rtol=1e-5, atol=1e-6, err_msg=weight.path)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(MmzooError) as error:
        input_gradients(lambda x: x, [INPUTS])
    assert str(error.value) == (
        "the gradient with respect to inputs is there on tensorflow and jax, not on Keras' backend 'torch'. "
        "Leave out gradient penalties, or set KERAS_BACKEND to one of the two."
    )
