"""Scores of examples -> their mean with its interval, over all and by kind."""

from collections.abc import Iterable

import numpy as np

from mmzoo import bootstrap_ci


class ByKind:
    """Collects a score for each example, and means them over all examples and over those of each kind."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.kinds: dict[str, list[float]] = {}

    def add(self, score: float, kinds: Iterable[str] | None = None) -> None:
        """Takes in an example's score, from 0 to 1, and the kinds that it is of."""
        self.scores.append(float(score))
        for kind in dict.fromkeys(kinds or ()):
            self.kinds.setdefault(str(kind), []).append(float(score))

    def result(self, name: str) -> dict[str, float]:
        """Gives `name`, its bounds `name_low` and `name_high`, and the same of each kind as `name[kind]`; 0 of nothing."""
        named = {name: self.scores} | {f"{name}[{kind}]": self.kinds[kind] for kind in sorted(self.kinds)}
        return {key: number for one, scores in named.items() for key, number in _bounded(one, scores).items()}


def _bounded(name: str, scores: list[float]) -> dict[str, float]:
    if not scores:
        return dict.fromkeys([name, f"{name}_low", f"{name}_high"], 0.0)
    low, high = bootstrap_ci(np.array(scores)[:, None], np.ones(len(scores)))[:, 0]
    return {name: float(np.mean(scores)), f"{name}_low": float(low), f"{name}_high": float(high)}
