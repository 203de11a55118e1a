"""Agreement with several people who answered the same question."""

import re

from mmzoo_answering.by_kind import ByKind

ENOUGH = 3
"""How many people must say the same for a whole point."""
ARTICLES = {"a", "an", "the"}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
WORDS = {word: str(number) for number, word in enumerate(NUMBERS)} | {"none": "0"}
MARKS = re.compile(r"""[;/\[\]"{}()=+\\_\-><@`,?!]""")
COMMA, PERIOD = re.compile(r"(?<=\d),(?=\d)"), re.compile(r"\.(?!\d)")
"""Commas within a number, and periods that begin no decimals: neither says anything."""


class VqaAccuracy:
    """Scores each answer by how many of the people who were asked say the same.

    An example's score is the mean over the people of `min(1, those of the others who say the same / 3)`: 1 where four of ten
    agree, 0.9 for three, 0.6 for two, 0.3 for one. `vqa_accuracy` is the mean over all examples, from 0 to 1; bounds
    and kinds are as those of `accuracy`. Nothing answered gives 0. Of fewer than four people all others are enough, and one
    alone must say the same.

    Answers are compared in lower case, without articles and punctuation, with digits for the number words up to ten; an
    apostrophe left out is no difference. The official script compares only answers on which people differ so, and puts back
    the apostrophes of a list of contractions.

    Source: Antol et al. 2015, arXiv 1505.00468, section 3; the mean over subsets as in the official evaluation, visualqa.org.
    """

    def __init__(self) -> None:
        self.scores = ByKind()

    def update(self, answer: str, references: list[str], kind: list[str] | None = None) -> None:
        """Takes in an answer, everybody's answers and the kinds of question that it answers."""
        said, others = plain_answer(answer), [plain_answer(one) for one in references if one]
        self.scores.add(agreement(others.count(said), len(others)), kind)

    def result(self) -> dict[str, float]:
        """Gives `vqa_accuracy` with its bounds, over all and by kind."""
        return self.scores.result("vqa_accuracy")


def agreement(same: int, people: int) -> float:
    """Gives the mean over the people of how far the others agree, from 0 to 1; `same` of `people` say what is scored."""
    if people < 2:
        return float(same)
    enough = min(ENOUGH, people - 1)
    return ((people - same) * min(1.0, same / enough) + same * min(1.0, (same - 1) / enough)) / people


def plain_answer(text: str) -> str:
    """Writes an answer so that what says the same is the same: `The Two dogs!` -> `2 dogs`."""
    text = COMMA.sub("", text.lower().replace("'", "").replace("\u2019", ""))
    text = PERIOD.sub("", MARKS.sub(" ", text))
    words = (WORDS.get(word, word) for word in text.split())
    return " ".join(word for word in words if word not in ARTICLES)
