"""Discriminators: published counts, small sizes, their options, and their state."""

import keras
import numpy as np
import pytest
from mmzoo_text2image.discriminators import Discriminator
from mmzoo_text2image.spectral import normalized

from mmzoo import StreamError

RNG = np.random.default_rng(0)
COUNTS = [
    ({"size": 64, "width": 96, "text_dim": 128, "alone": False}, 12_407_425),
    ({"size": 64, "width": 64, "text_dim": 128, "alone": False}, 5_715_713),
    ({"size": 256, "width": 96, "text_dim": 128}, 159_889_538),
    ({"size": 256, "width": 64, "text_dim": 128}, 71_269_122),
    ({"size": 64, "width": 64, "text_dim": 128}, 5_723_906),
    ({"size": 128, "width": 64, "text_dim": 128}, 18_834_178),
    ({"size": 64, "width": 64, "text_dim": 256}, 6_313_730),
    ({"size": 128, "width": 64, "text_dim": 256}, 19_424_002),
    ({"size": 256, "width": 64, "text_dim": 256}, 71_858_946),
    ({"size": 64, "width": 96, "text_dim": 256}, 13_304_450),
    ({"size": 128, "width": 96, "text_dim": 256}, 42_800_258),
    ({"size": 256, "width": 96, "text_dim": 256}, 160_774_274),
]


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def count(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


@pytest.mark.parametrize(("options", "published"), COUNTS)
def test_the_count_is_the_published_one(options, published, uninitialized):
    assert count(Discriminator(**options)) == published
    # A compressed text adds a dense layer, and makes the joint convolution smaller.
    compressed = Discriminator(**options, compress=32)
    text, channels = options["text_dim"], 8 * options["width"]
    assert count(compressed) == published + text * 32 + 32 - 9 * (text - 32) * channels


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize(("size", "channels"), [(16, 16), (32, 32), (64, 64), (128, 64)])
def test_every_size_leads_to_4_by_4(size, channels, norm, spectral):
    options = {"norm": norm, "spectral": spectral, "compress": 5, "alone": size > 16, "kernel": "normal"}
    discriminator = Discriminator(size, 8, 6, **options)
    features = discriminator.features(np.tanh(normal(2, size, size, 3)), training=True)
    assert features.shape == (2, 4, 4, channels)
    score, alone = discriminator.score(features, normal(2, 6), training=True), discriminator.score_alone(features)
    assert score.shape == (2,)
    assert (alone is None) if size == 16 else (alone.shape == (2,))
    assert np.isfinite(score).all()


def test_its_call_gives_both_scores():
    discriminator, pictures, text = Discriminator(16, 8, 6), normal(3, 16, 16, 3), normal(3, 6)
    features = discriminator.features(pictures)
    for found, expected in zip(
        discriminator(pictures, text), (discriminator.score(features, text), discriminator.score_alone(features)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_score_depends_on_the_text_and_the_score_alone_does_not():
    discriminator, pictures = Discriminator(16, 8, 6), normal(3, 16, 16, 3)
    (one, alone), (other, still) = (discriminator(pictures, normal(3, 6)) for _ in range(2))
    assert np.abs(np.subtract(one, other)).min() > 0
    np.testing.assert_array_equal(alone, still)


def test_the_first_convolution_alone_has_no_normalisation():
    blocks = Discriminator(64, 8, 6).encoder
    assert [block.norm is None for block in blocks] == [True, False, False, False]
    assert not any(block.conv.use_bias for block in blocks)
    assert all(block.conv.use_bias for block in Discriminator(64, 8, 6, norm="none").encoder)


def test_training_alone_changes_the_state():
    discriminator = Discriminator(16, 8, 6, spectral=True)
    state = [np.array(one) for one in discriminator.non_trainable_variables]
    assert len(state) == 2 + 1 + 1 + 1 + 2 + 2  # each convolution's singular vector, and two running means and variances
    pictures, text = normal(3, 16, 16, 3), normal(3, 6)
    discriminator(pictures, text)
    for before, variable in zip(state, discriminator.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(variable, before)
    discriminator(pictures, text, training=True)
    for before, variable in zip(state, discriminator.non_trainable_variables, strict=True):
        assert not np.array_equal(variable, before)


def test_with_spectral_normalisation_every_kernel_has_the_norm_1():
    discriminator = Discriminator(16, 8, 6, norm="none", spectral=True, compress=5)
    pictures, text = normal(2, 16, 16, 3), normal(2, 6)
    for _ in range(60):
        discriminator(pictures, text, training=True)
    layers = [layer for layer in discriminator._flatten_layers() if hasattr(layer, "singular_vector")]
    assert len(layers) == len([weight for weight in discriminator.trainable_weights if weight.name == "kernel"]) == 6
    for layer in layers:
        kernel = np.asarray(normalized(layer, layer.kernel, training=False))
        found = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
        np.testing.assert_allclose(found, 1, rtol=1e-2)


@pytest.mark.parametrize("size", [6, 48])
def test_a_size_that_does_not_fit_is_said(size):
    with pytest.raises(StreamError) as error:
        Discriminator(size, 8, 6)
    assert str(error.value) == (
        f"the discriminator reads pictures of {size} pixels; expected a power of two from 4 on, such as 64."
    )


def test_scores_are_in_float32_under_half_precision():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        score, alone = Discriminator(16, 8, 6, spectral=True)(normal(2, 16, 16, 3), normal(2, 6), training=True)
    finally:
        keras.config.set_dtype_policy(policy)
    assert [keras.backend.standardize_dtype(one.dtype) for one in (score, alone)] == ["float32"] * 2
