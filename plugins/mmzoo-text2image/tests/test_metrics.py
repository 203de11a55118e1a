"""The metrics of generated pictures on pictures of one colour, whose features and distances are known."""

import inspect

import numpy as np
import pytest
from coloured_pictures import MANY, Judge, flat, pairs, scored, speckled, training
from mmzoo_text2image import nearest_training
from mmzoo_text2image.diversity import Diversity
from mmzoo_text2image.feature_distances import FrechetDistance, KernelDistance
from mmzoo_text2image.inception_score import InceptionScore
from mmzoo_text2image.nearest_training import NearestTraining
from mmzoo_text2image.pictures import decode, encode, fitted
from mmzoo_text2image.r_precision import RPrecision, choose_captions
from mmzoo_text2image.read_back import ReadBack

from mmzoo import DataError

MADE = {
    FrechetDistance: lambda: FrechetDistance(judge=Judge(), training_examples=training(MANY)),
    KernelDistance: lambda: KernelDistance(judge=Judge(), training_examples=training(MANY)),
    InceptionScore: lambda: InceptionScore(judge=Judge(), splits=2),
    RPrecision: lambda: RPrecision(judge=Judge()),
    NearestTraining: lambda: NearestTraining(training_examples=training(MANY)),
    ReadBack: lambda: ReadBack(judge=Judge(), name="colour"),
    Diversity: lambda: Diversity(predict=lambda signature, texts, seeds: {"image_bytes": [flat(text) for text in texts]}),
}


def rows_of(kind, colours):
    """Rows with generated pictures in these colours for captions of red, green and blue."""
    rows = []
    for colour, right in zip(colours, ("red", "green", "blue"), strict=True):
        row = {"image_bytes": flat(colour), "image": [flat(right)], "caption": [right], "target": [right]}
        rows.append({name: row[name] for name in inspect.signature(kind.update).parameters if name in row})
    return rows


@pytest.mark.parametrize("kind", MADE)
def test_names_are_the_same_without_examples_and_the_order_does_not_matter(kind):
    empty, rows = MADE[kind]().result(), rows_of(kind, ("red", "white", "red"))
    metric = MADE[kind]()
    forth = scored(metric, rows)
    assert list(forth) == list(empty)
    assert set(empty.values()) == {0.0}
    assert all(type(value) is float for value in forth.values())
    assert metric.result() == forth
    assert scored(MADE[kind](), rows[::-1]) == pytest.approx(forth, abs=1e-9)
    assert set(metric.lower_is_better if hasattr(metric, "lower_is_better") else ()) <= set(forth)


@pytest.mark.parametrize("kind", [kind for kind in MADE if kind is not Diversity])
def test_an_example_without_an_answer_is_left_out(kind):
    rows = rows_of(kind, ("red", "green", "red"))
    assert scored(MADE[kind](), [*rows, {**rows[0], "image_bytes": ""}]) == scored(MADE[kind](), rows)


@pytest.mark.parametrize("kind", [FrechetDistance, KernelDistance, RPrecision, ReadBack])
def test_names_are_known_without_the_model(kind):
    """A metric that is made only for its names gets the name of the needed run."""
    options = {"training_examples": training(MANY)} if hasattr(kind, "measure") else {}
    assert list(kind(judge="clip", **options).result()) == list(kind(judge=Judge(), **options).result())


# R-precision


def captioned(generated, captions):
    rows = zip(generated, captions, strict=True)
    return [{"image_bytes": flat(c), "image": [flat(own[0].split()[-1])], "caption": own} for c, own in rows]


def test_the_own_caption_is_found():
    found = scored(RPrecision(judge=Judge()), captioned(["red", "blue", "red"], [["red"], ["green"], ["blue"]]))
    assert found["clip_r_precision"] == pytest.approx(1 / 3)
    assert found["clip_r_precision_real"] == 1
    assert found["clip_r_precision_chance"] == pytest.approx(1 / 3)
    assert found["clip_r_precision_low"] <= 1 / 3 <= found["clip_r_precision_high"]


def test_a_picture_that_fits_two_captions_is_half_a_hit():
    rows = captioned(["red", "green"], [["a red", "one red"], ["the green"]]) + captioned(["red"], [["the red"]])
    found = scored(RPrecision(judge=Judge()), rows)
    # 'a red' is never compared with 'one red', which is its own; 'the red' ties with both.
    assert found["clip_r_precision"] == found["clip_r_precision_real"] == pytest.approx((1 / 2 + 1 + 1 / 3) / 3)


