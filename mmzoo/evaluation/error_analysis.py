"""Scored rows -> which answers are correct, and which words wrong answers put in place of others."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import tensorflow as tf

from mmzoo.contracts.processor import Processor
from mmzoo.contracts.raw import plain
from mmzoo.evaluation.rows import Row
from mmzoo.evaluation.scores import Scores
from mmzoo.serving.served import Served


@dataclass(frozen=True)
class Judged:
    """A scored row with its verdict.

    Args:
        rows: All rows, as scored.
        number: Which of them it is.
        correct: None where right or wrong cannot be told: the answer is an image, an array or a fractional number.
        texts: Predicted input -> the answer and the references as its processor reads them; for answers that are text.
    """

    rows: Sequence[Row]
    number: int
    correct: bool | None
    texts: Mapping[str, tuple[str, Sequence[str]]]

    @property
    def row(self) -> Row:
        """The row, read anew."""
        return self.rows[self.number]


def judge(served: Served, scores: Scores) -> list[Judged]:
    """Judges each scored row: an answer is correct if it equals one of the references as the answer's processor reads them.

    The answer of a search is its first result. It is text of the data set, so it is compared with the references unprocessed.
    """
    answers, searches = _predicted(served), bool(served.answers[served.default].gallery)
    references = {name: [row["references"].get(name, []) for row in scores.rows] for name in answers.values()}
    if not searches:
        references = {name: _preprocessed(served.processors[name], values) for name, values in references.items()}
    return [
        Judged(
            scores.rows,
            number,
            *_verdict(row, answers, {name: values[number] for name, values in references.items()}, searches),
        )
        for number, row in enumerate(scores.rows)
    ]


def _predicted(served: Served) -> Mapping[str, str]:
    """Returns output -> the input that it predicts, for the default signature; for a search, the inputs that it shows."""
    signature = served.answers[served.default]
    return {name: name for name in served.gallery.shows} if signature.gallery and served.gallery else signature.answers


def confusions(judged: Sequence[Judged], most: int = 10) -> list[tuple[str, str, int]]:
    """Counts which words of a reference are replaced by which words of a wrong answer, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in judged:
        for answer, references in one.texts.values():
            if one.correct is False and references:
                counts.update(_replaced(closest(answer, references), answer))
    return [(*pair, times) for pair, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]


def _preprocessed(processor: Processor, references: list[list[Any]]) -> list[list[Any]]:
    """Encodes and decodes references, so that they are spelt as answers are: in lower case and cut, for example."""
    values = [value for several in references for value in several]
    texts = all(isinstance(value, str) for value in values) and processor.raw.dtype == tf.string
    if not values or not texts or processor.raw.shape.rank:  # a list is read as one
        return references
    try:
        decoded = processor.decode(processor(tf.constant(values)).features).numpy()
    except NotImplementedError:
        return references
    spelt = iter(plain(value) for value in decoded)
    return [[next(spelt) for _ in several] for several in references]


def _verdict(
    row: Row, answers: Mapping[str, str], references: Mapping[str, Sequence[Any]], searches: bool
) -> tuple[bool | None, dict[str, tuple[str, Sequence[str]]]]:
    """Returns whether a row's answer is correct, and its texts."""
    given = {name: row["answers"]["model"][output] for output, name in answers.items()}
    if searches:
        given = {name: results[0] for name, results in given.items()}
    comparable = bool(given) and all(isinstance(value, str | int) for value in given.values())
    correct = all(value in references[name] for name, value in given.items()) if comparable else None
    return correct, {name: (value, references[name]) for name, value in given.items() if isinstance(value, str)}


def closest(answer: str, references: Sequence[str]) -> str:
    """Returns the reference that is most similar to an answer."""
    return max(references, key=lambda reference: matcher(reference, answer).ratio())


def _replaced(reference: str, answer: str) -> Iterator[tuple[str, str]]:
    left, right = reference.split(), answer.split()
    for kind, i, j, k, m in matcher(reference, answer).get_opcodes():
        if kind != "equal":
            yield " ".join(left[i:j]), " ".join(right[k:m])


def matcher(reference: str, answer: str) -> SequenceMatcher[str]:
    """Compares a reference and an answer word by word."""
    return SequenceMatcher(None, reference.split(), answer.split(), autojunk=False)
