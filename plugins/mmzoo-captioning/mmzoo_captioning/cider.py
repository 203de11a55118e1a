"""CIDEr-D of the answers of a split."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from mmzoo_captioning.ptb import words

ORDERS = 4
SIGMA = 6.0
"""Standard deviation, in words, of the Gaussian penalty on the difference in length."""

NGram = tuple[str, ...]
Vector = dict[NGram, float]


class Cider:
    """CIDEr-D: similarity of TF-IDF-weighted n-grams of 1 to 4 words.

    The weight of an n-gram in a text is `count in the text * log(examples / examples with it in a reference)`. For each n,
    these weights are a vector, a for the answer and r for a reference. The score of an answer is the mean over n and its
    references of `10 * exp(-(l_a - l_r)^2 / (2 * 6^2)) * min(a, r) . r / (|a| |r|)`, where l is the number of bigrams. `cider`
    is the mean over the examples, from 0 to 10; papers often write it times 100.

    Words are those of `mmzoo_captioning.ptb`. Equal to pycocoevalcap's `Cider`. The weights come from the references of the
    split, so scores of different splits are not comparable, and a single example scores 0. Without answers, the score is 0.

    Source: Vedantam et al. 2015, arXiv 1411.5726, sections 4 and 8; l as in the authors' code.
    """

    def __init__(self) -> None:
        self.answers: list[Counter[NGram]] = []
        self.references: list[list[Counter[NGram]]] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Adds an answer and its references, at least one."""
        self.answers.append(_ngrams(words(answer)))
        self.references.append([_ngrams(words(reference)) for reference in references])

    def result(self) -> dict[str, float]:
        """Returns `cider`."""
        if not self.answers:
            return {"cider": 0.0}
        frequency = Counter(ngram for references in self.references for ngram in set().union(*references))
        weights = _Weights(len(self.references), frequency)
        scores = [_score(weights, *example) for example in zip(self.answers, self.references, strict=True)]
        return {"cider": float(np.mean(scores))}


class _Weights:
    """TF-IDF weights.

    Args:
        examples: Number of examples.
        frequency: For each n-gram, the number of examples with it in a reference.
    """

    def __init__(self, examples: int, frequency: Counter[NGram]):
        self.examples, self.frequency = examples, frequency

    def vectors(self, ngrams: Counter[NGram]) -> list[Vector]:
        """Returns the weights of a text's n-grams, one vector for each n."""
        vectors: list[Vector] = [{} for _ in range(ORDERS)]
        for ngram, count in ngrams.items():
            vectors[len(ngram) - 1][ngram] = count * float(np.log(self.examples / max(1, self.frequency[ngram])))
        return vectors


def _ngrams(text: list[str]) -> Counter[NGram]:
    return Counter(tuple(text[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(text) - n + 1))


def _score(weights: _Weights, answer: Counter[NGram], references: Iterable[Counter[NGram]]) -> float:
    vectors = weights.vectors(answer)
    scores = []
    for reference in references:
        similar = [_similarity(a, r) for a, r in zip(vectors, weights.vectors(reference), strict=True)]
        scores.append(np.mean(similar) * np.exp(-((_bigrams(answer) - _bigrams(reference)) ** 2) / (2 * SIGMA**2)))
    return 10 * float(np.mean(scores))


def _similarity(answer: Vector, reference: Vector) -> float:
    """Computes the clipped cosine similarity of two vectors."""
    shared = sum(min(weight, reference.get(ngram, 0.0)) * reference.get(ngram, 0.0) for ngram, weight in answer.items())
    return shared / (_norm(answer) * _norm(reference)) if shared else 0.0


def _norm(vector: Vector) -> float:
    return sum(weight**2 for weight in vector.values()) ** 0.5


def _bigrams(ngrams: Counter[NGram]) -> int:
    return sum(count for ngram, count in ngrams.items() if len(ngram) == 2)
