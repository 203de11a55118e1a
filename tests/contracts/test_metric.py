"""The interval of a share against the binomial distribution and draws one by one."""

import numpy as np
import pytest

from mmzoo import bootstrap_ci


@pytest.mark.parametrize(("right", "count"), [(30, 100), (450, 500)])
def test_bounds_of_a_share_are_quantiles_of_the_binomial(right, count):
    totals = (np.arange(count) < right)[:, None].astype(float)
    draws = np.random.default_rng(1).binomial(count, right / count, 200_000) / count
    np.testing.assert_allclose(bootstrap_ci(totals, np.ones(count))[:, 0], np.percentile(draws, [2.5, 97.5]), atol=0.012)


def test_bounds_of_unequal_examples_are_those_of_whole_examples_drawn_again():
    rng = np.random.default_rng(2)
    counts = rng.integers(1, 6, 60)
    totals = np.stack([rng.binomial(counts, 0.4), rng.uniform(0, counts)], axis=1)
    drawn = rng.integers(0, 60, (20_000, 60))
    shares = totals[drawn].sum(1) / counts[drawn].sum(1)[:, None]
    np.testing.assert_allclose(bootstrap_ci(totals, counts), np.percentile(shares, [2.5, 97.5], axis=0), atol=0.02)


def test_bounds_do_not_depend_on_the_order_and_are_the_same_again():
    totals = np.random.default_rng(3).uniform(size=(40, 1))
    np.testing.assert_array_equal(bootstrap_ci(totals, np.ones(40)), bootstrap_ci(totals[::-1], np.ones(40)))


def test_a_share_that_is_always_the_same_has_no_width():
    np.testing.assert_array_equal(bootstrap_ci(np.ones((7, 1)), np.ones(7)), [[1.0], [1.0]])
