"""Zero-shot accuracy: classification by the embedded names of the labels."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import MinLen

from mmzoo import DataError, PositiveInt
from mmzoo_matching.ranking import PARTS, any_order, places, shares, vectors

BATCH = 256
"""Prompts that are embedded at a time."""
MARK, WHO = "{}", "the metric 'zero_shot_accuracy'"
ENDING = "_embedding"
"""How the name of the output that is an embedding ends."""


class ZeroShotAccuracy:
    """Classifies each held-out candidate by the nearest label, embedded as text.

    Each label is put into each template, and the served model embeds these texts. The embedding of a label is the mean over the
    templates, each scaled to length 1; the mean is scaled again. `zero_shot_accuracy` is the share of candidates (pictures,
    sounds) for which a right label has the largest inner product. `zero_shot_top_5`, if `top_k` is 5, is the share with a
    right label among the 5 largest. Both range from 0 to 1. Beside each: `..._chance`, the share of a random order, 1 / labels
    and 5 / labels for candidates with one label; `..._low` and `..._high`, the 95 % interval (bootstrap over the candidates,
    1,000 draws, seeded).
    `zero_shot_mean_per_class` is the mean over the labels of the accuracy on their own candidates.

    Labels whose scores are within 1e-6 are tied, and every order of them is equally likely. Texts that the model cannot read
    are left out; a label without a readable text is never predicted. With fewer labels than `top_k`, all are among the first.
    Without examples all numbers are 0.

    Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision", section 3.1.

    Args:
        predict: The served model: signature, texts -> output name -> array.
        signature: The signature that embeds a text.
        templates: Texts, in the language of the captions, each with one `{}` where the label goes.
        top_k: The number of first labels that count for `zero_shot_top_...`.
    """

    def __init__(
        self,
        *,
        predict: Callable[..., Mapping[str, Any]],
        signature: str = "embed_caption",
        templates: Annotated[list[str], MinLen(1)] = [MARK],  # noqa: B006  # never changed; an option's default shows in the help
        top_k: PositiveInt = 5,
    ):
        for template in templates:
            if (count := template.count(MARK)) != 1:
                what = f"{WHO} has the template {template!r}, with {count} times '{MARK}'"
                raise DataError(f"{what}; expected once. Write '{MARK}' where the label goes, as in 'a picture of {MARK}'.")
        self.predict, self.signature, self.templates, self.top_k = predict, signature, templates, top_k
        self.examples: list[tuple[np.ndarray, list[str]]] = []

    def update(self, candidate_embedding: np.ndarray, label: list[Any]) -> None:
        """Adds an example: its candidate `(dim,)`, or several `(candidates, dim)`, and its labels.

        Raises:
            DataError: The embedding is not a finite vector.
        """
        candidates = vectors(candidate_embedding, f"{WHO}: 'candidate_embedding'")
        if len(candidates):
            self.examples.append((candidates, [str(name) for name in label]))

    def result(self) -> dict[str, float]:
        """Returns the shares with their chance and intervals, and the mean over the labels.

        Raises:
            DataError: The model has no such signature, or the signature does not have one embedding.
        """
        names = sorted({name for _, labels in self.examples for name in labels})
        keys = [name + part for name in ("zero_shot_accuracy", f"zero_shot_top_{self.top_k}") for part in PARTS]
        if not names:
            return dict.fromkeys([*keys, "zero_shot_mean_per_class"], 0.0)
        candidates, counts = np.concatenate([rows for rows, _ in self.examples]), [len(rows) for rows, _ in self.examples]
        pairs = self._pairs({name: index for index, name in enumerate(names)})
        classes, readable = self._classes(names)
        kept = np.column_stack([pairs[:, 0], np.cumsum(readable)[pairs[:, 1]] - 1])[readable[pairs[:, 1]]]
        found = places(candidates, classes[readable], kept)
        numbers = shares(found, any_order(pairs, len(candidates), len(names)), np.array(counts), (1, self.top_k))
        hits = np.bincount(pairs[:, 1], found.hits(1)[pairs[:, 0]]) / np.bincount(pairs[:, 1])
        return dict(zip([*keys, "zero_shot_mean_per_class"], map(float, [*numbers.flat, hits.mean()]), strict=True))

    def _pairs(self, number: Mapping[str, int]) -> np.ndarray:
        """Pairs each candidate with each of its labels: `(pairs, 2)`, the indices of both."""
        each = [sorted({number[name] for name in labels}) for candidates, labels in self.examples for _ in candidates]
        return np.array([(row, label) for row, labels in enumerate(each) for label in labels], "int64").reshape(-1, 2)

    def _classes(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Embeds labels: `(labels, dim)` of length 1, and which of them the model can read, `(labels,)`."""
        prompts = [template.replace(MARK, name) for name in names for template in self.templates]
        answers = [self._embed(prompts[start : start + BATCH]) for start in range(0, len(prompts), BATCH)]
        embeddings, readable = map(np.concatenate, zip(*answers, strict=True))
        unit = _unit(embeddings) * readable[:, None]
        each = (len(names), len(self.templates))
        return _unit(unit.reshape(*each, -1).mean(axis=1)), np.any(readable.reshape(each), axis=1)

    def _embed(self, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        advice = "Set `signature` to the one that embeds a text, or leave the metric out."
        try:
            answers = self.predict(self.signature, prompts)
        except KeyError as error:
            what = f"{WHO} asks the model for the signature '{self.signature}', which it does not have"
            raise DataError(f"{what}. {advice}") from error
        embeddings = [name for name in answers if name.endswith(ENDING)]
        if len(embeddings) != 1:
            what = f"{WHO} needs a signature with one output that ends in '{ENDING}'; '{self.signature}' has {len(embeddings)}"
            raise DataError(f"{what}. {advice}")
        return vectors(answers[embeddings[0]], f"{WHO}: '{embeddings[0]}'"), np.asarray(answers["ok"])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
