"""Scores: what each scorer reached, flat in a run's file and side by side for people. Light."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
BESIDE = ("low", "high", "chance")
"""What may stand beside a metric's number, as `<metric>_low`: its interval, and what any answer gives."""
FACTS = ("split", "examples", "unreadable")
"""What the file says beside scores."""


@dataclass
class Scores:
    """What the model and the baselines scored on a split.

    Args:
        split: Which split.
        numbers: Scorer (`model`, `most_frequent`, `nearest`) -> metric -> number.
        rows: Each scored example: `row` says where it comes from, `references` by input, `answers` by scorer.
        unreadable: Examples that were left out.
    """

    split: str
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    unreadable: int = 0

    def flat(self) -> dict[str, Any]:
        """Gives `{metric: number}`, baselines as `baseline.<name>.<metric>`."""
        flat: dict[str, Any] = {"split": self.split, "examples": len(self.rows), "unreadable": self.unreadable}
        for scorer, numbers in self.numbers.items():
            prefix = "" if scorer == "model" else f"baseline.{scorer}."
            flat |= {prefix + metric: number for metric, number in numbers.items()}
        return flat


def by_scorer(flat: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Reads what `Scores.flat` gave: scorer -> metric -> number."""
    scorers: dict[str, dict[str, float]] = {"model": {}}
    for key, value in flat.items():
        if key.startswith("baseline."):
            _, scorer, metric = key.split(".", 2)
            scorers.setdefault(scorer, {})[metric] = value
        elif key not in FACTS:
            scorers["model"][key] = value
    return scorers


def side_by_side(
    numbers: Mapping[str, Mapping[str, float]],
) -> tuple[dict[str, dict[str, float]], dict[str, tuple[float, float]]]:
    """Lays scores out for people.

    Returns:
        Scorer -> metric -> number, with `chance` as a scorer if it is known; and the interval of the model's, by metric.
    """
    model = numbers.get("model", {})
    beside = {metric: {what: model.get(f"{metric}_{what}") for what in BESIDE} for metric in model}
    aside = {f"{metric}_{what}" for metric, found in beside.items() for what, value in found.items() if value is not None}
    plain = {scorer: {m: value for m, value in found.items() if m not in aside} for scorer, found in numbers.items()}
    chance = {metric: found["chance"] for metric, found in beside.items() if found["chance"] is not None}
    spans = {m: (f["low"], f["high"]) for m, f in beside.items() if f["low"] is not None and f["high"] is not None}
    return plain | ({"chance": chance} if chance else {}), spans


def with_missing(found: Mapping[str, Any]) -> tuple[dict[str, dict[str, float]], str]:
    """Lays out what `missing.json` holds for people.

    Returns:
        Condition -> metric -> number; and in how many examples an input was missing, in words.
    """
    numbers = {condition: side_by_side({"model": one})[0]["model"] for condition, one in found["scores"].items()}
    return numbers, "every example" if found["share"] == 1 else f"{100 * found['share']:.3g} % of the examples"
