"""Run of a model that draws -> what the report shows beside its examples: epochs, seeds, changed words, walks, a quiz."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmzoo.data.splits import Data
from mmzoo.evaluation.scores import Scores
from mmzoo.reporting.captions import chains, far_pairs, questions, read_captions, spread
from mmzoo.reporting.drawer import Drawer, find_drawer
from mmzoo.reporting.pictures import data_uri
from mmzoo.run.folder import Run
from mmzoo.serving.served import Served

EPOCHS, GRID_SIDE = 8, 512
"""The most epochs whose pictures are shown, and the longest side of one in pixels."""
SEEDS, SEEDED_CAPTIONS = 8, 4
"""Pictures of one caption, and the captions that are drawn so often."""
WALKS, STEPS = 2, 7
"""Walks between two captions, and the pictures of one."""
QUESTIONS = 24
"""The most questions of the quiz."""


class Row(NamedTuple):
    """Pictures of one caption, or of the way from one caption to another.

    Args:
        captions: One or two.
        pictures: Data URIs.
    """

    captions: Sequence[str]
    pictures: Sequence[str]


class Changed(NamedTuple):
    """A picture of a caption that differs in one word from those beside it.

    Args:
        before: The words before that word.
        word: The word.
        after: The words after it.
        picture: A data URI.
    """

    before: str
    word: str
    after: str
    picture: str


class Question(NamedTuple):
    """A picture and the captions that it may be drawn of.

    Args:
        picture: A data URI.
        options: The captions, the true one among them.
        answer: The index of the true one.
    """

    picture: str
    options: Sequence[str]
    answer: int


@dataclass(frozen=True)
class Drawn:
    """What is drawn of held-out captions.

    Args:
        name: The input with the captions.
        seeds: A few captions, each with several seeds.
        changes: Captions that differ in one word, a list for each chain; all are drawn with one seed.
        walks: From one caption to another.
        quiz: Questions for people.
    """

    name: str
    seeds: Sequence[Row]
    changes: Sequence[Sequence[Changed]]
    walks: Sequence[Row]
    quiz: Sequence[Question]


def epochs(run: Run) -> list[tuple[int, str]]:
    """Returns the pictures that were drawn while the model trained: the epoch and a data URI, evenly spread."""
    found = {int(path.stem.rpartition("-")[2]): path for path in run.samples.glob("epoch-*.png")}
    numbers = sorted(found)
    places = np.linspace(0, len(numbers) - 1, min(EPOCHS, len(numbers))).round().astype(int)
    chosen = [numbers[place] for place in places]
    return [(epoch, data_uri(found[epoch].read_bytes(), GRID_SIDE)) for epoch in chosen]


def draw(served: Served, data: Data, scores: Scores) -> Drawn | None:
    """Draws captions of the split that was scored; None if the model draws no pictures of texts from seeds."""
    drawer = find_drawer(served)
    if drawer is None or not scores.rows:
        return None
    texts = read_captions(data, scores.split, drawer.text, scores.rows)
    captions = list(dict.fromkeys(several[0] for several in texts))
    changes = _changes(drawer, [text for several in texts for text in several])
    return Drawn(drawer.text, _seeds(drawer, captions), changes, _walks(served, captions), _quiz(drawer, captions))


def shows_pixels(served: Served) -> bool:
    """Returns whether the pictures that the model draws are so small that their pixels should be shown as squares."""
    drawer = find_drawer(served)
    return drawer is not None and max(served.processors[drawer.picture].features["shape"][:2]) <= 64


def _seeds(drawer: Drawer, captions: Sequence[str]) -> list[Row]:
    chosen = spread(captions, SEEDED_CAPTIONS)
    pictures = drawer.draw([caption for caption in chosen for _ in range(SEEDS)], [*range(SEEDS)] * len(chosen))
    return [Row((caption,), pictures[SEEDS * i : SEEDS * (i + 1)]) for i, caption in enumerate(chosen)]


def _changes(drawer: Drawer, captions: Sequence[str]) -> list[list[Changed]]:
    found = chains(captions)
    texts = [" ".join((*before, word, *after)) for before, words, after in found for word in words]
    pictures = iter(drawer.draw(texts, [0] * len(texts)))
    return [
        [Changed(" ".join(before), word, " ".join(after), next(pictures)) for word in words] for before, words, after in found
    ]


def _walks(served: Served, captions: Sequence[str]) -> list[Row]:
    drawer = find_drawer(served, several=True)
    if drawer is None:
        return []
    last, pairs = STEPS - 1, far_pairs(captions, WALKS)
    lists = [[first] * (last - step) + [second] * step for first, second in pairs for step in range(STEPS)]
    pictures = drawer.draw(lists, [0] * len(lists))
    return [Row(pair, pictures[STEPS * i : STEPS * (i + 1)]) for i, pair in enumerate(pairs)]


def _quiz(drawer: Drawer, captions: Sequence[str]) -> list[Question]:
    asked = list(questions(captions, QUESTIONS))
    pictures = drawer.draw([true for true, _ in asked], range(len(asked)))
    return [Question(picture, options, options.index(true)) for picture, (true, options) in zip(pictures, asked, strict=True)]


def facts(run: Run, served: Served, data: Data, scores: Scores) -> dict[str, Any]:
    """Returns what the page shows, by name."""
    return {"watched": epochs(run), "drawn": draw(served, data, scores), "shows_pixels": shows_pixels(served)}
