"""Distances and shares of generated pictures: formulas on arrays, in float64. Light."""

from typing import Any

import numpy as np

SUBSET, SUBSETS = 1000, 100
"""More samples than `SUBSET` are compared in `SUBSETS` random subsets of that size."""
TIE = 1e-6
"""Cosines that differ by at most this are tied: embeddings in float32 are no more precise."""


def frechet_distance(first: Any, second: Any) -> float:
    """Computes the Fréchet distance of two sets, each taken as a Gaussian: `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`.

    With `S = A^T A`, the trace of the root is the sum of the singular values of `A1 A2^T`. These are the square roots of the
    eigenvalues of the symmetric matrix `S1^(1/2) S2 S1^(1/2)`. So the result is real, and singular covariances (fewer samples
    than dimensions) are no special case.

    Args:
        first: Features, `(samples, dim)`; at least one sample. Covariances divide by samples - 1; that of one sample is 0.
        second: The same of the other set.

    Returns:
        The squared distance, >= 0.

    Source: Dowson and Landau 1982; as a score of pictures: Heusel et al. 2017, arXiv 1706.08500, equation 6.
    """
    one, two = np.asarray(first, "float64"), np.asarray(second, "float64")
    shift = one.mean(axis=0) - two.mean(axis=0)
    one, two = _factor(one), _factor(two)
    root = np.linalg.svd(one @ two.T, compute_uv=False).sum()
    return max(float(shift @ shift + (one**2).sum() + (two**2).sum() - 2 * root), 0.0)


def _factor(samples: np.ndarray) -> np.ndarray:
    """Returns a matrix A with at most `dim` rows, where `A^T A` is the covariance."""
    centred = (samples - samples.mean(axis=0)) / np.sqrt(max(len(samples) - 1, 1))
    return np.asarray(np.linalg.qr(centred, mode="r")) if len(centred) > centred.shape[1] else centred


def kernel_distance(first: Any, second: Any, seed: int = 0) -> tuple[float, float]:
    """Computes the kernel distance of two sets: the unbiased squared MMD with the kernel `(x.y / dim + 1)^3`.

    `sum_{i != j} k(x_i, x_j) / (m (m - 1)) + sum_{i != j} k(y_i, y_j) / (n (n - 1)) - 2 sum_{i, j} k(x_i, y_j) / (m n)`. Up to
    1,000 samples a set, it is computed once, over all pairs. For more it is the mean over 100 random subsets of 1,000.

    Args:
        first: Features, `(samples, dim)`.
        second: The same of the other set.
        seed: Of the random subsets.

    Returns:
        The distance, and its standard deviation over the subsets, 0 for all pairs at once. Equal sets are at 0 on average, so a
        distance may be a little negative. With fewer than two samples in a set it is 0.

    Source: Bińkowski et al. 2018, arXiv 1801.01401, section 4; Gretton et al. 2012, equation 3.
    """
    one, two = np.asarray(first, "float64"), np.asarray(second, "float64")
    if min(len(one), len(two)) < 2:
        return 0.0, 0.0
    if max(len(one), len(two)) <= SUBSET:
        return _squared_mmd(one, two), 0.0
    draw = np.random.default_rng(seed)
    found = [_squared_mmd(_subset(one, draw), _subset(two, draw)) for _ in range(SUBSETS)]
    return float(np.mean(found)), float(np.std(found))


def _subset(samples: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    return samples[draw.choice(len(samples), min(SUBSET, len(samples)), replace=False)]


def _squared_mmd(one: np.ndarray, two: np.ndarray) -> float:
    return _mean_of_others(_kernel(one, one)) + _mean_of_others(_kernel(two, two)) - 2 * float(_kernel(one, two).mean())


def _kernel(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return (one @ two.T / one.shape[1] + 1) ** 3


def _mean_of_others(kernel: np.ndarray) -> float:
    """Averages a square matrix without its diagonal."""
    return float((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)))


def inception_score(probabilities: Any, splits: int = 10) -> tuple[float, float]:
    """Computes `exp(mean KL(p(y|x) || p(y)))` of each split, where p(y) is the mean of the split.

    Args:
        probabilities: Of the classes, `(samples, classes)`, in random order; at least one sample. Rows are scaled to sum 1.
        splits: The number of parts of about equal size; fewer if there are fewer samples.

    Returns:
        The mean over the splits, from 1 to the number of classes, and the standard deviation.

    Source: Salimans et al. 2016, arXiv 1606.03498, section 4.
    """
    rows = np.asarray(probabilities, "float64")
    rows = rows / rows.sum(axis=1, keepdims=True)
    scores = [_exponential_divergence(part) for part in np.array_split(rows, min(splits, len(rows)))]
    return float(np.mean(scores)), float(np.std(scores))


def _exponential_divergence(rows: np.ndarray) -> float:
    mean = np.broadcast_to(rows.mean(axis=0), rows.shape)
    ratio = np.divide(rows, mean, out=np.ones_like(rows), where=rows > 0)  # 0 log 0 is 0
    return float(np.exp((rows * np.log(ratio)).sum(axis=1).mean()))


def first_is_best(scores: Any) -> float:
    """Returns the probability that the first score ranks first, where every order of tied scores is equally likely.

    Args:
        scores: `(candidates,)`; at least one. Scores within 1e-6 of the first one are tied with it.
    """
    own = scores[0]
    if np.any(scores > own + TIE):
        return 0.0
    return 1 / int(np.count_nonzero(scores >= own - TIE))


def mean_pairwise_rms(pictures: Any) -> float:
    """Returns the mean over all pairs of the root mean square of their difference; 0 for fewer than two.

    Args:
        pictures: `(pictures, ...)`, 0 to 1.
    """
    if len(pictures) < 2:
        return 0.0
    rows = np.asarray(pictures, "float64").reshape(len(pictures), -1)
    pairs = [np.sqrt(((rows[place + 1 :] - row) ** 2).mean(axis=1)) for place, row in enumerate(rows[:-1])]
    return float(np.concatenate(pairs).mean())


def nearest_rms(pictures: Any, table: Any) -> np.ndarray:
    """Returns the root mean square difference of each picture to the nearest one of a table, `(pictures,)`.

    Args:
        pictures: `(pictures, numbers)`.
        table: `(entries, numbers)`; at least one entry.
    """
    rows, entries = np.asarray(pictures, "float64"), np.asarray(table, "float64")
    lengths = np.einsum("nd,nd->n", rows, rows)[:, None] + np.einsum("nd,nd->n", entries, entries)
    squares = (lengths - 2 * rows @ entries.T).min(axis=1)
    result: np.ndarray = np.sqrt(np.maximum(squares, 0) / rows.shape[1])
    return result
