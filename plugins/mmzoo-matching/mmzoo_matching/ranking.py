"""Where in a ranking stands what was looked for, and how sure a share of hits is."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mmzoo import DataError, bootstrap_ci

BLOCK = 64 << 20
"""Bytes of the scores that are held at a time."""
TIE = 1e-6
"""Scores of vectors of length 1 that differ by no more are equal: float32 sums are no surer."""
PARTS = ("", "_low", "_high", "_chance")
"""What is reported of a share, as the end of its name: itself, its bounds, and what any order gives."""


def vectors(value: Any, who: str) -> np.ndarray:
    """Gives one vector or several as float32 `(vectors, dim)`.

    Args:
        value: `(dim,)` or `(vectors, dim)`.
        who: What takes it, for the message.

    Raises:
        DataError: It is something else, or not finite.
    """
    found = np.array(value, ndmin=2)
    if found.ndim > 2 or found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise DataError(f"{who} must be a vector of finite numbers, or several, received {value!r:.200}.")
    return found.astype("float32")


class Places(NamedTuple):
    """What stands before, and beside, the best entry that is right for a query.

    Args:
        better: How many entries score higher, `(queries,)`.
        tied: How many score the same, itself included.
        right: How many of those are right.
    """

    better: np.ndarray
    tied: np.ndarray
    right: np.ndarray

    def hits(self, top: int) -> np.ndarray:
        """Gives how likely a right entry is among the first `top`, `(queries,)`: 0 or 1 unless it is tied with wrong ones.

        Entries that score the same stand in any order, each as likely: 1 - C(tied - right, n) / C(tied, n) with n =
        min(top - better, tied).
        """
        missed = np.ones(len(self.better))
        for drawn in np.arange(top)[:, None] - self.better:
            left = np.maximum(self.tied - drawn, 1)
            wrong = np.clip(left - self.right, 0, None) / left
            missed *= np.where((drawn >= 0) & (drawn < self.tied), wrong, 1)
        return 1 - missed

    def ranks(self) -> np.ndarray:
        """Gives the rank that the best right entry has on average, `(queries,)`, 1 for the first."""
        return self.better + (self.tied + 1) / (self.right + 1)


def places(queries: np.ndarray, entries: np.ndarray, pairs: np.ndarray) -> Places:
    """Ranks all entries for every query by inner product, in blocks of `BLOCK` bytes.

    Args:
        queries: `(queries, dim)`, float32.
        entries: `(entries, dim)`, float32.
        pairs: The numbers of a query and of an entry that is right for it, `(pairs, 2)`, in the order of the queries. A query
            without one is ranked after all entries.
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
    """Gives the places of a model that scores all entries alike, which is chance."""
    right = np.bincount(pairs[:, 0], minlength=queries)
    return Places(np.zeros(queries, "int64"), np.full(queries, entries), right)


def _longest(vectors: np.ndarray) -> np.float32:
    return np.float32(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max(initial=0)))


def shares(found: Places, chance: Places, asked: np.ndarray, tops: Sequence[int]) -> np.ndarray:
    """Gives the share of queries whose first places hold a right entry, `(tops, PARTS)`.

    Args:
        found: Of at least one query, in the order of the examples.
        chance: What `any_order` gives.
        asked: How many queries each example has, `(examples,)`.
        tops: How many places count, for each share.
    """
    hits = np.stack([found.hits(top) for top in tops], axis=1)
    totals = np.zeros((len(asked), hits.shape[1]))
    np.add.at(totals, np.repeat(np.arange(len(asked)), asked), hits)
    low, high = bootstrap_ci(totals, np.asarray(asked))
    return np.stack([hits.mean(axis=0), low, high, [chance.hits(top).mean() for top in tops]], axis=1)
