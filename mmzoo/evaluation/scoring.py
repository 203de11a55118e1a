"""Named values of each example -> the numbers of a plan's metrics."""

from collections.abc import Iterator, Mapping
from functools import cache, partial
from itertools import compress, islice
from typing import Any

from mmzoo.contracts.dataset import FAULT
from mmzoo.contracts.head import with_aliases
from mmzoo.contracts.raw import plain_rows
from mmzoo.data.splits import Data
from mmzoo.errors import RecipeError, suggest
from mmzoo.evaluation.needed import Needed
from mmzoo.evaluation.rows import Row
from mmzoo.recipe.component_keys import called_function
from mmzoo.recipe.options import core_parameters_of, tensors_of
from mmzoo.recipe.plan import BoundMetric, Plan
from mmzoo.serving.served import Served

READ = 256
"""Training examples that are read at a time."""


class Scoring:
    """The metrics of a plan, updated example by example.

    Args:
        plan: Whose metrics.
        served: The model, for metrics that take `predict` or `known_labels`.
        data: For metrics that take `training_examples`.
        needed: The models that metrics name, by their names in the recipe.
        baseline: Leave out the metrics that need values which a baseline lacks, and those that call the model.
        most: How many training examples metrics may read; None for all.
    """

    def __init__(
        self,
        plan: Plan,
        served: Served,
        data: Data,
        needed: Mapping[str, Needed] | None = None,
        baseline: bool = False,
        most: int | None = None,
    ):
        self.served, self.baseline = served, baseline
        supplied: dict[str, Any] = {"predict": served.predict, "known_labels": _known_labels(served), "needed": needed or {}}
        supplied["training_examples"] = partial(_training_examples, data, most)
        scored = [metric for metric in plan.metrics if not (baseline and _calls_model(metric))]
        self.metrics = [(metric, metric.bound.make(**supplied)) for metric in scored]
        self.named = {served.aliases.get(name, name) for metric in plan.metrics for name in metric.values.values()}

    @property
    def lower_is_better(self) -> list[str]:
        """Names of the numbers that are better when they are lower."""
        return [name for _, made in self.metrics for name in getattr(made, "lower_is_better", ())]

    def update(self, values: Row) -> None:
        """Updates the metrics with an example.

        Raises:
            RecipeError: A metric needs a value that is not present.
        """
        values = with_aliases(values, self.served.aliases)
        if self.baseline:
            self.metrics = [(one, made) for one, made in self.metrics if set(_arguments(one, values).values()) <= set(values)]
        for metric, made in self.metrics:
            arguments = _arguments(metric, values)
            for name in arguments.values():
                if name not in values:
                    who = f"the metric '{metric.bound.component.name}'"
                    what = f"{who} needs '{name}', which neither the answers nor the inputs give."
                    raise RecipeError([metric.bound.node.fault(what, suggest(name, values))])
            made.update(**{parameter: values[name] for parameter, name in arguments.items()})

    def result(self) -> dict[str, float]:
        """Returns the numbers of all metrics by name.

        Raises:
            RecipeError: Two metrics give a number of one name.
        """
        numbers: dict[str, float] = {}
        for metric, made in self.metrics:
            result = made.result()
            if twice := next((name for name in result if name in numbers), None):
                what = f"the metric '{metric.bound.component.name}' gives '{twice}', which one before it gives too."
                raise RecipeError([metric.bound.node.fault(what, "Leave one of them out.")])
            numbers |= result
        return numbers


_needed = cache(tensors_of)  # called for every example


def _arguments(metric: BoundMetric, values: Row) -> dict[str, str]:
    """Maps a metric's parameters to names of values; without optional ones that the recipe does not name and no value has."""
    needed = _needed(called_function(metric.bound.component))
    return {one: name for one, name in metric.values.items() if needed[one] or name != one or name in values}


def _training_examples(data: Data, most: int | None) -> Iterator[Row]:
    """Yields the readable examples of the training split, at most as many."""
    return islice(_readable(data, "train", READ if most is None else most), most)


def _readable(data: Data, split: str, batch_size: int) -> Iterator[Row]:
    for number, batch in enumerate(data.raw_batches(split, batch_size)):
        rows = slice(number * batch_size, (number + 1) * batch_size)
        if any(fault and known for fault, known in zip(batch[FAULT].numpy(), data.readable[split][rows], strict=True)):
            data.check_again(split, batch, rows.start)
        columns = {name: plain_rows(batch[name]) for name in data.processors}
        found = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
        yield from compress(found, data.readable[split][rows])


def _calls_model(metric: BoundMetric) -> bool:
    return "predict" in core_parameters_of(metric.bound.component.load())


def _known_labels(served: Served) -> frozenset[str] | None:
    """Returns the labels of the one input that the default signature predicts; None without labels or with several inputs."""
    inputs = list(served.answers[served.default].answers.values())
    labels = served.processors[inputs[0]].features.get("labels") if len(inputs) == 1 else None
    return None if labels is None else frozenset(labels)
