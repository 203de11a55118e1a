"""CIDEr-D of a whole split."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from mmzoo_captioning.ptb import words

ORDERS = 4
SIGMA = 6.0
"""How many words more or less than the reference an answer may have until it counts little."""

Run = tuple[str, ...]
Vector = dict[Run, float]


class Cider:
    """Compares answers with their references by the runs of 1 to 4 words that are telling: CIDEr-D.

    A text weighs each run by `how often it has it * log(examples / examples with it in a reference)`, which makes a vector a or
    r for each length n of runs. An answer scores, as a mean over n and its references,
    `10 * exp(-(l_a - l_r)^2 / (2 * 6^2)) * min(a, r) . r / (|a| |r|)`, l being the count of pairs of neighbouring words;
    `cider` is the mean over the examples. From 0 to 10; papers often write it times 100.

    Words are those of `mmzoo_captioning.ptb`. Equal to pycocoevalcap's `Cider`. The weights come from the references of the
    split, so numbers of different splits do not compare, and a single example scores 0. Nothing answered gives 0.

    Source: Vedantam et al. 2015, arXiv 1411.5726, sections 4 and 8; l as in the authors' code.
    """

    def __init__(self) -> None:
        self.answers: list[Counter[Run]] = []
        self.references: list[list[Counter[Run]]] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Takes in an answer and its references, at least one."""
        self.answers.append(_runs(words(answer)))
        self.references.append([_runs(words(reference)) for reference in references])

    def result(self) -> dict[str, float]:
        """Gives `cider`."""
        if not self.answers:
            return {"cider": 0.0}
        within = Counter(run for references in self.references for run in set().union(*references))
        rarity = _Rarity(len(self.references), within)
        scores = [_score(rarity, *example) for example in zip(self.answers, self.references, strict=True)]
        return {"cider": float(np.mean(scores))}


class _Rarity:
    def __init__(self, examples: int, within: Counter[Run]):
        self.examples, self.within = examples, within

    def weigh(self, runs: Counter[Run]) -> list[Vector]:
        vectors: list[Vector] = [{} for _ in range(ORDERS)]
        for run, count in runs.items():
            vectors[len(run) - 1][run] = count * float(np.log(self.examples / max(1, self.within[run])))
        return vectors


def _runs(text: list[str]) -> Counter[Run]:
    return Counter(tuple(text[start : start + n]) for n in range(1, ORDERS + 1) for start in range(len(text) - n + 1))


def _score(rarity: _Rarity, answer: Counter[Run], references: Iterable[Counter[Run]]) -> float:
    weighed = rarity.weigh(answer)
    scores = []
    for reference in references:
        alike = [_alike(ours, theirs) for ours, theirs in zip(weighed, rarity.weigh(reference), strict=True)]
        scores.append(np.mean(alike) * np.exp(-((_pairs(answer) - _pairs(reference)) ** 2) / (2 * SIGMA**2)))
    return 10 * float(np.mean(scores))


def _alike(answer: Vector, reference: Vector) -> float:
    shared = sum(min(weight, reference.get(run, 0.0)) * reference.get(run, 0.0) for run, weight in answer.items())
    return shared / (_length(answer) * _length(reference)) if shared else 0.0


def _length(vector: Vector) -> float:
    return sum(weight**2 for weight in vector.values()) ** 0.5


def _pairs(runs: Counter[Run]) -> int:
    return sum(count for run, count in runs.items() if len(run) == 2)
