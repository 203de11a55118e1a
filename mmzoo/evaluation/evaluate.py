"""Run, split -> scores: the served answer of every held-out example, scored; and of baselines, the same way."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from mmzoo.contracts.dataset import ROW
from mmzoo.contracts.head import with_aliases
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import first_values, plain, plain_rows
from mmzoo.data.splits import Data
from mmzoo.errors import RecipeError, RunError, suggest
from mmzoo.evaluation import baselines
from mmzoo.evaluation.scores import Row, Scores
from mmzoo.recipe.options import supplied_of, tensors_of
from mmzoo.recipe.own_keys import wired_function
from mmzoo.recipe.plan import Metric, Plan
from mmzoo.serving.served import Served

BATCH = 64
"""Examples that are answered at a time."""
MISSING_SEED = 0
"""What draws the examples in which an input is missing."""


def evaluate(plan: Plan, served: Served, data: Data, screen: Screen) -> Scores:
    """Answers and scores every readable example of the held-out split.

    Raises:
        RecipeError: A metric wants something that neither the answers nor the inputs give, or two give a number of one name.
    """
    scores, scoring = Scores(data.held_out()), _Scoring(plan, served)
    readable = data.readable[scores.split]
    asked = screen.track(_asked(scoring, data, scores.split), "evaluate", len(readable))
    for one, good in zip(asked, readable, strict=True):
        if good:
            scores.rows.append(one.row)
            scoring.update(one.found)
    scores.unreadable = len(readable) - len(scores.rows)
    if scores.rows:
        scores.numbers["model"] = scoring.result()
        _score_baselines(plan, served, data, scores, _embedding(scoring), screen)
    return scores


def evaluate_missing(plan: Plan, served: Served, data: Data, screen: Screen, share: float = 1.0) -> dict[str, dict[str, float]]:
    """Scores the held-out split as often as an input may be missing.

    Args:
        plan: Whose metrics.
        served: What answers.
        data: Scanned.
        screen: Where progress goes.
        share: Of the examples in which inputs are missing; which ones is drawn by a fixed seed, the same for every condition.

    Returns:
        Condition -> metric -> number: `all`; `without <input>` for each input of the default signature; and, for more than two,
        `<input> alone`. Where examples cannot be answered then, as they lack another input anyway, their number is
        `unanswered`, and the metrics are of the others.

    Raises:
        RunError: The answer is made from one input.
    """
    inputs, split = served.answers[served.default].inputs, data.held_out()
    if len(inputs) < 2:
        raise RunError(f"the answer is made from '{inputs[0]}' alone, so no input can be missing; expected two inputs or more.")
    conditions: dict[str, tuple[str, ...]] = {"all": ()} | {f"without {name}": (name,) for name in inputs}
    if len(inputs) > 2:
        conditions |= {f"{name} alone": tuple(other for other in inputs if other != name) for name in inputs}
    readable = data.readable[split]
    drawn = np.random.default_rng(MISSING_SEED).random(len(readable)) < share
    numbers = {}
    for condition, missing in conditions.items():
        scoring = _Scoring(plan, served)
        asked = screen.track(_asked(scoring, data, split, dict.fromkeys(missing, drawn)), condition, len(readable))
        unanswered = 0
        for one, good in zip(asked, readable, strict=True):
            if good and one.row["answers"]["model"]["ok"]:
                scoring.update(one.found)
            else:
                unanswered += good
        numbers[condition] = scoring.result() | ({"unanswered": unanswered} if unanswered else {})
    return numbers


def rehearse(plan: Plan, served: Served, data: Data) -> None:
    """Answers and scores a readable example and what follows it, so that a recipe which cannot be evaluated costs no training.

    Raises:
        RecipeError: As `evaluate`.
    """
    split = data.held_out()
    first = data.readable[split].index(True)  # a scanned split has one
    two = next(iter(data.raw[split].skip(first).ragged_batch(2)))
    scoring = _Scoring(plan, served)
    for one, good in zip(_batch(scoring, data, two), data.readable[split][first:], strict=False):
        if good:
            scoring.update(one.found)
    scoring.result()


class _Asked(NamedTuple):
    """An answered example: what is kept of it, and what metrics find by name."""

    row: Row
    found: Row


class _Scoring:
    """The metrics of a plan, each of which sees what it names of an example's answers and inputs.

    Args:
        plan: Whose metrics.
        served: Asked by metrics that take `predict`.
        baseline: Leave out a metric that wants what is not there, or asks the model: a baseline gives some answers, no more.
    """

    def __init__(self, plan: Plan, served: Served, baseline: bool = False):
        self.served, self.baseline = served, baseline
        scored = [metric for metric in plan.metrics if not (baseline and _asks(metric))]
        supplied = {"predict": served.predict, "known_labels": _known_labels(served)}
        self.metrics = [(metric, metric.bound.make(**supplied)) for metric in scored]
        self.named = {served.aliases.get(name, name) for metric in plan.metrics for name in metric.values.values()}
        self.wanted = _answering(served, self.named)

    def update(self, found: Row) -> None:
        found = with_aliases(found, self.served.aliases)
        if self.baseline:
            self.metrics = [(one, made) for one, made in self.metrics if set(_seen(one, found).values()) <= set(found)]
        for metric, made in self.metrics:
            seen = _seen(metric, found)
            for name in seen.values():
                if name not in found:
                    who = f"the metric '{metric.bound.component.name}'"
                    what = f"{who} needs '{name}', which neither the answers nor the inputs give."
                    raise RecipeError([metric.bound.node.fault(what, suggest(name, found))])
            made.update(**{parameter: found[name] for parameter, name in seen.items()})

    def result(self) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for metric, made in self.metrics:
            found = made.result()
            if twice := next((name for name in found if name in numbers), None):
                what = f"the metric '{metric.bound.component.name}' gives '{twice}', which one before it gives too."
                raise RecipeError([metric.bound.node.fault(what, "Leave one of them out.")])
            numbers |= found
        return numbers


_needed = cache(tensors_of)  # asked for every example


def _seen(metric: Metric, found: Row) -> dict[str, str]:
    """Gives what a metric sees of an example: all that it names but what it can do without and is not there."""
    needed = _needed(wired_function(metric.bound.component))
    return {one: name for one, name in metric.values.items() if needed[one] or name != one or name in found}


def _asks(metric: Metric) -> bool:
    return "predict" in supplied_of(metric.bound.component.load())


def _known_labels(served: Served) -> frozenset[str] | None:
    """Lists the labels of the one input that the default signature answers; None if it has none, or answers several inputs."""
    inputs = list(served.answers[served.default].answers.values())
    labels = served.processors[inputs[0]].features.get("labels") if len(inputs) == 1 else None
    return None if labels is None else frozenset(labels)


def _answering(served: Served, named: Iterable[str]) -> dict[str, str]:
    """Finds the signature that answers each of some names beside the default one: the first whose inputs an example has."""
    found: dict[str, str] = {}
    for name in list(served.answers)[1:]:
        if not served.answers[name].reads:
            found |= {output: name for output in served.outputs(name) if output in named and output not in found}
    return {output: name for output, name in found.items() if output not in served.outputs(served.default)}


def _embedding(scoring: _Scoring) -> dict[str, str]:
    """Finds the signature that answers each output which metrics name, the default one too unless it searches."""
    served = scoring.served
    own = {} if served.answers[served.default].gallery else served.outputs(served.default)
    return {output: served.default for output in own if output in scoring.named} | scoring.wanted


def _asked(scoring: _Scoring, data: Data, split: str, missing: Mapping[str, np.ndarray] | None = None) -> Iterator[_Asked]:
    """Answers every example of a split; `missing` says of an input in which ones it is taken away."""
    for number, batch in enumerate(data.raw_batches(split, BATCH)):
        rows = slice(number * BATCH, (number + 1) * BATCH)
        yield from _batch(scoring, data, batch, {name: drawn[rows] for name, drawn in (missing or {}).items()})


def _batch(
    scoring: _Scoring, data: Data, batch: Mapping[str, Any], missing: Mapping[str, np.ndarray] | None = None
) -> Iterator[_Asked]:
    served = scoring.served
    signature = served.answers[served.default]
    raw = [first_values(batch[name], len(served.spec(name).shape)) for name in signature.inputs]
    for place, name in enumerate(signature.inputs):
        if missing and name in missing:
            gone = missing[name].reshape([-1] + [1] * (len(raw[place].shape) - 1))
            raw[place] = tf.where(gone, tf.zeros_like(raw[place]), raw[place])  # zeros of strings are empty ones
    answers = _each(served.predict(served.default, *raw))
    more = [_several(served, name, batch) for name in dict.fromkeys(scoring.wanted.values())]
    shown = served.gallery.shows if signature.gallery and served.gallery else ()
    kept = {name for name, one in data.processors.items() if name not in signature.inputs and not one.from_file}
    texts = [name for name in data.processors if name in {*scoring.named, *kept, *shown}]
    said = {name: plain_rows(batch[name]) for name in texts}
    for index, (source, answer, *others) in enumerate(zip(batch[ROW].numpy(), answers, *more, strict=True)):
        references = {name: rows[index] for name, rows in said.items()}
        row = {"row": source.decode(), "references": references, "answers": {"model": answer}}
        embedded = {output: other[output] for other in others for output in scoring.wanted if output in other}
        yield _Asked(row, _found(row, "model", signature.answers) | embedded)


def _several(served: Served, name: str, batch: Mapping[str, Any]) -> Iterator[Row]:
    """Asks a signature; of an input that has several values for an example, all are answered, and stacked."""
    inputs = served.answers[name].inputs
    ranks = [len(served.spec(one).shape) for one in inputs]
    values = batch[inputs[0]]
    if len(inputs) > 1 or len(values.shape) == ranks[0]:
        yield from _each(
            served.predict(name, *[first_values(batch[one], rank) for one, rank in zip(inputs, ranks, strict=True)])
        )
        return
    values = values if isinstance(values, tf.RaggedTensor) else tf.RaggedTensor.from_tensor(values)
    outputs = served.predict(name, values.flat_values)
    for start, stop in zip(values.row_starts().numpy(), values.row_limits().numpy(), strict=True):
        yield {output: value[start:stop] for output, value in outputs.items()}


def _each(outputs: Mapping[str, np.ndarray]) -> Iterator[Row]:
    for index in range(len(outputs["ok"])):
        yield {name: plain(value[index]) for name, value in outputs.items()}


def _found(row: Row, scorer: str, answers: Mapping[str, str]) -> Row:
    answer, references = row["answers"][scorer], row["references"]
    found = references | answer if answers else answer | references  # what a search shows hides no input
    if len(answers) == 1:
        ((output, name),) = answers.items()
        found |= {"answer": answer[output], "references": references[name]}
    return found


def _score_baselines(plan: Plan, served: Served, data: Data, scores: Scores, wanted: Mapping[str, str], screen: Screen) -> None:
    predicted = served.answers[served.default].answers
    for scorer, answers in baselines.answers(served, data, scores.split, screen).items():
        scoring = _Scoring(plan, served, baseline=True)
        for row, answer in zip(scores.rows, answers, strict=True):
            row["answers"][scorer] = answer
            scoring.update(_found(row, scorer, predicted))
        scores.numbers[scorer] = scoring.result()
    if wanted and not predicted:
        for scorer, vectors in baselines.embeddings(served, data, scores.split, wanted, screen).items():
            scoring = _Scoring(plan, served, baseline=True)
            for row, found in zip(scores.rows, vectors, strict=True):
                scoring.update(row["references"] | dict(found))
            scores.numbers[scorer] = scoring.result()
