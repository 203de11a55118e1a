"""Scores: the numbers of the model and the baselines, flat in `scores.json` and as a table for people. Light."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmzoo.evaluation.rows import Row

SUFFIXES = ("low", "high", "chance")
"""A metric `m` may come with `m_low` and `m_high`, the ends of its interval, and `m_chance`, its chance level."""
CHANCE = "the expected score of random answers"
"""What the scorer `chance` is, for people."""
FACTS = ("split", "examples", "unreadable")
"""Keys of `scores.json` that are no scores."""

Numbers = dict[str, dict[str, float]]
"""Scorer (`model`, `most_frequent`, `nearest`) -> metric -> number."""


@dataclass
class Scores:
    """What the model and the baselines scored on a split.

    Args:
        split: Which split.
        numbers: Scorer -> metric -> number.
        rows: Each scored example: `row` is where it comes from, `references` are by input, `answers` by scorer.
        unreadable: How many examples were left out.
        baselines: How each baseline answers, for people.
        lower_is_better: The numbers that are better when they are lower.
    """

    split: str
    numbers: Numbers = field(default_factory=dict)
    rows: Sequence[Row] = field(default_factory=list)
    unreadable: int = 0
    baselines: dict[str, str] = field(default_factory=dict)
    lower_is_better: list[str] = field(default_factory=list)

    def add(self, baseline: str, about: str, numbers: dict[str, float]) -> None:
        """Adds the numbers of a baseline and how it answers."""
        self.numbers[baseline], self.baselines[baseline] = numbers, about

    def flat(self) -> dict[str, Any]:
        """Returns `{metric: number}` with baselines as `baseline.<name>.<metric>`: the content of `scores.json`."""
        flat: dict[str, Any] = {"split": self.split, "examples": len(self.rows), "unreadable": self.unreadable}
        for scorer, numbers in self.numbers.items():
            prefix = "" if scorer == "model" else f"baseline.{scorer}."
            flat |= {prefix + metric: number for metric, number in numbers.items()}
        return flat


def by_scorer(flat: Mapping[str, Any]) -> Numbers:
    """Reads the content of `scores.json`: scorer -> metric -> number."""
    scorers: Numbers = {"model": {}}
    for key, value in flat.items():
        if key.startswith("baseline."):
            _, scorer, metric = key.split(".", 2)
            scorers.setdefault(scorer, {})[metric] = value
        elif key not in FACTS:
            scorers["model"][key] = value
    return scorers


def score_table(numbers: Mapping[str, Mapping[str, float]]) -> tuple[Numbers, dict[str, tuple[float, float]]]:
    """Separates the scores from intervals and chance levels.

    Returns:
        Scorer -> metric -> number, with `chance` as a further scorer if it is known; and metric -> the model's interval.
    """
    model = numbers.get("model", {})
    extras = {metric: {suffix: model.get(f"{metric}_{suffix}") for suffix in SUFFIXES} for metric in model}
    moved = {f"{metric}_{suffix}" for metric, found in extras.items() for suffix, value in found.items() if value is not None}
    scores = {scorer: {m: value for m, value in found.items() if m not in moved} for scorer, found in numbers.items()}
    chance = {metric: found["chance"] for metric, found in extras.items() if found["chance"] is not None}
    intervals = {m: (f["low"], f["high"]) for m, f in extras.items() if f["low"] is not None and f["high"] is not None}
    return scores | ({"chance": chance} if chance else {}), intervals


def missing_table(content: Mapping[str, Any]) -> tuple[Numbers, str]:
    """Reads the content of `missing.json`.

    Returns:
        Condition -> metric -> number; and in which share of the examples an input was missing, in words.
    """
    numbers = {condition: score_table({"model": one})[0]["model"] for condition, one in content["scores"].items()}
    return numbers, "every example" if content["share"] == 1 else f"{100 * content['share']:.3g} % of the examples"
