"""Losses of captioning against their formulas in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_captioning.losses import doubly_stochastic, token_cross_entropy

PAD = 0
WORDS = 6
few = settings(max_examples=25, deadline=None)


@st.composite
def captions(draw):
    """Logits and tokens; the real tokens of a row come first, as a processor gives them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    batch, length = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    tokens = rng.integers(1, WORDS, (batch, length))
    tokens[np.arange(length) >= rng.integers(0, length + 1, (batch, 1))] = PAD
    logits = rng.normal(0, draw(st.sampled_from([0.1, 3, 30])), (batch, length, WORDS)).astype("float32")
    return logits, tokens.astype("int32")


def softmax(logits):
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def cross_entropies(logits, tokens, smoothing):
    """The mean over each row's real tokens of - sum over words of (smoothed one-hot) * log p, one token at a time."""
    values = []
    for scores, ids in zip(logits.astype("float64"), tokens, strict=True):
        wanted = [np.eye(WORDS)[word] * (1 - smoothing) + smoothing / WORDS for word in ids if word != PAD]
        logs = [row - row.max() - np.log(np.exp(row - row.max()).sum()) for row in scores[: len(wanted)]]
        values.append(-np.sum(np.multiply(wanted, logs)) / len(wanted) if wanted else 0.0)
    return np.array(values)


def gradient(loss, tensor, *others, **options):
    tensor = tf.constant(tensor)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        total = tf.reduce_sum(loss(tensor, *others, **options))
    return tape.gradient(total, tensor).numpy()


def padded(values, steps, fill=0.0):
    """Appends steps."""
    return np.pad(values, [(0, 0), (0, steps)] + [(0, 0)] * (values.ndim - 2), constant_values=fill)


@few
@given(captions(), st.sampled_from([0.0, 0.1, 0.5]))
def test_cross_entropy_is_its_formula(caption, smoothing):
    logits, tokens = caption
    found = keras.ops.convert_to_numpy(token_cross_entropy(logits, tokens, label_smoothing=smoothing))
    assert found.shape == (len(tokens),)
    np.testing.assert_allclose(found, cross_entropies(logits, tokens, smoothing), rtol=1e-5, atol=1e-5)


@few
@given(captions(), st.sampled_from([0.0, 0.1]))
def test_the_sum_counts_every_token_the_same(caption, smoothing):
    logits, tokens = caption
    found = keras.ops.convert_to_numpy(token_cross_entropy(logits, tokens, label_smoothing=smoothing, reduction="sum"))
    expected = cross_entropies(logits, tokens, smoothing) * (tokens != PAD).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@few
@given(captions(), st.sampled_from([0.0, 0.1]))
def test_gradient_of_cross_entropy_is_its_formula(caption, smoothing):
    logits, tokens = caption
    real = (tokens != PAD)[..., None]
    wanted = np.eye(WORDS)[tokens] * (1 - smoothing) + smoothing / WORDS
    expected = (softmax(logits.astype("float64")) - wanted) * real / np.maximum(real.sum(1, keepdims=True), 1)
    np.testing.assert_allclose(gradient(token_cross_entropy, logits, tokens, label_smoothing=smoothing), expected, atol=1e-5)


