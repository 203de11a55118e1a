"""Scores of examples -> means with 95 % intervals, over all examples and by kind."""

from collections.abc import Iterable

import numpy as np

from mmzoo import bootstrap_ci


class ByKind:
    """Collects a score for each example, and averages over all examples and over those of each kind."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.kinds: dict[str, list[float]] = {}

    def add(self, score: float, kinds: Iterable[str] | None = None) -> None:
        """Adds an example's score, from 0 to 1, and its kinds."""
        self.scores.append(float(score))
        for kind in dict.fromkeys(kinds or ()):
            self.kinds.setdefault(str(kind), []).append(float(score))

    def result(self, name: str) -> dict[str, float]:
        """Returns the mean as `name`, its interval as `name_low` and `name_high`, and those of each kind as `name[kind]`."""
        named = {name: self.scores} | {f"{name}[{kind}]": self.kinds[kind] for kind in sorted(self.kinds)}
        return {key: number for label, scores in named.items() for key, number in _interval(label, scores).items()}


def _interval(name: str, scores: list[float]) -> dict[str, float]:
    if not scores:
        return dict.fromkeys([name, f"{name}_low", f"{name}_high"], 0.0)
    low, high = bootstrap_ci(np.array(scores)[:, None], np.ones(len(scores)))[:, 0]
    return {name: float(np.mean(scores)), f"{name}_low": float(low), f"{name}_high": float(high)}
