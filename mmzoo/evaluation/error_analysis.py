"""Scored rows -> who is right, and what is said in place of what."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import tensorflow as tf

from mmzoo.contracts.processor import Processor
from mmzoo.contracts.raw import plain
from mmzoo.evaluation.scores import Row, Scores
from mmzoo.serving.served import Served


@dataclass(frozen=True)
class Judged:
    """A scored row with its verdict.

    Args:
        row: As scored.
        right: None where right and wrong have no meaning: answers that are pictures or broken numbers.
        texts: For each answered input whose answers are text: the answer, and the references as its processor reads them.
    """

    row: Row
    right: bool | None
    texts: Mapping[str, tuple[str, Sequence[str]]]


def judge(served: Served, scores: Scores) -> list[Judged]:
    """Says of each scored row whether the answer is one of its references, as the answer's processor reads those.

    The answer of a search is what it found first, which stands there as the data has it and so is compared with the references
    as they are.
    """
    answers, searches = _predicted(served), bool(served.answers[served.default].gallery)
    read = {name: [row["references"].get(name, []) for row in scores.rows] for name in answers.values()}
    if not searches:
        read = {name: _as_answered(served.processors[name], references) for name, references in read.items()}
    return [
        _judged(row, answers, {name: readings[index] for name, readings in read.items()}, searches)
        for index, row in enumerate(scores.rows)
    ]


def _predicted(served: Served) -> Mapping[str, str]:
    """Gives the outputs of the default signature that say what an input holds."""
    signature = served.answers[served.default]
    return {name: name for name in served.gallery.shows} if signature.gallery and served.gallery else signature.answers


def confusions(judged: Sequence[Judged], most: int = 10) -> list[tuple[str, str, int]]:
    """Counts what stands in a reference and what in its place in the answer, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in judged:
        for said, references in one.texts.values():
            if one.right is False and references:
                counts.update(_replaced(closest(said, references), said))
    return [(*pair, times) for pair, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]


def _as_answered(processor: Processor, references: list[list[Any]]) -> list[list[Any]]:
    """Gives each row's references as an answer would say them: in lower case, say, and cut to the longest answer."""
    values = [value for several in references for value in several]
    texts = all(isinstance(value, str) for value in values) and processor.raw.dtype == tf.string
    if not values or not texts or processor.raw.shape.rank:  # a list is read as one
        return references
    try:
        decoded = processor.decode(processor(tf.constant(values)).features).numpy()
    except NotImplementedError:
        return references
    said = iter(plain(value) for value in decoded)
    return [[next(said) for _ in several] for several in references]


def _judged(row: Row, answers: Mapping[str, str], references: Mapping[str, Sequence[Any]], searches: bool) -> Judged:
    said = {name: row["answers"]["model"][output] for output, name in answers.items()}
    if searches:
        said = {name: found[0] for name, found in said.items()}
    comparable = bool(said) and all(isinstance(value, str | int) for value in said.values())
    right = all(value in references[name] for name, value in said.items()) if comparable else None
    return Judged(row, right, {name: (value, references[name]) for name, value in said.items() if isinstance(value, str)})


def closest(said: str, references: Sequence[str]) -> str:
    """Gives the reference that reads most like an answer."""
    return max(references, key=lambda reference: matcher(reference, said).ratio())


def _replaced(reference: str, said: str) -> Iterator[tuple[str, str]]:
    left, right = reference.split(), said.split()
    for kind, i, j, k, m in matcher(reference, said).get_opcodes():
        if kind != "equal":
            yield " ".join(left[i:j]), " ".join(right[k:m])


def matcher(reference: str, said: str) -> SequenceMatcher[str]:
    """Compares a reference and an answer word by word."""
    return SequenceMatcher(None, reference.split(), said.split(), autojunk=False)
