"""Generators: published counts, shapes at every scale, attention against its formula, and what may not matter."""

import keras
import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.blocks import Residual, UpsampleConv2D, glu
from mmzoo_text2image.conditioning import ConditioningAugmentation
from mmzoo_text2image.generators import Stage1, Stage2, Tree
from mmzoo_text2image.gradients import input_gradients
from mmzoo_text2image.word_attention import WordAttention

from mmzoo import StreamError

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def symbol(*shape):
    return keras.KerasTensor((None, *shape))


def count(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


@pytest.mark.parametrize(("width", "published"), [(192, 20_020_832), (128, 10_301_248)])
def test_stage_1_has_the_published_count(width, published, uninitialized):
    stage = Stage1(64, width)
    assert stage(symbol(1024), symbol(stage.noise_size))["pictures"][0].shape == (None, 64, 64, 3)
    assert count(stage) == published


@pytest.mark.parametrize(("width", "residuals", "published"), [(192, 2, 37_130_480), (128, 4, 26_290_080)])
def test_stage_2_has_the_published_count(width, residuals, published, uninitialized):
    stage = Stage2(64, 256, width, residuals)
    assert stage.noise_size == 128
    assert stage(symbol(1024), symbol(128), symbol(64, 64, 3))["pictures"][0].shape == (None, 256, 256, 3)
    assert count(stage) == published


@pytest.mark.parametrize(
    ("options", "sentence", "published"),
    [
        ({"width": 64}, 1024, 21_239_696),
        ({"width": 32, "condition": 100, "words": True}, 256, 7_084_592),
        ({"width": 48, "condition": 100, "words": True, "residuals": 3}, 256, 13_811_456),
    ],
)
def test_the_tree_has_the_published_count(options, sentence, published, uninitialized):
    tree = Tree([64, 128, 256], **options)
    words = (symbol(18, 256), keras.KerasTensor((None, 18), "bool")) if tree.words else ()
    found = tree(symbol(sentence), symbol(tree.noise_size), *words)
    assert [picture.shape for picture in found["pictures"]] == [(None, size, size, 3) for size in (64, 128, 256)]
    assert [one.shape for one in found.get("attention", [])] == ([(None, 4096, 18), (None, 16384, 18)] if tree.words else [])
    assert count(tree) == published


def checked(found, sizes, condition):
    """Checks what every generator returns for two examples."""
    assert [picture.shape for picture in found["pictures"]] == [(2, size, size, 3) for size in sizes]
    for picture in found["pictures"]:
        assert keras.backend.standardize_dtype(picture.dtype) == "float32"
        assert 0 < np.abs(picture).max() <= 1
    assert found["mean"].shape == found["log_variance"].shape == (2, condition)


@pytest.mark.parametrize(("norm", "training"), [("batch", True), ("none", False)])
def test_small_generators_draw(norm, training):
    small = {"noise": 3, "condition": 4, "norm": norm}
    for size in (8, 32):
        stage = Stage1(size, 1, **small)
        checked(stage(normal(2, 5), normal(2, stage.noise_size), training=training), [size], 4)
    stage = Stage2(16, 32, 3, 1, 4, norm=norm)
    checked(stage(normal(2, 5), normal(2, 4), np.tanh(normal(2, 16, 16, 3)), training=training), [32], 4)
    for scales in ([8], [32], [16, 32]):
        for words in (False, True):
            tree = Tree(scales, 1, residuals=1, words=words, **small)
            found = tree(normal(2, 5), normal(2, tree.noise_size), normal(2, 3, 6), training=training)
            checked(found, scales, 4)
            assert ("attention" in found) == words
            assert all(weight.shape[-1] in (3, 4, 6, 16) or weight.shape[-1] >= 8 for weight in tree.trainable_weights)


def test_a_picture_does_not_depend_on_the_others_of_its_batch():
    tree = Tree([8, 16], 8, residuals=1, words=True)
    inputs = (
        normal(3, 5),
        normal(3, tree.noise_size),
        normal(3, 4, 6),
        np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], bool),
    )
    together = tree(*inputs)
    for row in range(3):
        alone = tree(*(one[row : row + 1] for one in inputs))
        for found, expected in zip(
            alone["pictures"] + alone["attention"], together["pictures"] + together["attention"], strict=True
        ):
            np.testing.assert_allclose(found[0], expected[row], rtol=1e-4, atol=1e-5)


