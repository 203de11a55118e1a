"""Recall at k, median rank and rsum of retrieval, in both directions."""

from itertools import product

import numpy as np

from mmzoo import DataError
from mmzoo_matching.ranking import PARTS, any_order, places, shares, vectors

TOPS = (1, 5, 10)
WHO = "the metric 'recall'"


class Recall:
    """Scores retrieval among all held-out examples, in both directions.

    `image_to_text_recall@k`, for k of 1, 5, 10, is the share of images that have one of their texts among the k highest scores.
    `text_to_image_recall@k` is the share of texts that have their image there; each text of an image is a query of its own.
    Both range from 0 to 1. Beside each: `..._chance`, the recall of a random order, 1 - C(n - m, k) / C(n, k) with m right
    entries of n; `..._low` and `..._high`, the 95 % interval (bootstrap over the examples, 1,000 draws, seeded).
    `image_to_text_median_rank` and `text_to_image_median_rank` are the median rank of the best right entry, 1 at best; lower is
    better. `rsum`, from 0 to 600, is 100 times the sum of the six recalls.

    The score is the inner product. Scores within 1e-6 are tied, and every order of tied entries is equally likely: a hit counts
    with its probability, and the rank is the expected one. So a model that embeds everything alike scores as chance does, and a
    text whose image stands in the set twice, as two examples, is half a hit at k = 1. Without examples all numbers are 0.

    Scores are computed in blocks: memory grows with the number of examples, not with its square.

    Source: Karpathy and Fei-Fei 2015, section 4.2; rsum: Faghri et al. 2018, "VSE++".

    Args:
        candidate: What candidates are called in the names of the scores.
        query: The word for the queries in the names of the numbers.
    """

    lower_is_better: tuple[str, ...] = ("image_to_text_median_rank", "text_to_image_median_rank")
    """Of the default words; an object has those of its own words."""

    def __init__(self, *, candidate: str = "image", query: str = "text"):
        if candidate == query:
            raise DataError(f"{WHO} calls both candidates and queries {candidate!r}; expected two words.")
        self.forth, self.back = f"{candidate}_to_{query}", f"{query}_to_{candidate}"
        self.lower_is_better = tuple(f"{direction}_median_rank" for direction in (self.forth, self.back))
        self.candidates: list[np.ndarray] = []
        self.queries: list[np.ndarray] = []
        self.sizes: list[tuple[int, int]] = []

    def update(self, candidate_embedding: np.ndarray, query_embedding: np.ndarray) -> None:
        """Adds an example: one vector `(dim,)` of each, or several, `(candidates, dim)` and `(queries, dim)`.

        Raises:
            DataError: The vectors are not finite or differ in dim.
        """
        candidate = vectors(candidate_embedding, f"{WHO}: 'candidate_embedding'")
        query = vectors(query_embedding, f"{WHO}: 'query_embedding'")
        if candidate.shape[1] != query.shape[1]:
            what = f"{WHO} compares vectors of one dim, received {candidate.shape[1]} and {query.shape[1]}"
            raise DataError(f"{what}. Name outputs in one space as 'candidate_embedding' and 'query_embedding'.")
        self.candidates.append(candidate)
        self.queries.append(query)
        self.sizes.append((len(candidate), len(query)))

    def result(self) -> dict[str, float]:
        """Returns recalls with their chance and intervals, median ranks and rsum."""
        candidates, queries = np.array(self.sizes, "int64").reshape(-1, 2).T
        if not (candidates.sum() and queries.sum()):
            return dict.fromkeys([*_names(self.forth), *_names(self.back), "rsum"], 0.0)
        self.candidates, self.queries = [np.concatenate(self.candidates)], [np.concatenate(self.queries)]
        forth = _numbers(self.forth, self.candidates[0], self.queries[0], candidates, queries)
        back = _numbers(self.back, self.queries[0], self.candidates[0], queries, candidates)
        numbers = forth | back
        recalls = [numbers[f"{direction}_recall@{top}"] for direction in (self.forth, self.back) for top in TOPS]
        return numbers | {"rsum": 100 * sum(recalls)}


def _names(direction: str) -> list[str]:
    return [*(f"{direction}_recall@{top}{part}" for top in TOPS for part in PARTS), f"{direction}_median_rank"]


def _numbers(
    direction: str, queries: np.ndarray, entries: np.ndarray, query_counts: np.ndarray, entry_counts: np.ndarray
) -> dict[str, float]:
    """Returns the numbers of one direction; the counts are the queries and the entries of each example."""
    pairs = _pairs(query_counts, entry_counts)
    found = places(queries, entries, pairs)
    recalls = shares(found, any_order(pairs, len(queries), len(entries)), query_counts, TOPS)
    return dict(zip(_names(direction), map(float, [*recalls.flat, np.median(found.ranks())]), strict=True))


def _pairs(query_counts: np.ndarray, entry_counts: np.ndarray) -> np.ndarray:
    """Numbers the queries and the entries of each example, and pairs each of its queries with each of its entries."""
    queries, entries = _ranges(query_counts), _ranges(entry_counts)
    pairs = [pair for own in zip(queries, entries, strict=True) for pair in product(*own)]
    return np.array(pairs, "int64").reshape(-1, 2)


def _ranges(sizes: np.ndarray) -> list[range]:
    return [range(end - size, end) for end, size in zip(np.cumsum(sizes).tolist(), sizes.tolist(), strict=True)]
