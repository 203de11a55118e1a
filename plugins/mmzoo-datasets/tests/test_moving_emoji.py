"""Clips of emoji: what is painted is what is said of it, and a question alone tells nothing of its answer."""

import io
import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from mmzoo_datasets.moving_emoji import MovingEmoji
from mmzoo_datasets.moving_emoji_builder import (
    BACKGROUNDS,
    caption_of,
    description_of,
    frames_of,
    moving_emoji,
    questions_about,
    render_things,
)
from mmzoo_datasets.moving_emoji_scenes import BLOCK, GRID, STEPS, THINGS, WIDE, _overlap, scenes
from mmzoo_datasets.moving_emoji_words import LANGUAGES, Speaker
from PIL import Image

from mmzoo import DataError

SCENES = scenes(4 * BLOCK, 8, "0/test")
SIZE = 32


@pytest.fixture(scope="module", params=sorted(LANGUAGES))
def asked(request):
    """Asks about scenes in a language."""
    speaker = Speaker(request.param)
    return [question for number, scene in enumerate(SCENES) for question in questions_about(scene, number, speaker)]


def test_to_each_question_every_answer_is_right_equally_often(asked):
    answers = defaultdict(Counter)
    for question in asked:
        answers[question.text][question.answer] += 1
    for text, counts in answers.items():
        assert len(counts) in (len(STEPS), len(THINGS), len(BACKGROUNDS), 3), text
        assert len(set(counts.values())) == 1, text


def test_three_of_four_questions_need_several_frames(asked):
    kinds = Counter(question.kind for question in asked)
    assert sum(kinds[kind] for kind in ("direction", "what_moves", "order")) == 3 * len(SCENES)
    assert kinds["count"] + kinds["colour"] == len(SCENES)


def test_answers_of_one_question_are_told_apart(asked):
    found = defaultdict(set)
    for question in asked:
        found[question.kind].add(question.answer)
    counts = {kind: len(answers) for kind, answers in found.items()}
    assert counts == {"direction": 4, "what_moves": 12, "order": 12, "count": 3, "colour": 4}


def test_two_things_move_in_two_ways_one_after_the_other():
    for scene in SCENES:
        assert len(set(scene.things)) == len(scene.things) in (2, 3, 4)
        assert scene.first.direction != scene.last.direction
        first, last, *still = scene.paths
        assert len(set(first[3:])) == len(set(last[:5])) == 1  # each waits while the other moves
        assert all(len(set(path)) == 1 for path in still)
        for path, mover in ((first[:4], scene.first), (last[4:], scene.last)):
            across, down = STEPS[mover.direction]
            assert path == tuple(((path[0][0] + across * n) % GRID, (path[0][1] + down * n) % GRID) for n in range(4))


def test_things_never_cover_each_other():
    for scene in SCENES:
        for frame in zip(*scene.paths, strict=True):
            cells = [{((x + i) % GRID, (y + j) % GRID) for i in range(WIDE) for j in range(WIDE)} for x, y in frame]
            assert len(set.union(*cells)) == WIDE * WIDE * len(cells)
    assert _overlap((0, 0), (GRID - 1, 0))  # around the border too


def test_what_is_painted_stands_where_the_scene_says():
    side = SIZE * WIDE // GRID
    drawings = render_things(side)
    for scene in random.Random(1).sample(SCENES, 6):
        for number, data in enumerate(frames_of(scene, SIZE, drawings)):
            picture = Image.open(io.BytesIO(data))
            assert (picture.format, picture.size) == ("JPEG", (SIZE, SIZE))
            expected = np.empty((SIZE, SIZE, 3))
            expected[:] = BACKGROUNDS[scene.colour]
            for thing, path in zip(scene.things, scene.paths, strict=True):
                drawing = np.asarray(drawings[thing], "float64")
                alpha, (x, y) = drawing[..., 3:] / 255, path[number]
                rows = (np.arange(side) + y * SIZE // GRID) % SIZE
                columns = (np.arange(side) + x * SIZE // GRID) % SIZE
                behind = expected[np.ix_(rows, columns)]
                expected[np.ix_(rows, columns)] = drawing[..., :3] * alpha + behind * (1 - alpha)
            assert np.abs(np.asarray(picture) - expected).mean() < 6  # what JPEG loses


def test_the_same_seed_makes_the_same_and_splits_have_scenes_of_their_own():
    assert scenes(100, 8, "3/train") == scenes(100, 8, "3/train") != scenes(100, 8, "4/train")
    train, test = (set(map(str, scenes(480, 8, f"0/{split}"))) for split in ("train", "test"))
    assert not train & test


def test_questions_and_captions_say_what_happens():
    speaker, scene = Speaker("en"), SCENES[0]
    first, last = (speaker.name(mover.thing) for mover in (scene.first, scene.last))
    said = {question.kind: question for question in questions_about(scene, 0, speaker)}
    assert said["direction"][1:] == (f"which way does the {first} go?", scene.first.direction)
    assert said["what_moves"][1:] == (f"what goes {scene.last.direction}?", last)
    assert said["order"][1:] == ("what moves first?", first)
    assert said["count"][1:] == ("how many things are there?", ["two", "three", "four"][len(scene.things) - 2])
    other = {question.kind: question for question in questions_about(scene, BLOCK, speaker)}
    assert other["order"][1:] == ("what moves last?", last)
    assert other["direction"].answer == scene.last.direction
    assert other["colour"].answer == scene.colour
    assert caption_of(scene, speaker) == (
        f"the {first} goes {scene.first.direction}, then the {last} goes {scene.last.direction}"
    )
    number = ["two", "three", "four"][len(scene.things) - 2]
    assert description_of(scene, speaker) == f"{number} things on {scene.colour}: {caption_of(scene, speaker)}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_description_tells_every_answer(language):
    speaker = Speaker(language)
    for number, scene in enumerate(SCENES[:200]):
        said = description_of(scene, speaker)
        assert all(question.answer in said for question in questions_about(scene, number, speaker))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = MovingEmoji(clips=10, size=16, language="de", data_dir=str(tmp_path_factory.mktemp("clips")))
    assert data.card.needs.startswith("painting 13 clips once, about 0 s and 0 MB in ")
    data.prepare()
    return data


def test_what_is_made_is_read(made):
    assert made.card.needs == ""
    assert made.card.sizes == {"train": 40, "validation": 4, "test": 8}
    clips = defaultdict(list)
    for row in made.splits()["train"]:
        assert set(row) == set(made.card.fields)
        clips[row["clip"].numpy()].append(row)
    assert len(clips) == 10
    for rows in clips.values():
        assert [len(rows), len({row["question"].numpy() for row in rows})] == [4, 4]
        assert len({tuple(row["frames"].numpy()) for row in rows}) == 1
        assert Image.open(io.BytesIO(rows[0]["frames"].numpy()[7])).size == (16, 16)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"language": "xx"}, "language: received 'xx', expected one of de, en, es, fr."),
        ({"size": 60}, "size: received 60 pixels, expected a multiple of 8 from 16 on."),
        ({"frames": 7}, "frames: received 7, expected 8 to 16."),
    ],
)
def test_options_that_cannot_be(options, text, tmp_path):
    with pytest.raises(DataError) as raised:
        MovingEmoji(**options, data_dir=str(tmp_path))
    assert str(raised.value) == text


def test_options_have_folders_of_their_own(tmp_path):
    many = [{}, {"frames": 16}, {"size": 32}, {"clips": 48}, {"seed": 1}, {"language": "fr"}]
    assert len({moving_emoji(data_dir=str(tmp_path), **options).data_dir for options in many}) == len(many)
