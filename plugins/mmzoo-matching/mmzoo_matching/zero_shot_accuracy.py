"""How often a picture's label is found by its name alone."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import MinLen

from mmzoo import DataError, PositiveInt
from mmzoo_matching.ranking import PARTS, any_order, places, shares, vectors

BATCH = 256
"""Prompts that are embedded at a time."""
MARK, WHO = "{}", "the metric 'zero_shot_accuracy'"


class ZeroShotAccuracy:
    """Names each held-out picture by the nearest of all their labels, embedded as text.

    A label is put into each template, the served model embeds the texts, and the label's embedding is their mean, of length 1
    before and after. `zero_shot_accuracy` is the share of pictures of which a label of theirs has the largest inner product;
    `zero_shot_top_5`, if `top` is 5, of which one is among the 5 largest; from 0 to 1. Beside each: `..._chance`, what any
    order gives, 1 / labels and 5 / labels for pictures of one label; `..._low` and `..._high`, its 95 % interval (bootstrap
    over the pictures, 1,000 draws, seeded). `zero_shot_mean_per_class` is the mean over the labels of the share of their own
    pictures that is right.

    Labels that score the same (within 1e-6) stand in any order, each as likely. A text that the model cannot read is left out;
    a label without any is never named. With fewer labels than `top` all are among them. No example gives 0.

    Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 3.1.

    Args:
        predict: Asks the served model.
        templates: Texts, in the language of the captions, each with one `{}` where the label goes.
        top: How many labels count as found.
    """

    def __init__(
        self,
        *,
        predict: Callable[..., Mapping[str, Any]],
        templates: Annotated[list[str], MinLen(1)] = [MARK],  # noqa: B006  # never changed; an option's default shows in the help
        top: PositiveInt = 5,
    ):
        for template in templates:
            if (count := template.count(MARK)) != 1:
                what = f"{WHO} has the template {template!r}, with {count} times '{MARK}'"
                raise DataError(f"{what}; expected once. Write '{MARK}' where the label goes, as in 'a picture of {MARK}'.")
        self.predict, self.templates, self.top = predict, templates, top
        self.examples: list[tuple[np.ndarray, list[str]]] = []

    def update(self, image_embedding: np.ndarray, label: list[Any]) -> None:
        """Takes in an example: its picture `(dim,)`, or several `(pictures, dim)`, and its labels.

        Raises:
            DataError: What is given is no finite vector.
        """
        images = vectors(image_embedding, f"{WHO}: 'image_embedding'")
        if len(images):
            self.examples.append((images, [str(one) for one in label]))

    def result(self) -> dict[str, float]:
        """Gives the shares with their chance and bounds, and the mean over the labels.

        Raises:
            DataError: The model does not answer `embed_text`.
        """
        names = sorted({one for _, labels in self.examples for one in labels})
        keys = [name + part for name in ("zero_shot_accuracy", f"zero_shot_top_{self.top}") for part in PARTS]
        if not names:
            return dict.fromkeys([*keys, "zero_shot_mean_per_class"], 0.0)
        images, asked = np.concatenate([one for one, _ in self.examples]), [len(one) for one, _ in self.examples]
        pairs = self._pairs({name: index for index, name in enumerate(names)})
        classes, read = self._classes(names)
        kept = np.column_stack([pairs[:, 0], np.cumsum(read)[pairs[:, 1]] - 1])[read[pairs[:, 1]]]
        found = places(images, classes[read], kept)
        numbers = shares(found, any_order(pairs, len(images), len(names)), np.array(asked), (1, self.top))
        hits = np.bincount(pairs[:, 1], found.hits(1)[pairs[:, 0]]) / np.bincount(pairs[:, 1])
        return dict(zip([*keys, "zero_shot_mean_per_class"], map(float, [*numbers.flat, hits.mean()]), strict=True))

    def _pairs(self, number: Mapping[str, int]) -> np.ndarray:
        each = [sorted({number[one] for one in labels}) for images, labels in self.examples for _ in images]
        return np.array([(row, label) for row, labels in enumerate(each) for label in labels], "int64").reshape(-1, 2)

    def _classes(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Embeds labels: `(labels, dim)` of length 1, and which of them the model can read, `(labels,)`."""
        prompts = [template.replace(MARK, name) for name in names for template in self.templates]
        answers = [self._embed(prompts[start : start + BATCH]) for start in range(0, len(prompts), BATCH)]
        embeddings, read = map(np.concatenate, zip(*answers, strict=True))
        unit = _unit(embeddings) * read[:, None]
        each = (len(names), len(self.templates))
        return _unit(unit.reshape(*each, -1).mean(axis=1)), np.any(read.reshape(each), axis=1)

    def _embed(self, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        try:
            answers = self.predict("embed_text", prompts)
        except KeyError as error:
            what = f"{WHO} asks the model for the signature 'embed_text', which it does not have"
            raise DataError(f"{what}. Use it with the head 'match', or leave the metric out.") from error
        return vectors(answers["text_embedding"], f"{WHO}: 'text_embedding'"), np.asarray(answers["ok"])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
