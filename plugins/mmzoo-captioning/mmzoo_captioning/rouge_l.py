"""ROUGE-L of the answers of a split."""

from mmzoo_captioning.ptb import words

BETA = 1.2
"""Weight of recall relative to precision."""


class RougeL:
    """ROUGE-L: the longest common subsequence with the references.

    Let s be the number of words in the longest common subsequence, `P = max over references of s / words of the answer` and
    `R = max over references of s / words of the reference`. The score of an answer is `(1 + b^2) P R / (R + b^2 P)`, with
    b = 1.2. `rouge_l` is the mean over the examples, from 0 to 1; papers often write it times 100.

    Words are those of `mmzoo_captioning.ptb`. Equal to pycocoevalcap's `Rouge`. An answer without words scores 1 if a reference
    has none either, else 0. Without answers, the score is 0.

    Source: Lin 2004, "ROUGE: a package for automatic evaluation of summaries", section 3, with the maxima as in pycocoevalcap.
    """

    def __init__(self) -> None:
        self.scores: list[float] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Adds an answer and its references, at least one."""
        answer_words = words(answer) or [""]  # a text without words counts as one empty word, as in pycocoevalcap
        reference_words = [words(reference) or [""] for reference in references]
        shared = [_longest_common(answer_words, reference) for reference in reference_words]
        precision = max(shared) / len(answer_words)
        recall = max(common / len(reference) for common, reference in zip(shared, reference_words, strict=True))
        self.scores.append((1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if precision else 0.0)

    def result(self) -> dict[str, float]:
        """Returns `rouge_l`."""
        return {"rouge_l": sum(self.scores) / max(len(self.scores), 1)}


def _longest_common(first: list[str], second: list[str]) -> int:
    """Counts the words of the longest common subsequence."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        before = lengths
        lengths = [0]
        for index, other in enumerate(second):
            lengths.append(before[index] + 1 if word == other else max(before[index + 1], lengths[index]))
    return lengths[-1]
