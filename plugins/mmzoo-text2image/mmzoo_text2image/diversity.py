"""Diversity: how much pictures of one caption differ from each other."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from mmzoo import DataError, PositiveInt
from mmzoo_text2image.distances import mean_pairwise_rms
from mmzoo_text2image.judging import BATCH
from mmzoo_text2image.pictures import Fit, decode, fitted, shuffled

WHO = "the metric 'diversity'"


class Diversity:
    """Mean difference between pictures that are drawn of one caption with different seeds.

    The generator is asked again for `captions` held-out captions, drawn with a fixed seed, with the seeds 0, 1, 2, ... each.
    `diversity` is the root mean square difference between the pixels, 0 to 1, of two pictures of one caption. It is averaged
    over all pairs and over the captions. A generator that ignores its noise is at 0. `diversity_real` is the mean over all
    pairs of the real pictures of these captions, at the size of the generated ones. It is a scale to read the first number by,
    not a goal: pictures of different captions differ more. Noise in the pixels counts as diversity too. Without captions both
    are 0.

    Args:
        predict: The served model: signature, captions, seeds -> output name -> array.
        signature: The signature that generates a picture of a caption and a seed.
        output: Its output with the encoded pictures.
        captions: The number of captions.
        seeds: The number of pictures of each caption.
        fit: How real pictures of another aspect ratio are fitted, as in the processor `image`.
    """

    def __init__(
        self,
        *,
        predict: Callable[..., Mapping[str, Any]],
        signature: str = "generate",
        output: str = "image_bytes",
        captions: PositiveInt = 16,
        seeds: Annotated[int, Ge(2)] = 8,
        fit: Fit = "pad",
    ):
        self.predict, self.signature, self.output = predict, signature, output
        self.captions, self.seeds, self.fit = captions, seeds, fit
        self.examples: list[tuple[str, bytes]] = []

    def update(self, image: list[bytes], caption: list[str]) -> None:
        """Adds the real picture of an example and its captions, of which the first counts."""
        if image and caption:
            self.examples.append((str(caption[0]), image[0]))

    def result(self) -> dict[str, float]:
        """Returns the diversity of the generated pictures of one caption, and that of real pictures."""
        if not self.examples:
            return {"diversity": 0.0, "diversity_real": 0.0}
        one_each = dict(sorted(self.examples, reverse=True))  # of several pictures of a caption, the first in order
        chosen = shuffled(one_each.items())[: self.captions]
        generated = self._generate([caption for caption, _ in chosen])
        size = generated[0][0].shape[:2]
        real = [fitted(decode(picture, WHO), size, self.fit) / 255 for _, picture in chosen]
        spread = [mean_pairwise_rms(np.stack(pictures) / 255) for pictures in generated]
        return {"diversity": float(np.mean(spread)), "diversity_real": mean_pairwise_rms(np.stack(real))}

    def _generate(self, captions: list[str]) -> list[list[np.ndarray]]:
        """Generates the pictures of each caption, one for each seed, 0 to 255."""
        texts = [caption for caption in captions for _ in range(self.seeds)]
        seeds = np.tile(np.arange(self.seeds, dtype="int64"), len(captions))
        encoded: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            encoded += self._ask(texts[start : start + BATCH], seeds[start : start + BATCH])
        pictures = [decode(data, WHO) for data in encoded]
        return [pictures[start : start + self.seeds] for start in range(0, len(pictures), self.seeds)]

    def _ask(self, texts: list[str], seeds: np.ndarray) -> list[bytes]:
        advice = "Set `signature` and `output` to those that generate a picture, or leave the metric out."
        try:
            pictures: list[bytes] = list(self.predict(self.signature, texts, seeds)[self.output])
        except KeyError as error:
            what = f"{WHO} asks the model for the output '{self.output}' of '{self.signature}', and it has no {error}"
            raise DataError(f"{what}. {advice}") from error
        return pictures
