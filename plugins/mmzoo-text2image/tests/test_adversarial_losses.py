"""Losses of adversarial training against their formulas in float64."""

from itertools import product

import numpy as np
import pytest
from keras import ops
from mmzoo_text2image.gradients import input_gradients
from mmzoo_text2image.losses import discriminator, generator, kl, ma_gp, matching, r1

RNG = np.random.default_rng(0)


def normal(*shape):
    return (3 * RNG.normal(size=shape)).astype("float32")


def true(logit, form):
    return np.log1p(np.exp(-float(logit))) if form == "cross_entropy" else max(0, 1 - float(logit))


def false(logit, form):
    return np.log1p(np.exp(float(logit))) if form == "cross_entropy" else max(0, 1 + float(logit))


REAL, GENERATED, MISMATCHED = normal(4, 3), normal(4, 3), normal(4, 3, 2)
REAL_ALONE, GENERATED_ALONE = normal(4, 3), normal(4, 3)


@pytest.mark.parametrize("form", ["cross_entropy", "hinge"])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_the_discriminators_loss_is_its_formula(form, average, alone):
    expected = np.zeros(4)
    for row, scale in product(range(4), range(3)):
        trues = [true(REAL[row, scale], form)]
        falses = [false(GENERATED[row, scale], form), np.mean([false(one, form) for one in MISMATCHED[row, scale]])]
        if alone:
            trues.append(true(REAL_ALONE[row, scale], form) * (1 if average else 2))
            falses.append(false(GENERATED_ALONE[row, scale], form))
        expected[row] += np.mean(trues) + np.mean(falses) if average else sum(trues) + sum(falses)
    given = (REAL_ALONE, GENERATED_ALONE) if alone else ()
    found = discriminator(REAL, MISMATCHED, GENERATED, *given, form=form, average=average)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_published_weights_are_those_of_both_stages():
    # Stage I: real + (generated + mismatched) / 2. Stage II: (real + alone) / 2 + (generated + mismatched + alone) / 3.
    one = np.ones((1, 1), "float32")
    costs = np.log1p(np.exp(-1.0)), np.log1p(np.exp(1.0))
    np.testing.assert_allclose(discriminator(one, one[..., None], one), [sum(costs)], rtol=1e-6)
    twos = (one * 100, one * 100)  # a sure true term, and a false one of 100
    found = discriminator(one, one[..., None], one, *twos)
    np.testing.assert_allclose(found, [costs[0] / 2 + (2 * costs[1] + 100) / 3], rtol=1e-6)


@pytest.mark.parametrize("alone", [False, True])
def test_the_generators_loss_is_its_formula(alone):
    given = (REAL, REAL_ALONE) if alone else (REAL,)
    expected = sum(np.log1p(np.exp(-one.astype("float64"))).sum(1) for one in given)
    np.testing.assert_allclose(generator(*given), expected, rtol=1e-5)
    np.testing.assert_allclose(generator(*given, form="hinge"), -sum(one.sum(1) for one in given), rtol=1e-5)


def test_the_loss_of_matching_is_the_cross_entropy_of_the_own_text():
    logits = np.concatenate([GENERATED[..., None], MISMATCHED], axis=2).astype("float64")
    shares = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    np.testing.assert_allclose(matching(GENERATED, MISMATCHED), -np.log(shares[..., 0]).sum(1), rtol=1e-5)


def test_a_masked_logit_of_a_mismatch_costs_nothing():
    for form in ("cross_entropy", "hinge"):
        some = np.full((1, 1, 1), -1e9, "float32")
        found = discriminator(REAL[:1, :1], some, GENERATED[:1, :1], form=form)
        expected = true(REAL[0, 0], form) + false(GENERATED[0, 0], form) / 2
        np.testing.assert_allclose(found, [expected], rtol=1e-5)
    np.testing.assert_allclose(matching(GENERATED[:1, :1], some), [0], atol=1e-6)


def test_the_divergence_is_its_formula():
    mean, log_variance = normal(4, 3), normal(4, 3) / 3
    wide = log_variance.astype("float64")
    expected = -0.5 * (1 + wide - mean.astype("float64") ** 2 - np.exp(wide))
    np.testing.assert_allclose(kl(mean, log_variance), expected.mean(1), rtol=1e-5)
    np.testing.assert_allclose(kl(mean, log_variance, reduction="sum"), expected.sum(1), rtol=1e-5)
    np.testing.assert_array_equal(kl(np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32")), [0, 0])


def test_the_penalties_are_their_formulas():
    picture, text = np.abs(normal(4)), np.abs(normal(4))
    np.testing.assert_allclose(r1(picture, gamma=3.0), 1.5 * picture, rtol=1e-6)
    norm = np.sqrt(picture.astype("float64") + text)
    np.testing.assert_allclose(ma_gp(picture, text), norm**6, rtol=1e-5)
    np.testing.assert_allclose(ma_gp(picture, text, power=1), norm, rtol=1e-5)


@pytest.mark.parametrize("power", [1, 2, 6])
def test_the_penalty_has_a_finite_gradient_where_the_discriminators_is_0(power):
    zero = ops.zeros((2,))
    for gradient in input_gradients(lambda picture, text: ma_gp(picture, text, power=power), [zero, zero]):
        np.testing.assert_array_equal(gradient, [0, 0])


@pytest.mark.parametrize("form", ["cross_entropy", "hinge"])
def test_gradients_of_sure_logits_are_finite(form):
    sure = [ops.convert_to_tensor(np.array([[1e4], [-1e4]], "float32")) for _ in range(3)]

    def total(real, generated, fooling):
        return discriminator(real, generated[..., None], generated, form=form) + generator(fooling, form=form)

    assert all(np.isfinite(gradient).all() for gradient in input_gradients(total, sure))
