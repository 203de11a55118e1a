"""Fréchet and kernel distance between features of real and of generated pictures."""

from typing import Any, NamedTuple

import numpy as np

from mmzoo import DataError, FilePath, InputName, NeededModel
from mmzoo_text2image import distances
from mmzoo_text2image.inception import Inception
from mmzoo_text2image.judging import ask, judge_name
from mmzoo_text2image.pictures import Fit, at_size, blurred, decode, encode, shuffled, size_of
from mmzoo_text2image.training_pictures import Examples, draw_pictures, training_pictures


class _Features(NamedTuple):
    """Features of three sets of pictures, each `(pictures, dim)`."""

    real: np.ndarray
    generated: np.ndarray
    blurred: np.ndarray


class _FeatureDistance:
    """Collects real and generated pictures, and extracts their features."""

    measure = ""
    parts: tuple[str, ...] = ("", "_blurred")

    def __init__(
        self,
        *,
        training_examples: Examples,
        judge: NeededModel | None = None,
        inception: FilePath | None = None,
        signature: str = "embed_image",
        input: str = "image",  # noqa: A002  # as recipes call it
        output: str = "image_embedding",
        training_input: InputName = "image",
        fit: Fit = "pad",
    ):
        self.who = f"the metric '{self.measure}'"
        self.judge, self.inception = one_extractor(judge, inception, self.who)
        self.signature, self.input, self.output = signature, input, output
        self.training_examples, self.training_input, self.fit = training_examples, training_input, fit
        self.names = [f"{extractor_name(judge)}_{self.measure}{part}" for part in self.parts]
        self.lower_is_better = tuple(self.names)
        self.pictures: list[tuple[bytes, bytes]] = []

    def update(self, image_bytes: bytes, image: list[bytes]) -> None:
        """Adds a generated picture and the real ones, of which the first counts. An example without an answer is left out."""
        if image_bytes and image:
            self.pictures.append((image[0], image_bytes))

    def _features(self) -> _Features:
        pairs = shuffled(self.pictures)
        size = size_of(pairs[0][1], self.who)
        real = at_size([picture for picture, _ in pairs], size, self.fit, self.who)
        drawn = draw_pictures(training_pictures(self.training_examples, self.training_input, self.who), len(pairs))
        blurry = [encode(blurred(decode(data, self.who))) for data in at_size(drawn, size, self.fit, self.who)]
        generated = [picture for _, picture in pairs]
        return _Features(self._extract(real), self._extract(generated), self._extract(blurry))

    def _extract(self, pictures: list[bytes]) -> np.ndarray:
        if not pictures:
            return np.zeros((0, 0))
        if self.inception is not None:
            return self.inception.features(pictures)
        (features,) = ask(self.judge, self.who, self.signature, [self.output], **{self.input: pictures})
        return features.reshape(len(features), -1)


class FrechetDistance(_FeatureDistance):
    """Fréchet distance between features of real held-out pictures and of generated ones.

    `<extractor>_frechet_distance` is `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`; 0 at best. Its means and covariances are
    those of the features of all real held-out pictures, and of one generated picture for each. `..._blurred` is the same
    distance for real training pictures, as many, drawn with a fixed seed and blurred (scaled to a quarter and back). A model
    that knows colours and rough shapes only scores like that. Real pictures are compared at the size of the generated ones.

    The extractor is a needed model, such as `clip` in `clip_frechet_distance`, or InceptionV3 of Keras, `inception_v3`. Neither
    is the network of published FID scores. The distance is biased upward, most of all with fewer pictures than the features
    have dimensions. So compare scores of equally many pictures, and read `kernel_distance` beside it. Without pictures it is 0.

    Source: Heusel et al. 2017, arXiv 1706.08500; effect of the number of pictures: Bińkowski et al. 2018, arXiv 1801.01401.

    Args:
        training_examples: Returns the training examples, raw values by input.
        judge: The need of the recipe whose model extracts features.
        inception: A local weights file of `keras.applications.InceptionV3`, in place of `judge`.
        signature: The judge's signature that takes pictures.
        input: The name of its input.
        output: Its output with the features, `(batch, dim)`.
        training_input: The input of the recipe with the training pictures.
        fit: How real pictures of another aspect ratio are fitted, as in the processor `image`.
    """

    measure = "frechet_distance"

    def result(self) -> dict[str, float]:
        """Returns the distance of the generated and of the blurred pictures."""
        if not self.pictures:
            return dict.fromkeys(self.names, 0.0)
        real, *others = self._features()
        found = [distances.frechet_distance(real, other) if len(other) else 0.0 for other in others]
        return dict(zip(self.names, found, strict=True))


class KernelDistance(_FeatureDistance):
    """Kernel distance (KID) between features of real held-out pictures and of generated ones.

    `<extractor>_kernel_distance` is the unbiased squared MMD with the kernel `(x.y / dim + 1)^3`, between the features of all
    real held-out pictures and of one generated picture for each. It is 0 on average for equal distributions, whatever the
    number of pictures. Up to 1,000 pictures all pairs count, and `..._std` is 0. For more it is the mean over 100 random
    subsets of 1,000, and `..._std` the standard deviation over them. `..._blurred` is the distance of real training pictures,
    as many, drawn with a fixed seed and blurred (scaled to a quarter and back). Real pictures are compared at the size of the
    generated ones. With fewer than two pictures all numbers are 0.

    Source: Bińkowski et al. 2018, arXiv 1801.01401, section 4.

    Args:
        training_examples: Returns the training examples, raw values by input.
        judge: The need of the recipe whose model extracts features.
        inception: A local weights file of `keras.applications.InceptionV3`, in place of `judge`.
        signature: The judge's signature that takes pictures.
        input: The name of its input.
        output: Its output with the features, `(batch, dim)`.
        training_input: The input of the recipe with the training pictures.
        fit: How real pictures of another aspect ratio are fitted, as in the processor `image`.
    """

    measure, parts = "kernel_distance", ("", "_std", "_blurred")

    def result(self) -> dict[str, float]:
        """Returns the distance and its deviation, and the distance of the blurred pictures."""
        if not self.pictures:
            return dict.fromkeys(self.names, 0.0)
        features = self._features()
        found = distances.kernel_distance(features.real, features.generated)
        return dict(zip(self.names, [*found, distances.kernel_distance(features.real, features.blurred)[0]], strict=True))


def extractor_name(judge: Any) -> str:
    """Returns the name of the extractor, for the names of scores."""
    return "inception_v3" if judge is None else judge_name(judge)


def one_extractor(judge: Any, inception: FilePath | None, who: str) -> tuple[Any, Inception | None]:
    """Returns the one extractor that is given, and None for the other.

    Raises:
        DataError: Both are given, or none.
    """
    if (judge is None) == (inception is None):
        found = "neither `judge` nor `inception`" if judge is None else "both `judge` and `inception`"
        raise DataError(f"{who} has {found}; expected one. Name a needed run as `judge`, or a weights file as `inception`.")
    return judge, None if inception is None else Inception(inception, who)