def test_a_generator_that_ignores_captions_scores_as_chance():
    rows = captioned(["white"] * 3, [["red"], ["green"], ["blue"]])
    found = scored(RPrecision(judge=Judge()), rows)
    assert found["clip_r_precision"] == pytest.approx(found["clip_r_precision_chance"]) == pytest.approx(1 / 3)


def test_captions_are_drawn_from_those_of_other_texts():
    captions = [[f"text {number}", f"also {number}", "shared"] for number in range(40)]
    texts, choices = choose_captions(captions, candidates=20, seed=0)
    assert texts == sorted({text for own in captions for text in own})
    for own, choice in zip(captions, choices, strict=True):
        chosen = [texts[index] for index in choice]
        assert chosen[0] == own[0]
        assert len(set(chosen)) == 20
        assert not set(chosen[1:]) & set(own)
    counts = np.bincount(np.concatenate([choice[1:] for choice in choices]), minlength=len(texts))
    assert counts[texts.index("shared")] == 0
    assert counts.sum() == 40 * 19
    again = choose_captions(captions, candidates=20, seed=0)[1]
    assert all((one == other).all() for one, other in zip(choices, again, strict=True))
    assert any((one != other).any() for one, other in zip(choices, choose_captions(captions, 20, 1)[1], strict=True))


def test_one_caption_in_all_is_always_found():
    found = scored(RPrecision(judge=Judge()), captioned(["red", "blue"], [["red"], ["red"]]))
    assert found["clip_r_precision"] == found["clip_r_precision_chance"] == 1


def test_a_caption_that_the_judge_cannot_read_is_said():
    rows = [{"image_bytes": flat("red"), "image": [flat("red")], "caption": [""]}]
    with pytest.raises(DataError) as error:
        scored(RPrecision(judge=Judge()), rows)
    assert str(error.value) == "the metric 'r_precision' gives the model 'clip' a value that it cannot read: ."


# Diversity


def test_a_collapsed_generator_has_no_diversity():
    rows = [{"image": [flat(colour)], "caption": [f"a {colour}"]} for colour in ("red", "green", "blue")]
    found = scored(Diversity(predict=lambda signature, texts, seeds: {"image_bytes": [MANY[0] for _ in texts]}), rows)
    assert found == pytest.approx({"diversity": 0, "diversity_real": np.sqrt(2 / 3)})


def test_diversity_is_the_difference_between_seeds():
    asked = []

    def predict(signature, texts, seeds):
        asked.append((signature, seeds.dtype, len(texts)))
        seen.update(zip(texts, seeds.tolist(), strict=False))
        return {"image_bytes": [flat((51 * seed,) * 3) for seed in seeds]}

    seen: dict[str, int] = {}
    rows = [{"image": [flat("red", 32)], "caption": [f"text {number}", "other"]} for number in range(40)]
    found = scored(Diversity(predict=predict, captions=30, seeds=4), [*rows, *rows])
    # Differences of 1, 2 and 3 times 0.2, in 3, 2 and 1 of 6 pairs.
    assert found == pytest.approx({"diversity": 0.2 * 10 / 6, "diversity_real": 0}, abs=1e-6)
    assert asked == [("generate", np.dtype("int64"), 64), ("generate", np.dtype("int64"), 56)]
    assert len(seen) == 30
    assert set(seen.values()) == {3}


def test_a_model_that_generates_nothing_is_refused():
    with pytest.raises(DataError) as error:
        scored(Diversity(predict=lambda signature, texts, seeds: {}), [{"image": [flat("red")], "caption": ["red"]}])
    assert str(error.value) == (
        "the metric 'diversity' asks the model for the output 'image_bytes' of 'generate', and it has no 'image_bytes'. "
        "Set `signature` and `output` to those that generate a picture, or leave the metric out."
    )


# Nearest training picture


def test_copies_are_found(monkeypatch):
    monkeypatch.setattr(nearest_training, "BLOCK", 2)
    train = [flat(colour, 64) for colour in ("red", "green", "blue", (255, 3, 0))]
    rows = pairs([flat("red", 64), flat((255, 51, 0), 64), flat("white", 64)], [flat((0, 255, 102), 32)] * 3)
    found = scored(NearestTraining(training_examples=training(train)), rows)
    # Red is a copy; the second is 48 of 255 from a training picture in one of three channels.
    assert found["nearest_training_distance"] == pytest.approx(48 / 255 / np.sqrt(3), abs=1e-6)
    assert found["nearest_training_distance_real"] == pytest.approx(0.4 / np.sqrt(3), abs=1e-6)
    assert found["nearest_training_copies"] == pytest.approx(1 / 3)
    assert found["nearest_training_copies_real"] == 0


