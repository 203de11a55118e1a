"""The questions of shapes: what is asked is true of the picture, equally often, and does not change the scenes."""

import hashlib
import itertools
import re
from collections import Counter

import pytest
from mmzoo_datasets.shapes_builder import shapes
from mmzoo_datasets.shapes_questions import Question, questions
from mmzoo_datasets.shapes_scenes import Scene, scenes

TEXTS = {
    "kind": "which kind is the shape {}?",
    "colour": "which colour is the shape {}?",
    "size": "which size is the shape {}?",
}
SIDES = {"on the left": ("x", -1), "on the right": ("x", 1), "at the top": ("y", -1), "at the bottom": ("y", 1)}
SCENES = "4dc846e2aeb89dbc"
"""Digest of 20 scenes of version 1.0.0, which had no questions."""


def asked_about(name: str, count: int, split: str = "random", seed: int = 0, most: int = 3) -> list[tuple[Scene, Question]]:
    found = scenes(name, count, split=split, most=most, seed=seed)
    return list(zip(found, questions(found, split=split, name=name, seed=seed), strict=True))


def answers_of(scene: Scene, text: str) -> list[str]:
    """Answers a question by the shapes' attributes and centres alone: one answer for each shape that it may mean."""
    if colour := re.fullmatch(r"where is the (\w+) shape\?", text):
        (shape,) = [shape for shape in scene.shapes if shape.look.colour == colour[1]]
        axis = "x" if abs(shape.x - 0.5) > abs(shape.y - 0.5) else "y"
        way = 1 if getattr(shape, axis) > 0.5 else -1
        return [words.split()[-1] for words, side in SIDES.items() if side == (axis, way)]
    asked, where = re.fullmatch(r"which (kind|colour|size) is the shape (.*)\?", text).groups()
    axis, way = SIDES[where]
    return [getattr(shape.look, asked) for shape in scene.shapes if (getattr(shape, axis) - 0.5) * way > 0.2]


def test_the_answer_is_true_of_the_one_shape_that_the_question_means():
    for scene, (text, answer, asked) in asked_about("test", 576):
        assert answers_of(scene, text) == [answer]
        assert text.startswith({"place": "where is"}.get(asked, f"which {asked} is"))


@pytest.mark.parametrize(
    ("split", "name", "block"), [("random", "train", 288), ("composition", "train", 240), ("composition", "test", 48)]
)
def test_attributes_and_answers_are_asked_equally_often(split, name, block):
    one = Counter(question.asked for _, question in asked_about(name, block, split))
    assert one == dict.fromkeys(("kind", "colour", "size", "place"), block / 4)
    whole = asked_about(name, 4 * block, split)
    assert set(Counter((scene.shapes[0].look, scene.place, question.asked) for scene, question in whole).values()) == {1}
    for texts in itertools.groupby(sorted((question.question, question.answer) for _, question in whole), lambda pair: pair[0]):
        assert len(set(Counter(texts[1]).values())) == 1, texts[0]


@pytest.mark.parametrize("seed", [0, 3])
def test_in_one_block_each_answer_to_what_is_asked_is_equally_frequent(seed):
    answers = Counter((question.asked, question.answer) for _, question in asked_about("validation", 288, seed=seed))
    values = {"kind": 6, "colour": 6, "size": 2, "place": 4}
    assert len(answers) == sum(values.values())
    assert all(count == 72 / values[asked] for (asked, _), count in answers.items())


def test_the_same_seed_asks_the_same():
    assert asked_about("train", 96) == asked_about("train", 96)
    for other in ({"seed": 1}, {"split": "composition"}):
        assert [question for _, question in asked_about("train", 96)] != [
            question for _, question in asked_about("train", 96, **other)
        ]


def test_scenes_are_those_of_the_version_without_questions():
    found = [scene for scene, _ in asked_about("train", 20, "composition", most=2)]
    assert hashlib.sha256(repr(found).encode()).hexdigest()[:16] == SCENES


def test_questions_are_english_in_each_language(tmp_path):
    made = shapes(language="fr", size=16, pictures=10, data_dir=str(tmp_path))
    rows = [row for _, row in made._generate_examples("train", 1.0)]
    asked = questions(scenes("train", 10, split="composition", most=2, seed=0), split="composition", name="train", seed=0)
    assert [(row["question"], row["answer"], row["asked"]) for row in rows] == asked
    assert all(row["answer"] == row["shape_size" if row["asked"] == "size" else row["asked"]] for row in rows)
