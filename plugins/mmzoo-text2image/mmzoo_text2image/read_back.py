"""Read-back: whether a judge reads from a generated picture what it was asked to show."""

from typing import Any

import numpy as np
from mmzoo_text2image.judging import ask, judge_name
from mmzoo_text2image.pictures import Fit, at_size, size_of

from mmzoo import NeededModel, bootstrap_ci

WHO = "the metric 'read_back'"
PARTS = ("", "_low", "_high", "_real")


class ReadBack:
    """Share of generated pictures from which a judge reads the true value, such as a colour.

    The recipe names the input with the true values: `target: kind`. `<judge>_read_back_<name>` is the share of generated
    pictures for which the judge's answer is one of them, 0 to 1. `..._low` and `..._high` are the 95 % interval (bootstrap over
    the pictures, 1,000 draws, seeded). `..._real` is the share for the real pictures, at the size of the generated ones: what
    the judge can read at all. Without pictures all numbers are 0.

    Source: a classifier as the judge of generated pictures, as in the semantic object accuracy of Hinz et al. 2020,
    arXiv 1910.13321.

    Args:
        judge: The need of the recipe whose model answers.
        signature: The judge's signature that takes pictures.
        input: The name of its input.
        output: Its output with one answer for each picture, `(batch,)`.
        name: The end of the scores' names; empty for none. Set it where a recipe reads several values back.
        fit: How real pictures of another aspect ratio are fitted, as in the processor `image`.
    """

    def __init__(
        self,
        *,
        judge: NeededModel,
        signature: str = "classify",
        input: str = "image",  # noqa: A002  # as recipes call it
        output: str = "answer",
        name: str = "",
        fit: Fit = "pad",
    ):
        self.judge, self.signature, self.input, self.output, self.fit = judge, signature, input, output, fit
        self.name = f"{judge_name(judge)}_read_back" + (f"_{name}" if name else "")
        self.examples: list[tuple[bytes, bytes, tuple[str, ...]]] = []

    def update(self, image_bytes: bytes, image: list[bytes], target: list[str]) -> None:
        """Adds a generated picture, the real one and the true values. An example without an answer is left out."""
        if image_bytes and image:
            self.examples.append((image_bytes, image[0], tuple(map(str, target))))

    def result(self) -> dict[str, float]:
        """Returns the share with its interval, and that of the real pictures."""
        if not self.examples:
            return {self.name + part: 0.0 for part in PARTS}
        generated, real, targets = zip(*self.examples, strict=True)
        hits = self._hits(list(generated), targets)
        of_real = self._hits(at_size(real, size_of(generated[0], WHO), self.fit, WHO), targets)
        low, high = bootstrap_ci(hits[:, None], np.ones(len(hits)))[:, 0]
        found = [hits.mean(), low, high, of_real.mean()]
        return {self.name + part: float(number) for part, number in zip(PARTS, found, strict=True)}

    def _hits(self, pictures: list[bytes], targets: tuple[tuple[str, ...], ...]) -> np.ndarray:
        (answers,) = ask(self.judge, WHO, self.signature, [self.output], **{self.input: pictures})
        return np.array([_text(answer) in right for answer, right in zip(answers, targets, strict=True)], "float64")


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
