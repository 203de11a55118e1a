"""A metric: served answers and references -> numbers; and the bootstrap interval of a share. Light."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np

RESAMPLES, SEED, BOUNDS = 1000, 0, (2.5, 97.5)
"""How often examples are drawn, what draws them, and the percentiles between which 95 % of the draws lie."""


class Metric(Protocol):
    """Scores the answers of a split. Any class with these two methods is a metric; it need not inherit from this one.

    A parameter `predict` of the constructor gets the served model: signature, raw values -> output name -> array. A parameter
    `known_labels` gets the labels that a classifier can answer, None for a model without labels.
    """

    lower_is_better: ClassVar[tuple[str, ...]] = ()
    """The numbers of `result` that are better when they are lower; may be left out."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes in one example. Each parameter is found by its name among the answers and the recipe's inputs.

        `answer` is what the default signature predicts and `references` the list of what is right. A parameter with a default
        is left out where there is no such name.
        """

    def result(self) -> Mapping[str, float]:
        """Returns the numbers by name; the same ones for no example at all."""


def bootstrap_ci(totals: Any, counts: Any) -> Any:
    """Bounds shares by the bootstrap: draws examples with replacement, as many as there are, 1,000 times, seeded.

    An example brings all that it counts for, so that captions of one picture are not taken for independent. Shares of 0 or 1
    have bounds without width: the bootstrap knows nothing of what it has not seen.

    Args:
        totals: What each example adds to each share's numerator, `(examples, shares)`; there is at least one example.
        counts: What it adds to the denominator, `(examples,)`.

    Returns:
        The 2.5 and the 97.5 percentile, `(2, shares)`.

    Source: Efron 1979, "Bootstrap methods: another look at the jackknife"; percentile intervals.
    """
    kinds, number = np.unique(np.column_stack([totals, counts]), axis=0, return_counts=True)  # equal ones are drawn together
    draw = np.random.default_rng(SEED)
    drawn = np.stack([draw.multinomial(len(totals), number / len(totals)) @ kinds for _ in range(RESAMPLES)])
    return np.percentile(drawn[:, :-1] / np.maximum(drawn[:, -1:], 1), BOUNDS, axis=0)
