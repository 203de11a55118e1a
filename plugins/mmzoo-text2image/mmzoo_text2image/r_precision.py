"""R-precision: whether a judge finds the caption of a generated picture among captions of others."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from annotated_types import Ge

from mmzoo import NeededModel, NonNegativeInt, bootstrap_ci
from mmzoo_text2image.distances import first_is_best
from mmzoo_text2image.judging import ask, judge_name
from mmzoo_text2image.pictures import Fit, at_size, shuffled, size_of

WHO = "the metric 'r_precision'"
PARTS = ("", "_low", "_high", "_chance", "_real")


class RPrecision:
    """R-precision: the share of generated pictures whose own caption a judge finds among others.

    The judge embeds each generated picture, the caption that it was generated from (the example's first one), and 99 captions
    of other pictures. These are drawn with a fixed seed from the distinct captions of the split, fewer if there are fewer. A
    text that is also a caption of the picture itself is never among them. `<judge>_r_precision` is the share of pictures with
    the largest cosine at their own caption, 0 to 1. Cosines within 1e-6 are tied, and every order of them is equally likely: a
    hit counts with its probability.

    Beside it: `..._chance`, the share of a random order, 0.01 for 100 candidates; `..._low` and `..._high`, the 95 % interval
    (bootstrap over the pictures, 1,000 draws, seeded); and `..._real`, the share for the real pictures at the size of the
    generated ones, among the same captions. A judge that was part of the generator's loss may prefer generated pictures to real
    ones. Without pictures all numbers are 0.

    Source: Xu et al. 2018 (AttnGAN), arXiv 1711.10485, section 4, which averages over 10 folds of 3,000 pictures.

    Args:
        judge: The need of the recipe whose model embeds pictures and captions in one space.
        signature: The judge's signature that embeds pictures.
        input: The name of its input.
        output: Its output, `(batch, dim)`.
        caption_signature: The judge's signature that embeds captions.
        caption_input: The name of its input.
        caption_output: Its output, `(batch, dim)`.
        candidates: The number of captions of a picture, the right one included.
        seed: Of the draw of captions.
        fit: How real pictures of another aspect ratio are fitted, as in the processor `image`.
    """

    def __init__(
        self,
        *,
        judge: NeededModel,
        signature: str = "embed_image",
        input: str = "image",  # noqa: A002  # as recipes call it
        output: str = "image_embedding",
        caption_signature: str = "embed_caption",
        caption_input: str = "caption",
        caption_output: str = "caption_embedding",
        candidates: Annotated[int, Ge(2)] = 100,
        seed: NonNegativeInt = 0,
        fit: Fit = "pad",
    ):
        self.judge, self.candidates, self.seed, self.fit = judge, candidates, seed, fit
        self.picture_words = signature, input, output
        self.caption_words = caption_signature, caption_input, caption_output
        self.name = f"{judge_name(judge)}_r_precision"
        self.examples: list[tuple[tuple[str, ...], bytes, bytes]] = []

    def update(self, image_bytes: bytes, image: list[bytes], caption: list[str]) -> None:
        """Adds a generated picture, the real one and its captions. An example without an answer is left out."""
        if image_bytes and image and caption:
            self.examples.append((tuple(map(str, caption)), image[0], image_bytes))

    def result(self) -> dict[str, float]:
        """Returns the share with its interval and chance, and that of the real pictures."""
        if not self.examples:
            return {self.name + part: 0.0 for part in PARTS}
        captions, real, generated = zip(*shuffled(self.examples), strict=True)
        texts, choices = choose_captions(captions, self.candidates, self.seed)
        embedded = self._embed(self.caption_words, texts)
        hits = self._hits(list(generated), embedded, choices)
        size = size_of(generated[0], WHO)
        of_real = self._hits(at_size(real, size, self.fit, WHO), embedded, choices)
        low, high = bootstrap_ci(hits[:, None], np.ones(len(hits)))[:, 0]
        chance = np.mean([1 / len(choice) for choice in choices])
        found = [hits.mean(), low, high, chance, of_real.mean()]
        return {self.name + part: float(number) for part, number in zip(PARTS, found, strict=True)}

    def _hits(self, pictures: list[bytes], captions: np.ndarray, choices: Sequence[np.ndarray]) -> np.ndarray:
        embedded = self._embed(self.picture_words, pictures)
        return np.array([first_is_best(captions[own] @ row) for own, row in zip(choices, embedded, strict=True)])

    def _embed(self, words: tuple[str, str, str], values: list[str] | list[bytes]) -> np.ndarray:
        signature, name, output = words
        (vectors,) = ask(self.judge, WHO, signature, [output], **{name: values})
        vectors = vectors.astype("float64")
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def choose_captions(captions: Sequence[Sequence[str]], candidates: int, seed: int) -> tuple[list[str], list[np.ndarray]]:
    """Chooses the captions that each picture is compared with.

    Args:
        captions: The captions of each picture; the first is the right one.
        candidates: The number for each picture, the right one included; fewer if there are fewer distinct ones.
        seed: Of the draw.

    Returns:
        The distinct captions, sorted; and for each picture the indices of its candidates among them, the right one first.
    """
    texts = sorted({text for own in captions for text in own})
    place = {text: index for index, text in enumerate(texts)}
    draw = np.random.default_rng(seed)
    choices = []
    for own in captions:
        mine = {place[text] for text in own}
        drawn = draw.choice(len(texts), min(len(texts), candidates - 1 + len(mine)), replace=False)
        others = [index for index in drawn.tolist() if index not in mine]
        choices.append(np.array([place[own[0]], *others[: candidates - 1]]))
    return texts, choices
