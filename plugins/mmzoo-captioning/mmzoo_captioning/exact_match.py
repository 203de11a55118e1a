"""The share of answers that are right word for word."""

import regex

from mmzoo_captioning.ptb import words


class ExactMatch:
    """Counts the answers that say the same words as one of their references.

    Case, punctuation and the blanks around marks do not count: "A well-known woman's hat." and "a well - known woman ' s hat"
    are equal. Other symbols do: "keycap *" is not "keycap #". `exact_match` is the share of such answers, from 0 to 1. Nothing
    answered gives 0.

    Words are those of `mmzoo_captioning.ptb`, after each mark and symbol is set apart.
    """

    def __init__(self) -> None:
        self.hits: list[bool] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Takes in an answer and its references."""
        self.hits.append(_plain(answer) in [_plain(reference) for reference in references])

    def result(self) -> dict[str, float]:
        """Gives `exact_match`."""
        return {"exact_match": sum(self.hits) / max(len(self.hits), 1)}


def _plain(text: str) -> list[str]:
    return words(regex.sub(r"([^\pL\pM\pN\s])", r" \1 ", text))
