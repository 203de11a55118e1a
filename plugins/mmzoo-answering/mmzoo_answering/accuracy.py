"""The share of answers that are right."""

from mmzoo import DataError, Positive


class Accuracy:
    """Counts the answers that are one of their references, letter for letter.

    `accuracy` is the share of such answers, from 0 to 1. A label that training has not seen cannot be answered, so it counts
    as wrong. Nothing answered gives 0.
    """

    def __init__(self) -> None:
        self.right = self.count = 0

    def update(self, answer: str, references: list[str]) -> None:
        """Takes in an answer and its references."""
        self.right += answer in references
        self.count += 1

    def result(self) -> dict[str, float]:
        """Gives `accuracy`."""
        return {"accuracy": self.right / max(self.count, 1)}


class TopAccuracy:
    """Counts the examples of which a reference is among the best answers, letter for letter.

    `top_5`, if `top` is 5, is the share of such examples, from 0 to 1. Nothing answered gives 0.

    Args:
        top: How many answers, best first, count; at least so many must be answered.
    """

    def __init__(self, *, top: Positive = 5):
        self.top = top
        self.right = self.count = 0

    def update(self, label: list[str], references: list[str]) -> None:
        """Takes in the answers, best first, and their references.

        Raises:
            DataError: Fewer than `top` are answered.
        """
        if len(label) < self.top:
            advice = f"Give the head `top: {self.top}`, or, if there are no more labels, the metric `top: {len(label)}`."
            raise DataError(f"the metric 'top_accuracy' looks at {self.top} answers, the model gives {len(label)}. {advice}")
        self.right += any(one in references for one in label[: self.top])
        self.count += 1

    def result(self) -> dict[str, float]:
        """Gives `top_5`, if `top` is 5."""
        return {f"top_{self.top}": self.right / max(self.count, 1)}
