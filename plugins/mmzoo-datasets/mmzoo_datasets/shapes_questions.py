"""Questions of `shapes`: one for each scene, about its first shape, in English.

Each combination of kind, colour and size is asked for another attribute in each place, and for the next one each time that it
comes back there. So in a whole block of scenes each attribute is asked equally often, and in four of them each of every
combination in every place.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mmzoo_datasets.shapes_scenes import PLACES, Scene
from mmzoo_datasets.shapes_words import LANGUAGES

ASKED = ("kind", "colour", "size", "place")
"""What questions ask for."""


class Question(NamedTuple):
    """A question about the first shape of a scene.

    Args:
        question: Its text.
        answer: The right answer, as in the labels of the scene.
        asked: The attribute that it asks for: one of `ASKED`.
    """

    question: str
    answer: str
    asked: str


def questions(found: Sequence[Scene], *, split: str, name: str, seed: int) -> list[Question]:
    """Asks one question about each scene; the same seed asks the same. The scenes do not depend on the questions.

    Args:
        found: The scenes of one split, from the first on.
        split: The way to split the scenes.
        name: `train`, `validation` or `test`.
        seed: Random seed.
    """
    rng = random.Random(f"{seed}/{split}/{name}/questions")
    looks = sorted({scene.shapes[0].look for scene in found})
    rng.shuffle(looks)
    looks.sort(key=lambda look: look.colour)  # so that questions where a colour is have all answers equally often
    starts = {look: number for number, look in enumerate(looks)}
    places, seen, asked = [*PLACES], Counter[tuple[object, ...]](), []
    for scene in found:
        look = scene.shapes[0].look
        turn = starts[look] + places.index(scene.place) + seen[look, scene.place]
        seen[look, scene.place] += 1
        asked.append(question_of(scene, ASKED[turn % len(ASKED)]))
    return asked


def question_of(scene: Scene, asked: str) -> Question:
    """Asks for one attribute of the first shape: for its place by its colour, and for the others by its place."""
    look = scene.shapes[0].look
    if asked == "place":
        return Question(f"where is the {look.colour} shape?", scene.place, asked)
    where = dict(zip(PLACES, LANGUAGES["en"].places, strict=True))[scene.place]
    return Question(f"which {asked} is the shape {where}?", str(getattr(look, asked)), asked)
