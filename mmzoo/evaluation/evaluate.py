"""Run, split -> Scores: the served answers to every held-out example, and those of baselines, scored the same way."""

from collections.abc import Mapping
from itertools import compress

import numpy as np

from mmzoo.contracts.progress import Screen
from mmzoo.data.splits import Data
from mmzoo.errors import RunError
from mmzoo.evaluation import baselines
from mmzoo.evaluation.needed import Needed
from mmzoo.evaluation.predictions import Predictor, values_by_name
from mmzoo.evaluation.rows import Rows
from mmzoo.evaluation.scores import Scores
from mmzoo.evaluation.scoring import Scoring
from mmzoo.recipe.plan import Plan
from mmzoo.serving.served import Served

MISSING_SEED = 0
"""Seed of the draw of the examples in which an input is missing."""
REHEARSED = 4
"""Training examples that metrics may read in a rehearsal."""


def evaluate(plan: Plan, served: Served, data: Data, screen: Screen, needed: Mapping[str, Needed] | None = None) -> Scores:
    """Answers and scores every readable example of the held-out split.

    Args:
        plan: Whose metrics.
        served: The model.
        data: Scanned.
        screen: Where progress goes.
        needed: The models that metrics name, by their names in the recipe.

    Raises:
        RecipeError: A metric needs a value that neither the answers nor the inputs give, or two give a number of one name.
    """
    rows = Rows()
    scores, scoring = Scores(data.held_out(), rows=rows), Scoring(plan, served, data, needed)
    scores.lower_is_better = scoring.lower_is_better
    predictor = Predictor(served, data, scoring.named)
    readable = data.readable[scores.split]
    answered = screen.track(predictor.answer_split(scores.split), "evaluate", len(readable))
    scored = []
    for example, is_readable in zip(answered, readable, strict=True):
        if is_readable:
            scored.append(example.row["answers"]["model"]["ok"])  # without an input that the answer needs there is none
            if scored[-1]:
                rows.append(example.row)
                scoring.update(example.values)
    scores.unreadable = len(readable) - len(scores.rows)
    if scores.rows:
        scores.numbers["model"] = scoring.result()
        _score_baselines(plan, predictor, scores, scored, screen, needed)
    return scores


def evaluate_missing(
    plan: Plan, served: Served, data: Data, screen: Screen, share: float = 1.0, needed: Mapping[str, Needed] | None = None
) -> dict[str, dict[str, float]]:
    """Scores the held-out split once for each combination of missing inputs.

    Args:
        plan: Whose metrics.
        served: The model.
        data: Scanned.
        screen: Where progress goes.
        share: Of the examples in which inputs are missing. They are drawn with a fixed seed, the same for every condition.
        needed: The models that metrics name.

    Returns:
        Condition -> metric -> number. The conditions are `all`; `without <input>` for each input of the default signature; and,
        for more than two inputs, `<input> alone`. Examples that cannot be answered, because they lack the remaining inputs
        anyway, are left out of the metrics and counted as `unanswered`.

    Raises:
        RunError: The answer is made from one input.
    """
    inputs, split = served.answers[served.default].read, data.held_out()
    if len(inputs) < 2:
        raise RunError(f"the answer is made from '{inputs[0]}' alone, so no input can be missing; expected two inputs or more.")
    conditions: dict[str, tuple[str, ...]] = {"all": ()} | {f"without {name}": (name,) for name in inputs}
    if len(inputs) > 2:
        conditions |= {f"{name} alone": tuple(other for other in inputs if other != name) for name in inputs}
    readable = data.readable[split]
    drawn = np.random.default_rng(MISSING_SEED).random(len(readable)) < share
    numbers = {}
    for condition, missing in conditions.items():
        scoring, unanswered = Scoring(plan, served, data, needed), 0
        predictor = Predictor(served, data, scoring.named)
        answered = screen.track(predictor.answer_split(split, dict.fromkeys(missing, drawn)), condition, len(readable))
        for example, is_readable in zip(answered, readable, strict=True):
            if is_readable and example.row["answers"]["model"]["ok"]:
                scoring.update(example.values)
            else:
                unanswered += is_readable
        numbers[condition] = scoring.result() | ({"unanswered": unanswered} if unanswered else {})
    return numbers


def rehearse(plan: Plan, served: Served, data: Data, needed: Mapping[str, Needed] | None = None) -> None:
    """Answers and scores two examples before training, so that a recipe which cannot be evaluated fails early.

    Raises:
        RecipeError: As `evaluate`.
    """
    split = data.held_out()
    first = int(np.argmax(data.readable[split]))  # a scanned split has one
    two = next(iter(data.raw[split].examples().skip(first).ragged_batch(2)))
    scoring = Scoring(plan, served, data, needed, most=REHEARSED)
    answered = Predictor(served, data, scoring.named).answer_batch(two)
    for example, is_readable in zip(answered, data.readable[split][first:], strict=False):
        if is_readable:
            scoring.update(example.values)
    scoring.result()


def _score_baselines(
    plan: Plan, predictor: Predictor, scores: Scores, scored: list[bool], screen: Screen, needed: Mapping[str, Needed] | None
) -> None:
    """Scores the baselines on the readable examples that the model answered; their answers are kept, but not embeddings."""
    names = plan.evaluate.baselines
    served, data, predicted = predictor.served, predictor.data, predictor.signature.answers
    for baseline in baselines.predicting(served, data, scores.split, names, screen):
        scoring, rows = Scoring(plan, served, data, needed, baseline=True), Rows()
        for row, answer in zip(scores.rows, compress(baseline.answers, scored), strict=True):
            row["answers"][baseline.name] = answer
            rows.append(row)
            scoring.update(values_by_name(row, baseline.name, predicted))
        scores.rows = rows
        scores.add(baseline.name, baseline.about, scoring.result())
    embeddings = predictor.named_outputs()
    if embeddings and not predicted:
        for baseline in baselines.embedding(served, data, scores.split, names, embeddings, screen):
            scoring = Scoring(plan, served, data, needed, baseline=True)
            for row, outputs in zip(scores.rows, compress(baseline.answers, scored), strict=True):
                scoring.update(row["references"] | dict(outputs))
            scores.add(baseline.name, baseline.about, scoring.result())
