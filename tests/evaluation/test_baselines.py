"""What is answered without learning: by the question alone, by one frame, by the nearest clip; against brute force."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mmzoo import Card, FeatureSpec, Processed, Processor, Signature, no_faults
from mmzoo.contracts.progress import Screen
from mmzoo.data.raw_split import RawSplit
from mmzoo.data.scan import scan
from mmzoo.data.splits import Data
from mmzoo.evaluation import baselines
from mmzoo.evaluation.bags import bag_length
from mmzoo.recipe.settings import BaselineName, Evaluate

QUIET = Screen(quiet=True)
RNG = np.random.default_rng(0)


class Clip(Processor):
    """Reads up to twelve numbers as frames of two pixels of two channels."""

    modality = "video"

    features = FeatureSpec(shape=[3, 1, 2, 2], dtype="uint8", vocabulary=None, mask=[3])

    def __call__(self, raw):
        words = tf.strings.split(raw, " ")
        numbers = tf.strings.to_number(words.to_tensor("0", shape=[None, 12]))
        there = tf.sequence_mask(words.row_lengths() // 4, 3)
        return Processed(tf.reshape(tf.cast(numbers, tf.uint8), [-1, 3, 1, 2, 2]), no_faults(raw), there)


class Text(Processor):
    """Reads a text as its length."""

    modality = "text"

    features = FeatureSpec(shape=[], dtype="int32", vocabulary=100)

    def __call__(self, raw):
        return Processed(tf.strings.length(raw), no_faults(raw))


def rows(count: int, questions: str) -> list[tuple[np.ndarray, str, str]]:
    return [
        (RNG.integers(0, 256, 4 * RNG.integers(1, 4)), RNG.choice(list(questions)), RNG.choice(list("xyz")))
        for _ in range(count)
    ]


TRAIN, TEST = rows(60, "abc"), rows(20, "abcd")  # nobody asked d in training


@pytest.fixture(scope="module")
def data() -> Data:
    inputs = dict.fromkeys(("clip", "question", "answer"), SimpleNamespace(optional=False))
    encoders = {name: one for name, one in inputs.items() if name != "answer"}
    plan = SimpleNamespace(inputs=inputs, encoders=encoders, train=SimpleNamespace(cache="auto"), on_error="stop")
    raw = {}
    for split, found in (("train", TRAIN), ("test", TEST)):
        clips, questions, answers = zip(*found, strict=True)
        columns = {"clip": [" ".join(map(str, clip)) for clip in clips], "question": questions, "answer": answers}
        columns |= {"@row": list(map(str, range(len(found)))), "@fault": [""] * len(found)}
        raw[split] = RawSplit.of(tf.data.Dataset.from_tensor_slices({name: list(column) for name, column in columns.items()}))
    made = Data(plan, Card({}), raw, {"clip": Clip(), "question": Text(), "answer": Text()})
    for split in raw:
        scan(made, split, QUIET)
    return made


def answers(data: Data, *inputs: str, screen: Screen = QUIET) -> dict[str, list[str]]:
    signature = Signature(dict, inputs=inputs, answers={"said": "answer"})
    served = SimpleNamespace(answers={"say": signature}, default="say")
    found = baselines.predicting(served, data, "test", Evaluate().baselines, screen)
    return {baseline.name: [one["said"] for one in baseline.answers] for baseline in found}


def words(data: Data, *inputs: str, named: Sequence[BaselineName] = Evaluate().baselines) -> dict[str, str]:
    served = SimpleNamespace(answers={"say": Signature(dict, inputs=inputs, answers={"said": "answer"})}, default="say")
    return {baseline.name: baseline.about for baseline in baselines.predicting(served, data, "test", named, QUIET)}


def frequent(answers: list[str]) -> str:
    return Counter(answers).most_common(1)[0][0]


def whole(clip: np.ndarray) -> np.ndarray:
    return np.pad(clip.astype("float64"), (0, 12 - len(clip)))


def middle(clip: np.ndarray) -> np.ndarray:
    frames = clip.astype("float64").reshape(-1, 4)
    return frames[len(frames) // 2]


def nearest(clip: np.ndarray, among: list, part: Callable[[np.ndarray], np.ndarray] = whole) -> str:
    return among[int(np.argmin([np.linalg.norm(part(clip) - part(known[0])) for known in among]))][2]


@pytest.mark.parametrize(("scorer", "part"), [("nearest", whole), ("single_frame", middle)])
def test_the_nearest_clip_is_looked_for_among_those_with_the_same_question(data, scorer, part):
    want = []
    for clip, question, _ in TEST:
        same = [known for known in TRAIN if known[1] == question] or TRAIN
        want.append(nearest(clip, same, part))
    assert answers(data, "clip", "question")[scorer] == want


def test_the_question_alone_is_answered_by_what_is_most_often_said_to_it(data):
    always = frequent([answer for _, _, answer in TRAIN])
    want = [frequent([known[2] for known in TRAIN if known[1] == question] or [always]) for _, question, _ in TEST]
    found = answers(data, "clip", "question")
    assert found["question_only"] == want
    assert found["most_frequent"] == [always] * len(TEST)


def test_without_a_text_the_nearest_is_the_nearest_of_all(data):
    found = answers(data, "clip")
    assert set(found) == {"most_frequent", "nearest", "single_frame"}
    assert found["nearest"] == [nearest(clip, TRAIN) for clip, _, _ in TEST]


def test_a_text_alone_has_no_nearest(data):
    assert set(answers(data, "question")) == {"most_frequent", "question_only"}


def test_among_fewer_neighbours_the_same_question_still_counts(data, monkeypatch):
    monkeypatch.setattr("mmzoo.evaluation.neighbours.MAX_EXAMPLES", 30)  # every second one
    few = TRAIN[::2]
    want = [nearest(clip, [known for known in few if known[1] == question] or few) for clip, question, _ in TEST]
    assert answers(data, "clip", "question")["nearest"] == want


def test_a_training_clip_that_cannot_be_read_any_more_is_left_out_and_counted(data, capsys):
    place = min(range(len(TRAIN)), key=lambda row: np.linalg.norm(whole(TEST[0][0]) - whole(TRAIN[row][0])))
    gone = data.raw["train"].examples().map(lambda one: one | {"@fault": tf.where(one["@row"] == str(place), "no file", "")})
    plan = SimpleNamespace(**vars(data.plan) | {"on_error": "skip", "train": SimpleNamespace(cache=False)})
    kept = {"sizes": {**data.sizes}, "readable": {name: one.copy() for name, one in data.readable.items()}}
    lost = replace(data, plan=plan, raw=data.raw | {"train": RawSplit.of(gone)}, faults={"train": []}, _processed={}, **kept)
    left = [*TRAIN[:place], *TRAIN[place + 1 :]]
    assert answers(lost, "clip", screen=Screen())["nearest"] == [nearest(clip, left) for clip, _, _ in TEST]
    assert (lost.sizes["train"], lost.faults["train"]) == (59, [f"{place}: no file"])
    assert "evaluate  left out 1 of them that cannot be read any more" in capsys.readouterr().out


@pytest.mark.parametrize(("examples", "texts", "length"), [(5000, 5, 4096), (300_000, 1, 256), (10**9, 1, 1)])
def test_the_bags_of_a_large_split_are_shorter(examples, texts, length):
    assert bag_length(examples, [np.zeros((texts, 7), int)] * 3) == length


def test_a_recipe_chooses_baselines(data):
    assert {*baselines.PREDICTING, *baselines.EMBEDDING} == {*Evaluate().baselines}
    assert list(words(data, "clip", "question", named=["single_frame", "text_only"])) == ["question_only", "single_frame"]
    assert words(data, "clip", "question", named=[]) == {}


# What people read of them


def test_the_words_of_a_baseline_name_its_inputs(data):
    assert words(data, "clip", "question") == {
        "most_frequent": "the most frequent answer of the training split, for every example",
        "question_only": "the most frequent answer of the training split to the same question; no other input is read",
        "nearest": "the answer of the training example with the nearest clip, by the distance of the pixels, "
        "among those with the same question if there are any",
        "single_frame": "the answer of the training example whose clip has the nearest middle frame, by the distance of the "
        "pixels, among those with the same question if there are any",
    }


@pytest.mark.parametrize("modality", ["image", "audio", "vector"])
def test_a_single_frame_is_compared_of_videos_alone(data, monkeypatch, modality):
    monkeypatch.setattr(Clip, "modality", modality)
    assert "nearest" in words(data, "clip")
    assert "single_frame" not in words(data, "clip")


def test_an_input_of_a_modality_without_a_distance_has_no_nearest(data, monkeypatch):
    monkeypatch.setattr(Clip, "modality", "graph")
    assert set(words(data, "clip", "question")) == {"most_frequent", "question_only"}


def test_the_value_that_occurs_most_often_is_the_first_of_those_that_tie():
    assert baselines.most_common(iter([["a"], ["b", "c"], ["c", "b"]])) == "b"
