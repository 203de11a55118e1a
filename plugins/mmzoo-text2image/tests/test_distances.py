"""The formulas against closed forms and against the definitions, written with loops in float64."""

import numpy as np
import pytest
from mmzoo_text2image import distances
from mmzoo_text2image.distances import (
    first_is_best,
    frechet_distance,
    inception_score,
    kernel_distance,
    mean_pairwise_rms,
    nearest_rms,
)

RNG = np.random.default_rng(0)


def root(matrix):
    """The root of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def with_moments(mean, covariance, samples=400):
    """Samples whose mean and covariance are exactly these."""
    noise = RNG.normal(size=(samples, len(mean)))
    noise -= noise.mean(axis=0)
    noise = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T
    return noise @ root(np.array(covariance)) + mean


def test_frechet_of_gaussians_with_diagonal_covariances():
    """|m1 - m2|^2 + sum (s1 - s2)^2, with standard deviations s."""
    one = with_moments([1.0, 2.0, 0.0], np.diag([4.0, 1.0, 0.25]))
    two = with_moments([0.0, 2.0, 3.0], np.diag([1.0, 9.0, 0.0]))
    assert frechet_distance(one, two) == pytest.approx(10 + 1 + 4 + 0.25, abs=1e-9)
    assert frechet_distance(two, one) == pytest.approx(15.25, abs=1e-9)


def test_frechet_of_correlated_gaussians_is_the_formula_with_a_matrix_root():
    scipy = pytest.importorskip("scipy.linalg")
    one, two = RNG.normal(size=(50, 6)) @ RNG.normal(size=(6, 6)), 1 + RNG.normal(size=(80, 6)) @ RNG.normal(size=(6, 6))
    first, second = np.cov(one.T), np.cov(two.T)
    shift = one.mean(axis=0) - two.mean(axis=0)
    expected = shift @ shift + np.trace(first + second - 2 * scipy.sqrtm(first @ second).real)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("samples", "dim"), [(5, 12), (12, 12), (13, 12), (30, 12), (1, 3)])
def test_frechet_is_the_trace_of_the_symmetric_root_also_for_singular_covariances(samples, dim):
    one, two = RNG.normal(size=(samples, dim)), RNG.normal(size=(samples + 2, dim)) * 2
    first, second = np.cov(one.T) if samples > 1 else np.zeros((dim, dim)), np.cov(two.T)
    half = root(first)
    shift = one.mean(axis=0) - two.mean(axis=0)
    expected = shift @ shift + np.trace(first + second - 2 * root(half @ second @ half))
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_a_set_and_itself_is_zero():
    one = RNG.normal(size=(7, 20)).astype("float32")
    assert frechet_distance(one, one[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(one, one + 2) == pytest.approx(4 * 20, rel=1e-6)


def test_frechet_of_few_samples_is_biased_upward():
    few, many = ([RNG.normal(size=(number, 8)) for _ in range(2)] for number in (20, 2000))
    assert frechet_distance(*few) > 10 * frechet_distance(*many)


def kernel_by_loops(one, two):
    def kernel(a, b):
        return (sum(x * y for x, y in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def within(rows):
        pairs = [kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in one for b in two]
    return within(one) + within(two) - 2 * sum(across) / len(across)


def test_kernel_distance_is_the_double_loop():
    one, two = RNG.normal(size=(6, 4)), 0.5 + RNG.normal(size=(9, 4))
    assert kernel_distance(one, two) == (pytest.approx(kernel_by_loops(one, two), abs=1e-12), 0.0)


def test_kernel_distance_of_one_distribution_is_zero_on_average_whatever_the_number():
    for number in (3, 30):
        found = [kernel_distance(RNG.normal(size=(number, 5)), RNG.normal(size=(number, 5)))[0] for _ in range(400)]
        assert abs(np.mean(found)) < 4 * np.std(found) / np.sqrt(len(found))
        assert min(found) < 0


def test_kernel_distance_of_many_samples_is_the_mean_over_subsets(monkeypatch):
    monkeypatch.setattr(distances, "SUBSET", 50)
    one, two = RNG.normal(size=(300, 4)), 0.5 + RNG.normal(size=(40, 4))
    mean, deviation = kernel_distance(one, two)
    monkeypatch.setattr(distances, "SUBSET", 1000)
    assert mean == pytest.approx(kernel_distance(one, two)[0], abs=4 * deviation / np.sqrt(distances.SUBSETS))
    assert 0 < deviation < mean


def test_a_kernel_distance_needs_two_samples():
    assert kernel_distance(np.ones((1, 3)), np.ones((5, 3))) == (0.0, 0.0)
    assert kernel_distance(np.ones((5, 3)), np.zeros((0, 0))) == (0.0, 0.0)


def test_inception_score_of_uniform_and_of_balanced_sure_answers():
    assert inception_score(np.full((20, 5), 0.2)) == pytest.approx((1, 0))
    assert inception_score(np.tile(np.eye(5), (4, 1)), splits=4) == pytest.approx((5, 0))
    assert inception_score(np.eye(5)[[2] * 7]) == pytest.approx((1, 0))


def test_inception_score_is_the_mean_over_parts():
    rows = RNG.dirichlet(np.ones(3), size=10)

    def by_loops(part):
        mean = [sum(row[c] for row in part) / len(part) for c in range(3)]
        return np.exp(sum(row[c] * np.log(row[c] / mean[c]) for row in part for c in range(3)) / len(part))

    parts = [by_loops(part) for part in (rows[:4], rows[4:7], rows[7:])]
    assert inception_score(3 * rows, splits=3) == pytest.approx((np.mean(parts), np.std(parts)), rel=1e-12)


def test_inception_score_of_fewer_samples_than_parts():
    assert inception_score(np.eye(3), splits=10) == pytest.approx((1, 0))


@pytest.mark.parametrize(
    ("scores", "chance"),
    [
        ([0.9, 0.8, 0.1], 1),
        ([0.8, 0.9, 0.1], 0),
        ([0.5], 1),
        ([0.5, 0.5, 0.1, 0.5], 1 / 3),
        ([0.5, 0.5 + 1e-8, 0.1], 1 / 2),
        ([0.5, 0.5 - 1e-8, 0.1], 1 / 2),
        ([0.5, 0.5, 0.6], 0),
        ([0.3] * 100, 1 / 100),
    ],
)
def test_tied_captions_are_first_with_their_probability(scores, chance):
    assert first_is_best(np.array(scores)) == pytest.approx(chance, abs=1e-12)


def test_pairwise_difference_is_the_mean_over_pairs():
    pictures = RNG.random((4, 3, 3, 3))
    pairs = [np.sqrt(np.mean((pictures[i] - pictures[j]) ** 2)) for i in range(4) for j in range(i)]
    assert mean_pairwise_rms(pictures) == pytest.approx(np.mean(pairs), rel=1e-12)
    assert mean_pairwise_rms(pictures[:1]) == mean_pairwise_rms(pictures[:0]) == 0
    assert mean_pairwise_rms([np.zeros((2, 2)), np.ones((2, 2))]) == 1


def test_nearest_difference_is_the_least_over_the_table():
    pictures, table = RNG.random((5, 12)), RNG.random((7, 12))
    pictures[2] = table[4]
    expected = [min(np.sqrt(np.mean((row - entry) ** 2)) for entry in table) for row in pictures]
    assert nearest_rms(pictures, table) == pytest.approx(expected, abs=1e-7)
