"""Accuracy and top-k accuracy."""

from typing import Any
from unicodedata import normalize

from mmzoo import DataError, PositiveInt
from mmzoo_answering.by_kind import ByKind


class Accuracy:
    """Accuracy: the share of answers that equal one of their references.

    Texts are compared exactly, in Unicode's normal form C. `accuracy` is from 0 to 1; without answers, it is 0. `accuracy_low`
    and `accuracy_high` are its 95 % interval (bootstrap over the examples, 1,000 draws, seeded). A classifier also has
    `unknown`: the share of examples without any reference among the known labels, for example labels that training has not
    seen. They count as wrong.

    Scores by kind of question: if the recipe has an input named `kind`, or an option names one
    (`{type: accuracy, kind: question_kind}`), the same numbers are computed for the examples of each kind, such as
    `accuracy[count]`. `accuracy` itself is over all examples.

    Args:
        known_labels: The labels that a classifier can answer.
    """

    lower_is_better = ("unknown",)

    def __init__(self, *, known_labels: frozenset[str] | None = None):
        self.scores, self.known_labels = ByKind(), known_labels
        self.unknown = self.count = 0

    def update(self, answer: str, references: list[str], kind: list[str] | None = None) -> None:
        """Adds an answer, its references and the kinds of its question."""
        references = _nfc(references)
        self.scores.add(_nfc([answer])[0] in references, kind)
        self.unknown += self.known_labels is not None and self.known_labels.isdisjoint(references)
        self.count += 1

    def result(self) -> dict[str, float]:
        """Returns `accuracy` with its interval, over all examples and by kind; for a classifier also `unknown`."""
        unknown = {} if self.known_labels is None else {"unknown": self.unknown / max(self.count, 1)}
        return self.scores.result("accuracy") | unknown


class TopAccuracy:
    """Top-k accuracy: the share of examples with a right answer among k.

    `top_5`, if `top_k` is 5, is from 0 to 1; without answers, it is 0. Intervals and kinds are as in `accuracy`. Answers and
    references are compared exactly.

    Args:
        top_k: k, the number of best answers to look at; the model must return at least as many.
    """

    def __init__(self, *, top_k: PositiveInt = 5):
        self.scores, self.top_k = ByKind(), top_k

    def update(self, label: list[str], references: list[str], kind: list[str] | None = None) -> None:
        """Adds the answers, best first, their references and the kinds of the question.

        Raises:
            DataError: There are fewer than `top_k` answers.
        """
        if len(label) < self.top_k:
            advice = f"Give the head `top_k: {self.top_k}`, or, if there are no more labels, the metric `top_k: {len(label)}`."
            raise DataError(f"the metric 'top_accuracy' needs {self.top_k} answers, the model returns {len(label)}. {advice}")
        self.scores.add(not set(_nfc(label[: self.top_k])).isdisjoint(_nfc(references)), kind)

    def result(self) -> dict[str, float]:
        """Returns `top_5`, if `top_k` is 5, with its interval, over all examples and by kind."""
        return self.scores.result(f"top_{self.top_k}")


def _nfc(answers: list[Any]) -> list[Any]:
    return [normalize("NFC", answer) if isinstance(answer, str) else answer for answer in answers]
