"""How often the right text is found for a picture, and the right picture for a text."""

from itertools import product

import numpy as np

from mmzoo import DataError
from mmzoo_matching.ranking import PARTS, any_order, places, shares, vectors

TOPS = (1, 5, 10)
FORTH, BACK = "image_to_text", "text_to_image"


class Recall:
    """Looks up, among all held-out examples, the texts of each picture and the picture of each text.

    `image_to_text_recall@k`, for k of 1, 5, 10, is the share of pictures of which a text is among the k that score highest;
    `text_to_image_recall@k` the same for each single text and its picture; from 0 to 1. Beside each: `..._chance`, what any
    order gives, 1 - C(n - m, k) / C(n, k) with m right ones of n; `..._low` and `..._high`, its 95 % interval (bootstrap over
    the examples, 1,000 draws, seeded). `image_to_text_median_rank` and `text_to_image_median_rank`, 1 at best, are of the best
    right one's place. `rsum`, from 0 to 600, is 100 times the sum of the six recalls, as papers give it.

    The score is the inner product. Entries that score the same (within 1e-6) stand in any order, each as likely: a hit counts
    as likely as it is and the rank is the mean one, so a model that embeds everything alike scores as chance does, and a text
    whose picture is there twice is a hit half of the time. No example gives 0.

    Scores are computed in blocks: memory grows with the examples, not with their square.

    Source: Karpathy and Fei-Fei 2015, section 4.2; rsum: Faghri et al. 2018, "VSE++".
    """

    lower_is_better = (f"{FORTH}_median_rank", f"{BACK}_median_rank")

    def __init__(self) -> None:
        self.images: list[np.ndarray] = []
        self.texts: list[np.ndarray] = []
        self.sizes: list[tuple[int, int]] = []

    def update(self, image_embedding: np.ndarray, text_embedding: np.ndarray) -> None:
        """Takes in an example: `(dim,)` each, or `(texts, dim)` of one that has several texts, and the same for pictures.

        Raises:
            DataError: What is given is no finite vectors of one dim.
        """
        image = vectors(image_embedding, "the metric 'recall': 'image_embedding'")
        text = vectors(text_embedding, "the metric 'recall': 'text_embedding'")
        if image.shape[1] != text.shape[1]:
            what = f"the metric 'recall' compares vectors of one dim, received {image.shape[1]} and {text.shape[1]}"
            raise DataError(f"{what}. Name outputs in one space as 'image_embedding' and 'text_embedding'.")
        self.images.append(image)
        self.texts.append(text)
        self.sizes.append((len(image), len(text)))

    def result(self) -> dict[str, float]:
        """Gives recalls with their chance and bounds, median ranks and rsum."""
        images, texts = np.array(self.sizes, "int64").reshape(-1, 2).T
        if not (images.sum() and texts.sum()):
            return dict.fromkeys([*_names(FORTH), *_names(BACK), "rsum"], 0.0)
        self.images, self.texts = [np.concatenate(self.images)], [np.concatenate(self.texts)]
        forth = _numbers(FORTH, self.images[0], self.texts[0], images, texts)
        back = _numbers(BACK, self.texts[0], self.images[0], texts, images)
        recalls = [found[f"{way}_recall@{top}"] for way, found in ((FORTH, forth), (BACK, back)) for top in TOPS]
        return forth | back | {"rsum": 100 * sum(recalls)}


def _names(way: str) -> list[str]:
    return [*(f"{way}_recall@{top}{part}" for top in TOPS for part in PARTS), f"{way}_median_rank"]


def _numbers(way: str, queries: np.ndarray, entries: np.ndarray, asked: np.ndarray, owned: np.ndarray) -> dict[str, float]:
    """Gives the numbers of one direction; `asked` and `owned` say how many queries and entries each example has."""
    pairs = _pairs(asked, owned)
    found = places(queries, entries, pairs)
    recalls = shares(found, any_order(pairs, len(queries), len(entries)), asked, TOPS)
    return dict(zip(_names(way), map(float, [*recalls.flat, np.median(found.ranks())]), strict=True))


def _pairs(asked: np.ndarray, owned: np.ndarray) -> np.ndarray:
    """Numbers the queries and the entries of each example, and pairs each of its queries with each of its entries."""
    queries, entries = _ranges(asked), _ranges(owned)
    pairs = [pair for own in zip(queries, entries, strict=True) for pair in product(*own)]
    return np.array(pairs, "int64").reshape(-1, 2)


def _ranges(sizes: np.ndarray) -> list[range]:
    return [range(end - size, end) for end, size in zip(np.cumsum(sizes).tolist(), sizes.tolist(), strict=True)]
