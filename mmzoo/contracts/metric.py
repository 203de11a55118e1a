"""Metric: served answers and references -> numbers. Also the bootstrap confidence interval. Light: imports no TensorFlow.

A metric is a class with `update(...)` and `result()`; no base class is needed. `update` is called once per held-out
example, with what the served model answered. Its parameters say by name what it wants to see.

    class ExactMatch:
        def __init__(self): self.hits = []
        def update(self, answer: str, references: list[str]): self.hits.append(answer in references)
        def result(self): return {"exact_match": sum(self.hits) / max(len(self.hits), 1)}
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

RESAMPLES, SEED, BOUNDS = 1000, 0, (2.5, 97.5)
"""Number of resamples, seed of the random generator, and the percentiles that bound 95 % of the resamples."""


class Metric(Protocol):
    """Scores the answers of a split. Any class with these two methods is a metric; it need not inherit from this one.

    Three parameters of the constructor are filled in by the core. `predict` is a function that calls the served model:
    signature, raw values -> output name -> array. `known_labels` is the set of labels that a classifier can answer, or None
    for a model without labels. `training_examples` is a function that reads the training split: it yields for each
    readable example input -> list of raw values, most often of one.
    """

    lower_is_better: tuple[str, ...] = ()
    """Names of the numbers in `result` that are better when they are lower; of the class or the object. May be left out."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds one example. Each parameter is looked up by its name among the answers and the recipe's inputs.

        `answer` is what the default signature predicts, and `references` the list of right answers. A parameter with a
        default is left out if nothing has its name.
        """

    def result(self) -> Mapping[str, float]:
        """Returns the numbers by name. The names are the same whatever was added, even nothing."""


def bootstrap_ci(totals: Any, counts: Any) -> Any:
    """Computes the 95 % bootstrap confidence interval of shares, with 1,000 seeded resamples.

    Each resample draws whole examples with replacement, as many as there are. So the captions of one picture are not treated
    as independent. A share of exactly 0 or 1 gets an interval of width 0: the bootstrap knows nothing of unseen cases.

    Args:
        totals: What each example adds to each share's numerator, `(examples, shares)`; at least one example.
        counts: What each example adds to the denominator, `(examples,)`.

    Returns:
        The 2.5 and the 97.5 percentile, `(2, shares)`.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife"; percentile intervals.
    """
    kinds, number = np.unique(np.column_stack([totals, counts]), axis=0, return_counts=True)  # equal rows are drawn together
    draw = np.random.default_rng(SEED)
    drawn = np.stack([draw.multinomial(len(totals), number / len(totals)) @ kinds for _ in range(RESAMPLES)])
    return np.percentile(drawn[:, :-1] / np.maximum(drawn[:, -1:], 1), BOUNDS, axis=0)
