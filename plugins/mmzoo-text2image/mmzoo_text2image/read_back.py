"""Read-back: whether a judge reads from a generated picture what it was asked to show."""

from typing import Any, NamedTuple

import numpy as np

from mmzoo import NeededModel, bootstrap_ci
from mmzoo_text2image.judging import ask, judge_name
from mmzoo_text2image.pictures import Fit, at_size, size_of

WHO = "the metric 'read_back'"
PARTS = ("", "_low", "_high", "_real")


class _Example(NamedTuple):
    """A generated picture, the real one, the true values, what else the judge gets, and the groups."""

    generated: bytes
    real: bytes
    targets: tuple[str, ...]
    given: Any
    groups: tuple[str, ...]


class ReadBack:
    """Share of generated pictures from which a judge reads the true value, such as a colour.

    The recipe names the input with the true values: `target: kind`. `<judge>_read_back_<name>` is the share of generated
    pictures for which the judge's answer is one of them, 0 to 1. `..._low` and `..._high` are the 95 % interval (bootstrap over
    the pictures, 1,000 draws, seeded). `..._real` is the share for the real pictures, at the size of the generated ones: what
    the judge can read at all. Without pictures all numbers are 0.

    A judge that answers questions gets a further value of each example: `given: question` names the input of the recipe that
    holds it, and `given_input` the judge's. Scores by group: if the recipe has an input named `group`, or an option names one
    (`group: asked`), the same numbers are computed for the examples of each group, such as `<judge>_read_back[kind]` and
    `<judge>_read_back[kind]_real`. These two inputs need not be read by any encoder.

    Source: a classifier as the judge of generated pictures, as in the semantic object accuracy of Hinz et al. 2020,
    arXiv 1910.13321.

    Args:
        judge: The need of the recipe whose model answers.
        signature: The judge's signature that takes pictures.
        input: The name of its input.
        output: Its output with one answer for each picture, `(batch,)`.
        given_input: The name of its input for a further value, such as a question.
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
        given_input: str = "question",
        name: str = "",
        fit: Fit = "pad",
    ):
        self.judge, self.signature, self.input, self.output, self.fit = judge, signature, input, output, fit
        self.given_input = given_input
        self.name = f"{judge_name(judge)}_read_back" + (f"_{name}" if name else "")
        self.examples: list[_Example] = []

    def update(
        self,
        image_bytes: bytes,
        image: list[bytes],
        target: list[str],
        given: list[Any] | None = None,
        group: list[str] | None = None,
    ) -> None:
        """Adds a generated picture, the real one, the true values, what else the judge gets, and the groups.

        An example without an answer is left out. Of several values of `given` the first counts.
        """
        if image_bytes and image and (given is None or len(given)):
            groups = tuple(dict.fromkeys(map(str, group or ())))
            self.examples.append(_Example(image_bytes, image[0], tuple(map(str, target)), given[0] if given else None, groups))

    def result(self) -> dict[str, float]:
        """Returns the share with its interval, and that of the real pictures, over all examples and by group."""
        if not self.examples:
            return {self.name + part: 0.0 for part in PARTS}
        generated = [example.generated for example in self.examples]
        real = at_size([example.real for example in self.examples], size_of(generated[0], WHO), self.fit, WHO)
        hits = np.stack([self._hits(generated), self._hits(real)], axis=1)
        numbers = _numbers(self.name, hits)
        for group in sorted({group for example in self.examples for group in example.groups}):
            inside = np.array([group in example.groups for example in self.examples])
            numbers |= _numbers(f"{self.name}[{group}]", hits[inside])
        return numbers

    def _hits(self, pictures: list[bytes]) -> np.ndarray:
        givens = [example.given for example in self.examples]
        further = {} if all(given is None for given in givens) else {self.given_input: givens}
        (answers,) = ask(self.judge, WHO, self.signature, [self.output], **{self.input: pictures}, **further)
        rows = zip(answers, self.examples, strict=True)
        return np.array([_text(answer) in example.targets for answer, example in rows], "float64")


def _numbers(name: str, hits: np.ndarray) -> dict[str, float]:
    """Returns the scores of some examples; `hits` are those of generated and real pictures, `(examples, 2)`."""
    low, high = bootstrap_ci(hits[:, :1], np.ones(len(hits)))[:, 0]
    share, real = hits.mean(axis=0)
    return {name + part: float(number) for part, number in zip(PARTS, (share, low, high, real), strict=True)}


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
