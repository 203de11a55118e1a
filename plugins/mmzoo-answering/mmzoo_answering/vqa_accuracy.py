"""VQA accuracy: agreement with several people who answered the same question."""

import re

from mmzoo import split_words
from mmzoo_answering.by_kind import ByKind

ENOUGH = 3
"""Number of other people with the same answer that makes a score of 1."""
ARTICLES = {"a", "an", "the"}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
WORDS = {word: str(number) for number, word in enumerate(NUMBERS)} | {"none": "0"}
MARKS = re.compile(r"""[;/\[\]"{}()=+\\_\-><@`,?!]""")
COMMA, PERIOD = re.compile(r"(?<=\d),(?=\d)"), re.compile(r"\.(?!\d)")
"""Removed from answers: commas within a number, and periods that are no decimal points."""


class VqaAccuracy:
    """VQA accuracy: agreement with the answers of several people.

    The score of an example is the mean over the people of `min(1, others with the same answer / 3)`. With ten people, it is 1
    if four or more agree with the answer, 0.9 for three, 0.6 for two, 0.3 for one. With two or three people, the agreement of
    all others is enough for 1; with one person, the answer must be the same. `vqa_accuracy` is the mean over all examples, from
    0 to 1; without answers, it is 0. Intervals and kinds are as in `accuracy`.

    Answers are cut into words (`mmzoo.split_words`) and normalised before they are compared: lower case, no articles,
    punctuation or apostrophes, and digits for the number words up to ten. The official script normalises only where people
    disagree, and restores the apostrophes of a list of contractions.

    Source: Antol et al. 2015, arXiv 1505.00468, section 3; the mean over subsets as in the official evaluation, visualqa.org.
    """

    def __init__(self) -> None:
        self.scores = ByKind()

    def update(self, answer: str, references: list[str], kind: list[str] | None = None) -> None:
        """Adds an answer, the answers of all people and the kinds of the question."""
        ours, theirs = plain_answer(answer), [plain_answer(reference) for reference in references if reference]
        self.scores.add(agreement(theirs.count(ours), len(theirs)), kind)

    def result(self) -> dict[str, float]:
        """Returns `vqa_accuracy` with its interval, over all examples and by kind."""
        return self.scores.result("vqa_accuracy")


def agreement(same: int, people: int) -> float:
    """Computes the score, from 0 to 1, of an answer that `same` of `people` gave."""
    if people < 2:
        return float(same)
    enough = min(ENOUGH, people - 1)
    return ((people - same) * min(1.0, same / enough) + same * min(1.0, (same - 1) / enough)) / people


def plain_answer(text: str) -> str:
    """Normalises an answer: `The Two dogs!` -> `2 dogs`."""
    text = COMMA.sub("", " ".join(split_words(text)).replace("'", "").replace("\u2019", ""))
    text = PERIOD.sub("", MARKS.sub(" ", text))
    words = (WORDS.get(word, word) for word in text.split())
    return " ".join(word for word in words if word not in ARTICLES)
