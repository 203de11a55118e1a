"""Exact match: the share of answers with the same words as a reference."""

import regex

from mmzoo import split_words
from mmzoo_captioning.ptb import words


class ExactMatch:
    """Exact match: the share of answers with the words of a reference.

    Case, punctuation and spaces around punctuation are ignored: "A well-known woman's hat." equals
    "a well - known woman ' s hat". Other symbols count: "keycap *" does not equal "keycap #". `exact_match` is from 0 to 1;
    without answers, it is 0.

    Words are those of `mmzoo_captioning.ptb`, after spaces are put around each punctuation mark and symbol.
    """

    def __init__(self) -> None:
        self.hits: list[bool] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Adds an answer and its references."""
        self.hits.append(_normalised(answer) in [_normalised(reference) for reference in references])

    def result(self) -> dict[str, float]:
        """Returns `exact_match`."""
        return {"exact_match": sum(self.hits) / max(len(self.hits), 1)}


def _normalised(text: str) -> list[str]:
    return words(regex.sub(r"([^\pL\pM\pN\s])", r" \1 ", " ".join(split_words(text))))
