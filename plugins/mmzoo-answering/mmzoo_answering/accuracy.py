"""The share of answers that are right."""

from mmzoo import DataError, PositiveInt
from mmzoo_answering.by_kind import ByKind


class Accuracy:
    """Counts the answers that are one of their references, letter for letter.

    `accuracy` is the share of such answers, from 0 to 1. Nothing answered gives 0. Beside it: `accuracy_low` and
    `accuracy_high`, its 95 % interval (bootstrap over the examples, 1,000 draws, seeded). Of a classifier also `unknown`, the
    share of examples none of whose references is one of its labels, as those that training has not seen; they count as wrong.

    Where the recipe has an input named `kind`, or names one (`{type: accuracy, kind: question_kind}`), the same is given of the
    examples of each kind: `accuracy[count]`. `accuracy` itself is over all examples, whatever their kinds.

    Args:
        known_labels: The labels of a classifier.
    """

    lower_is_better = ("unknown",)

    def __init__(self, *, known_labels: frozenset[str] | None = None):
        self.scores, self.known_labels = ByKind(), known_labels
        self.unknown = self.count = 0

    def update(self, answer: str, references: list[str], kind: list[str] | None = None) -> None:
        """Takes in an answer, its references and the kinds of question that it answers."""
        self.scores.add(answer in references, kind)
        self.unknown += self.known_labels is not None and self.known_labels.isdisjoint(references)
        self.count += 1

    def result(self) -> dict[str, float]:
        """Gives `accuracy` with its bounds, over all and by kind, and `unknown` of a classifier."""
        unknown = {} if self.known_labels is None else {"unknown": self.unknown / max(self.count, 1)}
        return self.scores.result("accuracy") | unknown


class TopAccuracy:
    """Counts the examples of which a reference is among the best answers, letter for letter.

    `top_5`, if `top` is 5, is the share of such examples, from 0 to 1; bounds and kinds are as those of `accuracy`. Nothing
    answered gives 0.

    Args:
        top: How many answers, best first, count; at least so many must be answered.
    """

    def __init__(self, *, top: PositiveInt = 5):
        self.scores, self.top = ByKind(), top

    def update(self, label: list[str], references: list[str], kind: list[str] | None = None) -> None:
        """Takes in the answers, best first, their references and the kinds of question that they answer.

        Raises:
            DataError: Fewer than `top` are answered.
        """
        if len(label) < self.top:
            advice = f"Give the head `top: {self.top}`, or, if there are no more labels, the metric `top: {len(label)}`."
            raise DataError(f"the metric 'top_accuracy' looks at {self.top} answers, the model gives {len(label)}. {advice}")
        self.scores.add(any(one in references for one in label[: self.top]), kind)

    def result(self) -> dict[str, float]:
        """Gives `top_5`, if `top` is 5, with its bounds, over all and by kind."""
        return self.scores.result(f"top_{self.top}")