def test_padding_of_a_caption_changes_nothing_whatever_it_holds():
    tree = Tree([8, 16], 8, residuals=1, words=True)
    sentence, noise, words = normal(2, 5), normal(2, tree.noise_size), normal(2, 4, 6)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    expected = tree(sentence, noise, words, mask)
    words[~mask] = np.nan
    padded = np.pad(words, ((0, 0), (0, 3), (0, 0)), constant_values=9), np.pad(mask, ((0, 0), (0, 3)))
    found = tree(sentence, noise, *padded)
    np.testing.assert_allclose(found["pictures"][-1], expected["pictures"][-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["attention"][0][..., :4], expected["attention"][0], rtol=1e-4, atol=1e-6)
    assert not np.any(np.asarray(found["attention"][0])[..., 4:])


def test_attention_is_its_formula():
    layer, features, words = WordAttention(3), normal(3, 2, 4, 3), normal(3, 5, 6)
    mask = np.array([[1, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    context, attention = layer(features, words, mask)
    kernel = np.asarray(layer.project.kernel, "float64")
    for row in range(3):
        projected = words[row].astype("float64") @ kernel
        for place in range(8):
            vector = features[row, place // 4, place % 4]
            weights = np.where(mask[row], np.exp(projected @ vector), 0)
            weights = weights / weights.sum() if mask[row].any() else weights
            np.testing.assert_allclose(attention[row, place], weights, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(context[row, place // 4, place % 4], weights @ projected, rtol=1e-4, atol=1e-5)


def test_one_word_has_all_attention():
    _, attention = WordAttention(3)(normal(2, 2, 2, 3), normal(2, 1, 6))
    np.testing.assert_array_equal(attention, np.ones((2, 4, 1)))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.maximum(x, 0.2 * x),
    "glu": lambda x: x[:, :6] / (1 + np.exp(-x[:, 6:])),
}


@pytest.mark.parametrize("mapping", [None, 4])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_condition_is_drawn_from_its_distribution(activation, mapping):
    layer, sentence, epsilon = ConditioningAugmentation(3, activation, mapping=mapping), normal(4, 5), normal(4, 3)
    layer(sentence, epsilon)
    steps = [*layer.mapping, layer.dense]
    assert len(steps) == (3 if mapping else 1)
    expected = sentence.astype("float64")
    for dense in steps:
        dense.bias.assign(normal(dense.units))
        activated = ACTIVATIONS["leaky_relu" if dense in layer.mapping else activation]
        expected = activated(expected @ np.asarray(dense.kernel) + np.asarray(dense.bias))
    condition, mean, log_variance = layer(sentence, epsilon)
    np.testing.assert_allclose(mean, expected[:, :3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(log_variance, expected[:, 3:], rtol=1e-4, atol=1e-5)
    drawn = expected[:, :3] + np.exp(expected[:, 3:] / 2) * epsilon
    np.testing.assert_allclose(condition, drawn, rtol=1e-4, atol=1e-5)


def test_upsampling_repeats_pixels_before_the_convolution():
    layer, features = UpsampleConv2D(4), normal(2, 3, 5, 2)
    found = layer(features)
    layer.bias.assign(normal(4))
    found = layer(features)
    padded = np.pad(features.repeat(2, axis=1).repeat(2, axis=2), ((0, 0), (1, 1), (1, 1), (0, 0))).astype("float64")
    kernel = np.asarray(layer.kernel)
    parts = [padded[:, row : row + 6, column : column + 10] @ kernel[row, column] for row in range(3) for column in range(3)]
    np.testing.assert_allclose(found, sum(parts) + np.asarray(layer.bias), rtol=1e-4, atol=1e-4)
    assert layer.compute_output_shape((None, 3, None, 2)) == (None, 6, None, 4)


def test_glu_gates_with_the_second_half_of_the_channels():
    features = normal(2, 3, 3, 8)
    expected = features[..., :4] / (1 + np.exp(-features[..., 4:].astype("float64")))
    np.testing.assert_allclose(glu(ops.convert_to_tensor(features)), expected, rtol=1e-5)


@pytest.mark.parametrize(("activation", "expected"), [("relu", lambda x: np.maximum(x, 0)), ("glu", lambda x: x)])
def test_only_stackgans_residual_block_ends_with_an_activation(activation, expected):
    block, features = Residual(4, activation=activation), normal(1, 3, 3, 4)
    block.build(features.shape)
    block.second.conv.kernel.assign(np.zeros(block.second.conv.kernel.shape))
    np.testing.assert_allclose(block(features), expected(features), atol=1e-6)


def test_stage_2_gives_the_picture_of_stage_1_no_gradient_but_draws_it_anew():
    stage = Stage2(16, 16, 3, 1, 4)
    sentence, noise, picture = normal(1, 5), normal(1, 4), np.tanh(normal(1, 16, 16, 3))
    first, second = (np.asarray(stage(sentence, noise, one)["pictures"][0]) for one in (picture, -picture))
    assert np.abs(first - second).max() > 0
    inputs = [ops.convert_to_tensor(one) for one in (noise, picture)]
    of_noise, of_picture = input_gradients(lambda noise, picture: stage(sentence, noise, picture)["pictures"][0], inputs)
    assert np.any(np.asarray(of_noise))
    assert not np.any(np.asarray(of_picture))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Stage1(48),
            "the generator 'Stage1' makes pictures of 48 pixels; expected a power of two from 8 on, such as 64.",
        ),
        (
            lambda: Stage1(4),
            "the generator 'Stage1' makes pictures of 4 pixels; expected a power of two from 8 on, such as 64.",
        ),
        (
            lambda: Stage2(64, 16),
            "the generator 'Stage2' makes pictures of 16 pixels; expected a power of two from 32 on, such as 64.",
        ),
        (
            lambda: Tree([16, 64]),
            "the generator 'Tree' received the scales [16, 64]; expected each twice the one before it, such as [16, 32].",
        ),
        (
            lambda: Tree([]),
            "the generator 'Tree' received the scales []; expected each twice the one before it, such as [16, 32].",
        ),
        (
            lambda: Tree([8, 16], 8, words=True)(normal(1, 5), normal(1, 228)),
            "the generator 'Tree' attends to words, received none. Give it the caption's words.",
        ),
        (
            lambda: Stage1(8, 1)(normal(1, 5), normal(1, 100)),
            "a generator received 100 numbers of noise; expected its noise_size, 228.",
        ),
    ],
)
def test_what_does_not_fit_is_said(make, said):
    with pytest.raises(StreamError) as error:
        make()
    assert said in str(error.value)  # Keras adds to what is said within a call
