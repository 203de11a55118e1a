"""Ranks entries for queries: places of the right entries, shares of hits and their intervals."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmzoo import DataError, bootstrap_ci

BLOCK = 64 << 20
"""Bytes of scores that are computed at a time."""
TIE = 1e-6
"""Scores of vectors of length 1 that differ by at most this are tied: float32 sums are no more precise."""
PARTS = ("", "_low", "_high", "_chance")
"""Suffixes of a share's names: the share itself, the bounds of its interval, and the share of a random order."""


def vectors(value: Any, who: str) -> np.ndarray:
    """Returns one vector or several as float32 `(vectors, dim)`.

    Args:
        value: `(dim,)` or `(vectors, dim)`.
        who: The subject of the error message.

    Raises:
        DataError: The value has another shape or type, or is not finite.
    """
    found = np.array(value, ndmin=2)
    if found.ndim > 2 or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise DataError(f"{who} must be a vector of finite numbers, or several, received {value!r:.200}.")
    return found.astype("float32")


class Places(NamedTuple):
    """The place of the best right entry in the ranking of each query.

    Args:
        better: The number of entries that score higher, `(queries,)`.
        tied: The number of entries that score the same, itself included.
        right: The number of right entries among the tied ones.
    """

    better: np.ndarray
    tied: np.ndarray
    right: np.ndarray

    def hits(self, top: int) -> np.ndarray:
        """Returns the probability of a right entry among the first `top`, `(queries,)`: 0 or 1 unless tied with wrong entries.

        Every order of tied entries is equally likely: 1 - C(tied - right, n) / C(tied, n) with n = min(top - better, tied).
        """
        missed = np.ones(len(self.better))
        for drawn in np.arange(top)[:, None] - self.better:
            left = np.maximum(self.tied - drawn, 1)
            wrong = np.clip(left - self.right, 0, None) / left
            missed *= np.where((drawn >= 0) & (drawn < self.tied), wrong, 1)
        return 1 - missed

    def ranks(self) -> np.ndarray:
        """Returns the expected rank of the best right entry, `(queries,)`; the first rank is 1."""
        return self.better + (self.tied + 1) / (self.right + 1)


def places(queries: np.ndarray, entries: np.ndarray, pairs: np.ndarray) -> Places:
    """Ranks all entries for every query by inner product, in blocks of `BLOCK` bytes.

    Args:
        queries: `(queries, dim)`, float32.
        entries: `(entries, dim)`, float32.
        pairs: The index of a query and the index of an entry that is right for it, `(pairs, 2)`, in the order of the queries.
            For a query without a right entry all entries count as better.
    """
    rows = max(1, BLOCK // (4 * max(1, len(entries))))
    found = list(_blocks(queries, entries, pairs, rows))
    return Places(*map(np.concatenate, zip(*found, strict=True)))


def _blocks(queries: np.ndarray, entries: np.ndarray, pairs: np.ndarray, rows: int) -> Iterator[tuple[Any, Any, Any]]:
    tie = TIE * _longest(queries) * _longest(entries)
    for start in range(0, len(queries), rows):
        scores = queries[start : start + rows] @ entries.T
        first, last = np.searchsorted(pairs[:, 0], [start, start + len(scores)])
        query, entry = pairs[first:last].T
        query = query - start
        own = scores[query, entry]
        best = np.full(len(scores), -np.inf, "float32")
        np.maximum.at(best, query, own)
        better = np.count_nonzero(scores > (best + tie)[:, None], axis=1)
        equal = np.count_nonzero(scores >= (best - tie)[:, None], axis=1) - better
        yield better, equal, np.bincount(query[own >= (best - tie)[query]], minlength=len(scores))


def any_order(pairs: np.ndarray, queries: int, entries: int) -> Places:
    """Returns the places of a model that scores all entries alike, which is chance."""
    right = np.bincount(pairs[:, 0], minlength=queries)
    return Places(np.zeros(queries, "int64"), np.full(queries, entries), right)


def _longest(vectors: np.ndarray) -> np.float32:
    return np.float32(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max(initial=0)))


def shares(found: Places, chance: Places, query_counts: np.ndarray, tops: Sequence[int]) -> np.ndarray:
    """Returns the share of queries with a right entry among the first places, `(tops, PARTS)`.

    Args:
        found: The places of at least one query, in the order of the examples.
        chance: The result of `any_order`.
        query_counts: The number of queries of each example, `(examples,)`.
        tops: The number of places that count, for each share.
    """
    hits = np.stack([found.hits(top) for top in tops], axis=1)
    totals = np.zeros((len(query_counts), hits.shape[1]))
    np.add.at(totals, np.repeat(np.arange(len(query_counts)), query_counts), hits)
    low, high = bootstrap_ci(totals, np.asarray(query_counts))
    return np.stack([hits.mean(axis=0), low, high, [chance.hits(top).mean() for top in tops]], axis=1)
