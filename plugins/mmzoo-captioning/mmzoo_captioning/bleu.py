"""Corpus BLEU of the answers of a split."""

from itertools import zip_longest

from sacrebleu.metrics.bleu import BLEU

from mmzoo_captioning.ptb import words

ORDERS = 4


class Bleu:
    """Corpus BLEU: n-grams of 1 to 4 words shared with the references.

    `bleu_n = 100 * brevity * (p_1 ... p_n)^(1/n)`, from 0 to 100. p_k is the share of the k-grams of all answers that occur in
    a reference; each k-gram counts at most as often as it occurs in a single reference. `brevity = min(1, exp(1 - r / c))`: c
    is the number of words in all answers, and r that in the references closest in length, the shorter one on a tie.

    Words are those of `mmzoo_captioning.ptb`. Equal to 100 times the scores of pycocoevalcap, with one exception: if no k-gram
    of some length is shared, the score is 0, where pycocoevalcap returns a small number from its guards against division by 0.
    Without answers, the scores are 0.

    Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; computed by sacrebleu.
    """

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.references: list[list[str]] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Adds an answer and its references, at least one."""
        self.answers.append(" ".join(words(answer)))
        self.references.append([" ".join(words(reference)) for reference in references])

    def result(self) -> dict[str, float]:
        """Returns `bleu_1` to `bleu_4`."""
        if not self.answers:
            return {f"bleu_{n}": 0.0 for n in range(1, ORDERS + 1)}
        columns = [list(column) for column in zip_longest(*self.references)]  # sacrebleu's layout, None for a missing reference
        found = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(self.answers, columns)
        return {f"bleu_{n}": _order(n, found.counts, found.totals, found.sys_len, found.ref_len) for n in range(1, ORDERS + 1)}


def _order(n: int, counts: list[int], totals: list[int], answer_length: int, reference_length: int) -> float:
    return BLEU.compute_bleu(
        counts[:n], totals[:n], answer_length, reference_length, smooth_method="none", max_ngram_order=n
    ).score