def test_a_training_picture_of_another_size_is_copied_all_the_same():
    train = [speckled(seed, 96) for seed in range(3)]
    small = encode(fitted(decode(train[1], ""), (24, 24), "pad"))
    metric = NearestTraining(training_examples=training(train))
    assert scored(metric, pairs([small], [speckled(9, 24)]))["nearest_training_distance"] == pytest.approx(0, abs=1e-6)


def test_training_values_may_be_single_or_missing():
    def examples():
        return iter([{"image": b""}, {"image": []}, {"image": flat("red")}])

    assert scored(NearestTraining(training_examples=examples), pairs([flat("red")], [flat("blue")])) == pytest.approx(
        {
            "nearest_training_distance": 0,
            "nearest_training_distance_real": np.sqrt(2 / 3),
            "nearest_training_copies": 1,
            "nearest_training_copies_real": 0,
        }
    )


# Read-back


def test_the_true_value_is_read():
    rows = [
        {"image_bytes": flat(drawn), "image": [flat(real)], "target": target}
        for drawn, real, target in [("red", "red", ["red"]), ("red", "blue", ["blue"]), ("green", "blue", ["green", "x"])]
    ]
    found = scored(ReadBack(judge=Judge(), name="colour"), rows)
    assert list(found) == [f"clip_read_back_colour{part}" for part in ("", "_low", "_high", "_real")]
    assert found["clip_read_back_colour"] == found["clip_read_back_colour_real"] == pytest.approx(2 / 3)
    assert next(iter(ReadBack(judge=Judge()).result())) == "clip_read_back"


class Reader:
    """Answers `which colour?` with the colour of a picture, and any other question with `square`."""

    name = "reader"

    def __call__(self, signature, image, question):
        colours = Judge()("classify", image=image)["answer"]
        return {
            "answer": [colour if text == "which colour?" else b"square" for colour, text in zip(colours, question, strict=True)]
        }


def asked(drawn, real, question, answer, *groups):
    row = {"image_bytes": flat(drawn), "image": [flat(real)], "given": [question], "target": [answer]}
    return row | {"group": list(groups)}


ASKED = [
    asked("red", "red", "which colour?", "red", "colour", "first"),
    asked("red", "blue", "which colour?", "blue", "colour"),
    asked("red", "red", "which kind?", "square", "kind"),
    asked("red", "red", "which kind?", "circle", "kind"),
    asked("green", "red", "which colour?", "green", "colour"),
]


def test_a_judge_gets_the_question_and_groups_are_scored_alone():
    found = scored(ReadBack(judge=Reader()), ASKED)
    groups = {"": [3 / 5, 3 / 5], "[colour]": [2 / 3, 2 / 3], "[first]": [1, 1], "[kind]": [1 / 2, 1 / 2]}
    assert list(found) == [f"reader_read_back{group}{part}" for group in groups for part in ("", "_low", "_high", "_real")]
    for group, (share, real) in groups.items():
        numbers = [found[f"reader_read_back{group}{part}"] for part in ("", "_real", "_low", "_high")]
        assert numbers[:2] == pytest.approx([share, real])
        assert numbers[2] <= share <= numbers[3]


def test_a_group_scores_as_its_examples_alone():
    rows = [row for row in ASKED if "colour" in row["group"]]
    alone = scored(ReadBack(judge=Reader()), [{**row, "group": None} for row in rows])
    found = scored(ReadBack(judge=Reader()), ASKED)
    assert alone == {
        f"reader_read_back{part}": found[f"reader_read_back[colour]{part}"] for part in ("", "_low", "_high", "_real")
    }


def test_an_example_without_the_further_value_is_left_out_and_the_judge_names_it_as_it_likes():
    class Other(Reader):
        def __call__(self, signature, image, text):
            return super().__call__(signature, image=image, question=text)

    rows = [*ASKED, {**ASKED[0], "given": []}]
    assert scored(ReadBack(judge=Other(), given_input="text"), rows) == scored(ReadBack(judge=Reader()), ASKED)


def test_without_examples_there_are_no_groups():
    assert list(ReadBack(judge=Reader()).result()) == [f"reader_read_back{part}" for part in ("", "_low", "_high", "_real")]