@few
@given(captions(), st.sampled_from([0.0, 0.1]), st.integers(1, 4), st.sampled_from([0.0, 7.0, -1e9]))
def test_padding_changes_neither_cross_entropy_nor_its_gradient(caption, smoothing, steps, fill):
    logits, tokens = caption
    longer = padded(logits, steps, fill), padded(tokens, steps, PAD)
    values = [token_cross_entropy(*given, label_smoothing=smoothing) for given in ((logits, tokens), longer)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)
    gradients = [gradient(token_cross_entropy, *given, label_smoothing=smoothing) for given in ((logits, tokens), longer)]
    np.testing.assert_allclose(padded(gradients[0], steps), gradients[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("extreme", [1e4, 1e9, 1e30])
def test_cross_entropy_is_finite_at_extreme_logits(extreme, smoothing):
    logits = np.array([[[extreme, -extreme, 0.0]], [[-extreme, extreme, extreme]]], "float32")
    tokens = np.array([[1], [2]], "int32")
    assert np.isfinite(token_cross_entropy(logits, tokens, label_smoothing=smoothing)).all()
    assert np.isfinite(gradient(token_cross_entropy, logits, tokens, label_smoothing=smoothing)).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_least_at_the_smoothed_answer(smoothing):
    # Gibbs: it is never below the entropy of the wanted distribution, and equal where p is that distribution.
    wanted = np.full(WORDS, smoothing / WORDS) + np.eye(WORDS)[3] * (1 - smoothing)
    best = np.log(np.maximum(wanted, 1e-30))
    rng = np.random.default_rng(0)
    logits = np.concatenate([best[None], best + rng.normal(0, 2, (50, WORDS)), rng.normal(0, 3, (50, WORDS))]).astype("float32")
    values = np.array(token_cross_entropy(logits[:, None], np.full((101, 1), 3, "int32"), label_smoothing=smoothing))
    entropy = -np.sum(wanted * best)
    assert values[0] == pytest.approx(entropy, abs=1e-5)
    assert (values >= entropy - 1e-5).all()


def test_cross_entropy_of_even_odds_is_the_logarithm_of_the_vocabulary():
    values = token_cross_entropy(np.zeros((2, 3, WORDS), "float32"), np.array([[1, 2, 0], [5, 5, 5]], "int32"))
    np.testing.assert_allclose(values, np.log(WORDS), rtol=1e-6)


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 6))
def test_doubly_stochastic_is_its_formula(seed, length, regions):
    rng = np.random.default_rng(seed)
    attention = rng.dirichlet(np.ones(regions), (3, length)).astype("float32")
    tokens = rng.integers(0, 3, (3, length)).astype("int32")
    expected = []
    for looks, ids in zip(attention.astype("float64"), tokens, strict=True):
        totals = [sum(look[region] for look, word in zip(looks, ids, strict=True) if word != PAD) for region in range(regions)]
        expected.append(sum((1 - total) ** 2 for total in totals))
    np.testing.assert_allclose(doubly_stochastic(attention, tokens), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("steps", "regions"), [(1, 4), (3, 4), (4, 4), (9, 4), (12, 196)])
def test_doubly_stochastic_at_uniform_attention(steps, regions):
    attention, tokens = np.full((1, steps + 2, regions), 1 / regions, "float32"), np.array([[5] * steps + [PAD] * 2])
    np.testing.assert_allclose(
        doubly_stochastic(attention, tokens), [regions * (1 - steps / regions) ** 2], rtol=1e-4, atol=1e-9
    )


def test_doubly_stochastic_is_zero_only_if_every_total_is_one():
    permutation = np.eye(3)[[2, 0, 1]]  # each step at another region
    mixed = 0.5 * permutation + 0.5 * np.eye(3)
    one_more = np.concatenate([permutation[:2], permutation[:1]])  # the third region is never looked at
    attention = np.stack([permutation, mixed, one_more]).astype("float32")
    values = np.array(doubly_stochastic(attention, np.ones((3, 3), "int32")))
    np.testing.assert_allclose(values, [0, 0, 2], atol=1e-12)


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_padding_changes_neither_doubly_stochastic_nor_its_gradient(seed, steps):
    rng = np.random.default_rng(seed)
    attention = rng.dirichlet(np.ones(4), (2, 3)).astype("float32")
    tokens = np.array([[1, 2, 3], [4, 0, 0]], "int32")
    longer = padded(attention, steps, 0.25), padded(tokens, steps, PAD)
    np.testing.assert_allclose(doubly_stochastic(attention, tokens), doubly_stochastic(*longer), rtol=1e-6)
    gradients = gradient(doubly_stochastic, attention, tokens), gradient(doubly_stochastic, *longer)
    np.testing.assert_allclose(padded(gradients[0], steps), gradients[1], rtol=1e-6)
