"""Run, split -> scores: the served answer of every held-out example, scored; and of two baselines, the same way."""

import inspect
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmzoo.data import Data, most_common, one_each, plain_values
from mmzoo.dataset import ROW
from mmzoo.errors import RecipeError, suggest
from mmzoo.plan import Bound, Plan
from mmzoo.processing import as_text
from mmzoo.progress import Screen
from mmzoo.serving import Served

Row = dict[str, Any]
BATCH = 64
"""Examples that are answered at a time."""
NEIGHBOURS, NEIGHBOURHOOD = 20_000, 1 << 30
"""The most training examples among which the nearest is looked for, and the most bytes that they may take."""


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


def evaluate(plan: Plan, served: Served, data: Data, screen: Screen) -> Scores:
    """Answers and scores every readable example of the held-out split.

    Raises:
        RecipeError: A metric wants something that neither the answers nor the inputs give.
    """
    scores = Scores(data.held_out())
    readable = data.readable[scores.split]
    answered = screen.track(_answered(served, data, scores.split), "evaluate", len(readable))
    scores.rows = [row for row, good in zip(answered, readable, strict=True) if good]
    scores.unreadable = len(readable) - len(scores.rows)
    for scorer, answers in _baselines(served, data, scores.split, screen).items():
        for row, answer in zip(scores.rows, answers, strict=True):
            row["answers"][scorer] = answer
    for scorer in scores.rows[0]["answers"] if scores.rows else ():
        scores.numbers[scorer] = _score(plan, served, scorer, scores.rows)
    return scores


def rehearse(plan: Plan, served: Served, data: Data) -> None:
    """Answers and scores a readable example and what follows it, so that a recipe which cannot be evaluated costs no training.

    Raises:
        RecipeError: As `evaluate`.
    """
    split = data.held_out()
    first = data.readable[split].index(True)  # a scanned split has one
    two = next(iter(data.raw[split].skip(first).ragged_batch(2)))
    rows = [row for row, good in zip(_batch(served, data, two), data.readable[split][first:], strict=False) if good]
    _score(plan, served, "model", rows)


def _answered(served: Served, data: Data, split: str) -> Iterator[Row]:
    for batch in data.raw_batches(split, BATCH):
        yield from _batch(served, data, batch)


def _batch(served: Served, data: Data, batch: Mapping[str, Any]) -> Iterator[Row]:
    signature = served.answers[served.default]
    raw = [one_each(batch[name], len(served.spec(name).shape)) for name in signature.inputs]
    outputs = served.functions[served.default](*raw)
    values = {name: output.numpy() for name, output in outputs.items()}
    for index in range(len(values["ok"])):
        answer = {name: plain(value[index]) for name, value in values.items()}
        references = {name: plain_values(batch[name][index]) for name in data.processors if name not in signature.inputs}
        row = batch[ROW][index].numpy().decode()
        yield {"row": row, "references": references, "answers": {"model": answer}}


def plain(value: Any) -> Any:
    """Gives one example's output as text, a number or an array; bytes that are no text stay bytes."""
    if getattr(value, "dtype", None) == np.object_:
        return [plain(one) for one in value]
    return value.item() if np.ndim(value) == 0 and hasattr(value, "item") else as_text(value)


def _score(plan: Plan, served: Served, scorer: str, rows: Iterable[Row]) -> dict[str, float]:
    signature = served.answers[served.default]
    numbers: dict[str, float] = {}
    for bound in plan.metrics:
        metric = bound.make()
        wanted = list(inspect.signature(metric.update).parameters)
        for row in rows:
            found = _found(row, scorer, signature.answers)
            if scorer != "model" and not set(wanted) <= set(found):
                break  # a baseline answers, but has no embeddings or scores for this metric
            _check(bound, wanted, found)
            metric.update(**{name: found[name] for name in wanted})
        else:
            numbers |= metric.result()
    return numbers


def _found(row: Row, scorer: str, answers: Mapping[str, str]) -> Row:
    answer, references = row["answers"][scorer], row["references"]
    found = references | answer
    if len(answers) == 1:
        ((output, name),) = answers.items()
        found |= {"answer": answer[output], "references": references[name]}
    return found


def _check(bound: Bound, wanted: Iterable[str], found: Mapping[str, Any]) -> None:
    for name in wanted:
        if name not in found:
            what = f"the metric '{bound.component.name}' needs '{name}', which neither the answers nor the inputs give."
            raise RecipeError([bound.node.fault(what, suggest(name, found))])


def _baselines(served: Served, data: Data, split: str, screen: Screen) -> dict[str, Iterable[Row]]:
    """Answers as one would without learning: the most frequent answer, and that of the nearest training example."""
    signature = served.answers[served.default]
    if len(signature.answers) != 1:
        return {}
    ((output, target),) = signature.answers.items()
    train = zip(data.references("train", target), data.readable["train"], strict=True)
    readable = [references for references, good in train if good]
    frequent = most_common(iter(readable))
    baselines: dict[str, Iterable[Row]] = {"most_frequent": [{output: frequent}] * data.sizes[split]}
    if (dense := _dense_input(data, signature.inputs)) is not None:
        step = _step(data, dense)
        if step > 1:
            screen.say(f"evaluate  the nearest example is looked for among {-(-data.sizes['train'] // step):,} of 'train'")
        indices = _nearest(data, dense, split, step)
        baselines["nearest"] = [{output: readable[index][0]} for index in indices]
    return baselines


def _dense_input(data: Data, inputs: Iterable[str]) -> str | None:
    dense = [name for name in inputs if data.processors[name].features["vocabulary"] is None]
    return dense[0] if len(dense) == 1 and len(data.processors[dense[0]].features["shape"]) >= 2 else None


def _step(data: Data, name: str) -> int:
    """Chooses every how manieth training example is a neighbour, so that they are spread evenly and fit into memory."""
    each = 4 * math.prod(data.processors[name].features["shape"])
    return -(-data.sizes["train"] // max(1, min(NEIGHBOURS, NEIGHBOURHOOD // each)))


def _nearest(data: Data, name: str, split: str, step: int) -> Iterator[int]:
    """Finds, for each example, which of every `step`th training example has the nearest features (Euclidean)."""
    chosen = data.examples("train").shard(step, 0).map(lambda example: example[name]).batch(256)
    train = np.concatenate([_flat(batch.numpy()) for batch in chosen])
    squares = np.einsum("nd,nd->n", train, train)
    for batch in data.examples(split).map(lambda example: example[name]).batch(256):
        queries = _flat(batch.numpy())
        yield from (step * np.argmin(squares[None] - 2 * queries @ train.T, axis=1)).tolist()


def _flat(batch: Any) -> Any:
    return batch.reshape(len(batch), -1).astype("float32") / 255
