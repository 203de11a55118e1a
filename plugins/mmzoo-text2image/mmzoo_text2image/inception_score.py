"""Inception score: how sure a classifier is of each generated picture, and how varied its answers are."""

from typing import Any

import numpy as np

from mmzoo import FilePath, NeededModel, PositiveInt
from mmzoo_text2image import distances
from mmzoo_text2image.feature_distances import extractor_name, one_extractor
from mmzoo_text2image.judging import ask
from mmzoo_text2image.pictures import shuffled

WHO = "the metric 'inception_score'"


class InceptionScore:
    """Inception score of the generated pictures of the held-out captions.

    `<extractor>_inception_score` is `exp(mean KL(p(y|x) || p(y)))`, with the class probabilities p(y|x) of each generated
    picture and their mean p(y). It ranges from 1 (all answers are alike, or unsure) to the number of classes. It is the mean
    over `splits` random parts of the pictures, and `..._std` is the standard deviation over them. It does not look at captions
    or real pictures, and it grows with the number of pictures in a part. Scores of different classifiers do not compare:
    published ones of birds and flowers use networks fine-tuned on these. Without pictures both are 0.

    A judge that answers with its most probable classes only, best first, names them in a second output. What their
    probabilities lack to 1 counts as one more class, which makes the score lower, never higher.

    Source: Salimans et al. 2016, arXiv 1606.03498, section 4.

    Args:
        judge: The need of the recipe whose model classifies.
        inception: A local weights file of `keras.applications.InceptionV3` with its 1,000 classes, in place of `judge`.
        signature: The judge's signature that takes pictures.
        input: The name of its input.
        output: Its output with the probabilities, `(batch, classes)`.
        label_output: Its output with the class of each probability, `(batch, classes)`; empty if each column is a class.
        splits: The number of parts.
    """

    def __init__(
        self,
        *,
        judge: NeededModel | None = None,
        inception: FilePath | None = None,
        signature: str = "classify",
        input: str = "image",  # noqa: A002  # as recipes call it
        output: str = "score",
        label_output: str = "label",
        splits: PositiveInt = 10,
    ):
        self.judge, self.inception = one_extractor(judge, inception, WHO)
        self.signature, self.input, self.splits = signature, input, splits
        self.outputs = [output, label_output] if label_output else [output]
        self.name = f"{extractor_name(judge)}_inception_score"
        self.lower_is_better = (f"{self.name}_std",)
        self.pictures: list[bytes] = []

    def update(self, image_bytes: bytes) -> None:
        """Adds a generated picture. An example without an answer is left out."""
        if image_bytes:
            self.pictures.append(image_bytes)

    def result(self) -> dict[str, float]:
        """Returns the score and its deviation."""
        mean, deviation = 0.0, 0.0
        if self.pictures:
            mean, deviation = distances.inception_score(self._probabilities(shuffled(self.pictures)), self.splits)
        return {self.name: mean, f"{self.name}_std": deviation}

    def _probabilities(self, pictures: list[bytes]) -> np.ndarray:
        if self.inception is not None:
            return self.inception.probabilities(pictures)
        scores, *labels = ask(self.judge, WHO, self.signature, self.outputs, **{self.input: pictures})
        return by_class(scores, labels[0]) if labels else scores


def by_class(scores: Any, labels: Any) -> np.ndarray:
    """Sorts the probabilities of the most probable classes into one column for each class.

    Args:
        scores: Probabilities, `(batch, top_k)`.
        labels: The class of each, `(batch, top_k)`.

    Returns:
        `(batch, classes + 1)`. The last column is what a row lacks to 1.
    """
    classes, column = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    table = np.zeros((len(scores), len(classes) + 1))
    np.add.at(table, (np.arange(len(scores))[:, None], column.reshape(np.shape(labels))), scores)
    table[:, -1] = np.maximum(1 - table.sum(axis=1), 0)
    return table
