"""BLEU of a whole split."""

from itertools import zip_longest

from sacrebleu.metrics.bleu import BLEU

from mmzoo_captioning.ptb import words

ORDERS = 4


class Bleu:
    """Counts the runs of 1 to 4 words that answers share with their references: corpus BLEU.

    `bleu_n = 100 * brevity * (p_1 ... p_n)^(1/n)`, from 0 to 100. p_k is the share of all the answers' runs of k words that
    occur in a reference, each counted at most as often as in one of them. `brevity = min(1, exp(1 - r / c))`, with c words in
    all answers, and r in those references whose lengths are closest to their answers' (the shorter one of two as close).

    Words are those of `mmzoo_captioning.ptb`. Equal to 100 times pycocoevalcap's, except that no shared run of some length
    gives 0 here, and there a small number which its guards against division by 0 make. Nothing answered gives 0.

    Source: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"; computed by sacrebleu.
    """

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.references: list[list[str]] = []

    def update(self, answer: str, references: list[str]) -> None:
        """Takes in an answer and its references, at least one."""
        self.answers.append(" ".join(words(answer)))
        self.references.append([" ".join(words(reference)) for reference in references])

    def result(self) -> dict[str, float]:
        """Gives `bleu_1` to `bleu_4`."""
        if not self.answers:
            return {f"bleu_{n}": 0.0 for n in range(1, ORDERS + 1)}
        streams = [list(stream) for stream in zip_longest(*self.references)]  # sacrebleu's layout, None where there are fewer
        found = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(self.answers, streams)
        return {f"bleu_{n}": _upto(n, found.counts, found.totals, found.sys_len, found.ref_len) for n in range(1, ORDERS + 1)}


def _upto(n: int, counts: list[int], totals: list[int], answered: int, referred: int) -> float:
    return BLEU.compute_bleu(counts[:n], totals[:n], answered, referred, smooth_method="none", max_ngram_order=n).score
