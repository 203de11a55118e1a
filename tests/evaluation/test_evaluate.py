"""Scores are those of the served answers, and baselines are computed as they say."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mmzoo import Card, FeatureSpec, NeededModel, Processed, Processor, Signature
from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.progress import Screen
from mmzoo.contracts.raw import plain
from mmzoo.data.raw_split import RawSplit
from mmzoo.data.scan import scan
from mmzoo.data.splits import Data
from mmzoo.errors import RecipeError, RunError
from mmzoo.evaluation.evaluate import REHEARSED, evaluate, evaluate_missing, rehearse
from mmzoo.evaluation.scores import Scores
from mmzoo.recipe.options import tensors_of
from mmzoo.recipe.plan import BoundComponent, BoundMetric
from mmzoo.recipe.settings import Evaluate
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.catalog import Component, Plugin

QUIET = Screen(quiet=True)
METRICS = parse_recipe("metrics:\n  - hits\n", "r.yaml").root.value["metrics"].value[0]


class Grid(Processor):
    """Reads four numbers as a picture."""

    modality = "image"

    features = FeatureSpec(shape=[2, 2], dtype="uint8", vocabulary=None)

    def __call__(self, raw):
        good = tf.strings.regex_full_match(raw, r"\d+ \d+ \d+ \d+")
        numbers = tf.strings.split(tf.where(good, raw, "0 0 0 0"), " ").to_tensor(shape=[None, 4])
        pixels = tf.reshape(tf.cast(tf.strings.to_number(numbers), tf.uint8), [-1, 2, 2])
        return Processed(pixels, tf.where(good, "", "no picture"))


class Colour(Processor):
    """Reads a colour, or two."""

    modality = "label"

    features = FeatureSpec(shape=[], dtype="int32", vocabulary=3)

    def __call__(self, raw):
        known = raw != "pink"
        return Processed(tf.cast(tf.strings.length(raw), tf.int32), tf.where(known, "", "no colour"))


class Hits:
    """Counts right answers."""

    def __init__(self) -> None:
        self.found: list[bool] = []

    def update(self, answer: str, references: list[str]) -> None:
        self.found.append(answer in references)

    def result(self) -> dict[str, float]:
        return {"hits": sum(self.found) / len(self.found), "scored": len(self.found)}


class Sure:
    """Averages a number of the answer; looks at an input by its name."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def update(self, score: float, colour: list[str]) -> None:
        self.values.append(score * len(colour[0]))

    def result(self) -> dict[str, float]:
        return {"sure": float(np.mean(self.values))}


class Told:
    """Keeps what can be answered."""

    def __init__(self, *, known_labels: frozenset[str] | None) -> None:
        self.known = known_labels

    def update(self, answer: str) -> None:
        """Takes nothing."""

    def result(self) -> dict[str, Any]:
        return {"known": self.known}


class Trained:
    """Keeps the training examples."""

    def __init__(self, *, training_examples: Any) -> None:
        self.read = training_examples

    def update(self, answer: str) -> None:
        """Takes nothing."""

    def result(self) -> dict[str, Any]:
        return {"seen": list(self.read())}


class Asking:
    """Asks a needed model."""

    def __init__(self, *, judge: NeededModel) -> None:
        self.judge = judge

    def update(self, answer: str) -> None:
        """Takes nothing."""

    def result(self) -> dict[str, Any]:
        return {f"{self.judge.name}_said": self.judge("read", image=["a"])["said"]}


class Falling:
    """A number that should fall."""

    lower_is_better = ("away",)

    def update(self, answer: str) -> None:
        """Takes nothing."""

    def result(self) -> dict[str, float]:
        return {"away": 0.5}


class Lost:
    """Asks for what is not there."""

    def update(self, scores: float) -> None:
        """Takes nothing."""

    def result(self) -> dict[str, float]:
        return {}


class Spare:
    """Looks at an input if there is one, and at another that there is not."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def update(self, answer: str, colour: Any = None, shape: Any = None) -> None:
        self.seen.append(colour is not None and shape is None)

    def result(self) -> dict[str, float]:
        return {"seen": float(np.mean(self.seen))}


def make_plan(*metrics: type) -> Any:
    plugin = Plugin("p", "1", "m")
    return SimpleNamespace(
        metrics=[
            BoundMetric(
                BoundComponent(Component("metric", m.__name__.lower(), f"{__name__}:{m.__name__}", plugin), {}, METRICS),
                {name: name for name in tensors_of(m.update)},
            )
            for m in metrics
        ],
        train=SimpleNamespace(cache="auto"),
        evaluate=Evaluate(),
        inputs={name: SimpleNamespace(optional=False) for name in ("image", "colour")},
        encoders={"image": None},
        on_error="skip",
    )


def make_data(plan: Any, **splits: list[tuple[str, str, str]]) -> Data:
    """Opens splits of pictures, colours (two with a bar between them) and faults."""
    raw = {}
    for split, rows in splits.items():
        pictures, colours, faults = zip(*rows, strict=True)
        columns = {"image": list(pictures), FAULT: list(faults), ROW: [f"{split} {index}" for index in range(len(rows))]}
        columns["colour"] = tf.ragged.constant([one.split("|") for one in colours])
        raw[split] = RawSplit.of(tf.data.Dataset.from_tensor_slices(columns))
    data = Data(plan, Card({}), raw, {"image": Grid(), "colour": Colour()})
    for split in raw:
        scan(data, split, QUIET)
    return data


def make_served(**options: Any) -> Any:
    """Serves 'red' for pictures whose first number is at least 100, else 'blue', and that number as a score."""

    def say(image):
        numbers = tf.strings.to_number(tf.strings.regex_replace(image, r"\D.*", "") + ".0")
        return {"said": tf.where(numbers >= 100, "red", "blue"), "score": numbers, "ok": tf.ones_like(image, tf.bool)}

    signature = Signature(dict, **{"inputs": ("image",), "answers": {"said": "colour"}} | options)
    served = SimpleNamespace(answers={"say": signature}, default="say", gallery=None, aliases={}, functions={"say": say})
    served.processors = {"colour": Colour()}
    served.spec = lambda name: tf.TensorSpec([None], tf.string)
    served.outputs = lambda name: dict.fromkeys(("said", "score", "ok"))
    served.predict = lambda name, *raw: {
        output: v.numpy() for output, v in served.functions[name](*map(tf.constant, raw)).items()
    }
    return served


TRAIN = [
    ("0 0 0 0", "blue", ""),
    ("x", "green", ""),
    ("200 0 0 0", "red", ""),
    ("0 0 200 0", "green|lime", ""),
    ("9 9 9 9", "green", "no file"),
    ("0 200 0 0", "red", ""),
]
TEST = [
    ("120 1 0 0", "red", ""),
    ("3 90 0 0", "red|rose", ""),
    ("5 5 5", "red", ""),
    ("7 7 180 7", "lime", ""),
    ("1 2 3 4", "pink", ""),
    ("110 4 20 0", "blue", "no file"),
    ("6 240 0 0", "blue", ""),
]
GOOD = [0, 1, 3, 6]
"""Rows of the test split that can be read."""


@pytest.fixture(scope="module")
def scored() -> Scores:
    plan = make_plan(Hits, Sure)
    return evaluate(plan, make_served(), make_data(plan, train=TRAIN, test=TEST), QUIET)


def test_the_model_is_scored_on_what_it_answers(scored):
    said = [("red" if int(TEST[row][0].split()[0]) >= 100 else "blue") for row in GOOD]
    assert [row["answers"]["model"]["said"] for row in scored.rows] == said
    hits = [answer in TEST[row][1].split("|") for answer, row in zip(said, GOOD, strict=True)]
    sure = [float(TEST[row][0].split()[0]) * len(TEST[row][1].split("|")[0]) for row in GOOD]
    assert hits == [True, False, False, True]
    assert scored.numbers["model"] == {"hits": 0.5, "scored": 4, "sure": np.mean(sure)}


def test_what_cannot_be_read_is_counted_and_not_scored(scored):
    assert [row["row"] for row in scored.rows] == [f"test {row}" for row in GOOD]
    assert [row["references"] for row in scored.rows] == [{"colour": TEST[row][1].split("|")} for row in GOOD]
    assert scored.unreadable == 3


def test_the_most_frequent_answer_is_that_of_the_readable_training_examples(scored):
    readable = [TRAIN[row][1].split("|") for row in (0, 2, 3, 5)]
    ((frequent, _),) = Counter(value for values in readable for value in values).most_common(1)
    assert frequent == "red"
    assert [row["answers"]["most_frequent"] for row in scored.rows] == [{"said": "red"}] * 4
    assert scored.numbers["most_frequent"] == {"hits": 0.5, "scored": 4}  # it has no score, so nothing is sure


def test_the_nearest_answer_is_that_of_the_nearest_readable_picture(scored):
    def vector(row: tuple) -> np.ndarray:
        return np.array(row[0].split(), "float64")

    readable = [TRAIN[row] for row in (0, 2, 3, 5)]
    near = [min(readable, key=lambda known: np.linalg.norm(vector(known) - vector(TEST[row]))) for row in GOOD]
    assert [row["answers"]["nearest"] for row in scored.rows] == [{"said": one[1].split("|")[0]} for one in near]
    assert [one[1] for one in near] == ["red", "blue", "green|lime", "red"]
    assert scored.numbers["nearest"] == {"hits": 0.25, "scored": 4}


def test_flat_scores_name_the_baselines(scored):
    assert scored.flat() == {
        "split": "test",
        "examples": 4,
        "unreadable": 3,
        "hits": 0.5,
        "scored": 4,
        "sure": scored.numbers["model"]["sure"],
        "baseline.most_frequent.hits": 0.5,
        "baseline.most_frequent.scored": 4,
        "baseline.nearest.hits": 0.25,
        "baseline.nearest.scored": 4,
    }


@pytest.mark.parametrize(("most", "step"), [(2**30, 1), (299 * 4 * 4, 2), (3 * 4 * 4, 100), (1, 300)])
def test_the_nearest_pictures_are_those_of_brute_force_among_those_that_fit(most, step, monkeypatch):
    monkeypatch.setattr("mmzoo.evaluation.neighbours.MAX_BYTES", most)  # a picture is four numbers of four bytes
    rng = np.random.default_rng(4)

    def rows(count: int) -> list[tuple[str, str, str]]:
        return [(" ".join(map(str, rng.integers(0, 256, 4))), f"c{index}", "") for index in range(count)]

    train, test = rows(300), rows(100)
    plan = make_plan(Hits)
    found = evaluate(plan, make_served(), make_data(plan, train=train, test=test), QUIET)
    known, asked = (np.array([row[0].split() for row in split], "float64") for split in (train, test))
    nearest = step * np.linalg.norm(asked[:, None] - known[None, ::step], axis=-1).argmin(axis=1)
    assert [row["answers"]["nearest"]["said"] for row in found.rows] == [f"c{index}" for index in nearest]


def test_the_scores_of_a_task_are_those_of_its_answers_one_by_one(served_toy):
    scores = evaluate(served_toy.plan, served_toy.served, served_toy.data, QUIET)
    right = []
    for raw in served_toy.data.raw["test"].examples():
        answer = served_toy.served.functions["answer"](raw["image"][None])["answer"].numpy()[0]
        right.append(answer == raw["answer"].numpy())
    assert scores.split == "test"
    assert scores.numbers["model"]["exact_match"] == np.mean(right)
    assert set(scores.numbers) == {"model", "most_frequent", "nearest"}


# What is asked of metrics and answers


LOST = (
    "r.yaml:2:5  metrics[0]: the metric 'lost' needs 'scores', which neither the answers nor the inputs give.\n"
    "  Nearest: score, colour. Known: colour, said, score, ok, answer, references."
)


@pytest.mark.parametrize("how", [lambda *given: evaluate(*given, QUIET), rehearse])
def test_a_metric_must_find_what_it_asks_for(how):
    plan = make_plan(Lost)
    data = make_data(plan, train=TRAIN, test=TEST)
    with pytest.raises(RecipeError) as raised:
        how(plan, make_served(), data)
    assert str(raised.value) == LOST


@pytest.mark.parametrize("how", [lambda *given: evaluate(*given, QUIET), rehearse])
def test_no_two_metrics_give_one_number(how):
    plan = make_plan(Hits, Hits)
    with pytest.raises(RecipeError, match="the metric 'hits' gives 'hits', which one before it gives too") as raised:
        how(plan, make_served(), make_data(plan, train=TRAIN, test=TEST))
    assert str(raised.value).endswith("Leave one of them out.")


def test_a_metric_may_do_without_an_input_that_there_is_not():
    plan = make_plan(Spare)
    numbers = evaluate(plan, make_served(), make_data(plan, train=TRAIN, test=TEST), QUIET).numbers
    assert all(found == {"seen": 1.0} for found in numbers.values())
    assert numbers


def test_what_a_recipe_names_for_it_must_be_there():
    plan = make_plan(Spare)
    plan.metrics[0].values["shape"] = "form"
    with pytest.raises(RecipeError, match="the metric 'spare' needs 'form', which neither the answers nor the inputs give"):
        evaluate(plan, make_served(), make_data(plan, train=TRAIN, test=TEST), QUIET)


@pytest.mark.parametrize(
    ("labels", "answers", "known"),
    [
        ({"labels": ["red", "blue"]}, {"said": "colour"}, {"red", "blue"}),
        ({}, {"said": "colour"}, None),
        ({"labels": ["red"]}, {"said": "colour", "score": "colour"}, None),
        ({"labels": ["red"]}, {}, None),
    ],
)
def test_a_metric_is_told_which_labels_a_classifier_has(labels, answers, known):
    served, plan = make_served(answers=answers), make_plan(Told)
    plan.metrics[0].values["answer"] = "said"
    served.processors = {"colour": SimpleNamespace(features=Colour.features | labels)}
    numbers = evaluate(plan, served, make_data(plan, train=TRAIN, test=TEST), QUIET).numbers
    assert numbers["model"] == {"known": known}


def test_a_metric_reads_the_training_examples_that_can_be_read():
    plan = make_plan(Trained)
    plan.metrics[0].values["answer"] = "said"
    data = make_data(plan, train=TRAIN, test=TEST)
    readable = [{"image": [TRAIN[row][0]], "colour": TRAIN[row][1].split("|")} for row in (0, 2, 3, 5)]
    assert evaluate(plan, make_served(), data, QUIET).numbers["model"] == {"seen": readable}


def test_in_a_rehearsal_a_metric_reads_few_training_examples(monkeypatch):
    seen: list[int] = []
    monkeypatch.setattr(Trained, "result", lambda self: seen.append(len(list(self.read()))) or {})
    plan = make_plan(Trained)
    rows = [("1 2 3 4", "red", "")] * 50
    rehearse(plan, make_served(), make_data(plan, train=rows, test=TEST))
    assert seen == [REHEARSED]


def test_a_metric_asks_the_model_of_a_needed_run():
    plan = make_plan(Asking)
    plan.metrics[0].bound.options["judge"] = "reader"
    asked: list[Any] = []

    def judge(signature: str, **raw: Any) -> dict[str, str]:
        asked.append((signature, raw))
        return {"said": "a"}

    judge.name = "reader"
    data = make_data(plan, train=TRAIN, test=TEST)
    numbers = evaluate(plan, make_served(), data, QUIET, {"reader": judge, "other": None}).numbers
    assert numbers["model"] == {"reader_said": "a"}
    assert asked[0] == ("read", {"image": ["a"]})


def test_the_numbers_that_should_fall_are_kept():
    plan = make_plan(Falling, Hits)
    assert evaluate(plan, make_served(), make_data(plan, train=TRAIN, test=TEST), QUIET).lower_is_better == ["away"]


@pytest.mark.parametrize("answers", [{"said": "colour"}, {}])
def test_the_seed_of_an_example_is_its_number_in_the_split(answers, monkeypatch):
    """Whatever the batch, and whether examples before it can be read."""
    monkeypatch.setattr("mmzoo.evaluation.predictions.BATCH", 3)
    given: list[int] = []
    served, plan = make_served(inputs=("image", "number"), seed="number", answers=answers), make_plan()

    def say(image, number):
        given.extend(number.numpy())
        assert number.dtype == tf.int64
        return {"said": tf.strings.as_string(number), "ok": tf.ones_like(image, tf.bool)}

    served.functions["say"] = say
    scores = evaluate(plan, served, make_data(plan, train=TRAIN, test=TEST), QUIET)
    assert given[: len(TEST)] == list(range(len(TEST)))
    assert [row["answers"]["model"]["said"] for row in scores.rows] == [str(row) for row in GOOD]


def test_a_rehearsal_answers_two_examples():
    asked, served, plan = [], make_served(), make_plan(Hits, Sure)
    say = served.functions["say"]
    served.functions["say"] = lambda image: asked.append(len(image)) or say(image)
    rehearse(plan, served, make_data(plan, train=TRAIN, test=TEST))
    assert asked == [2]


def test_a_rehearsal_scores_no_example_that_cannot_be_read(monkeypatch):
    seen: list[list[str]] = []
    monkeypatch.setattr(Hits, "update", lambda self, answer, references: seen.append(references))
    monkeypatch.setattr(Hits, "result", lambda self: {})
    plan = make_plan(Hits)
    rehearse(plan, make_served(), make_data(plan, train=TRAIN, test=[TEST[2], TEST[3], TEST[4]]))
    assert seen == [["lime"]]


def test_answers_that_predict_no_input_have_no_baseline():
    plan = make_plan(Sure)
    scores = evaluate(plan, make_served(answers={}), make_data(plan, train=TRAIN, test=TEST), QUIET)
    assert list(scores.numbers) == ["model"]


def test_an_answer_that_predicts_no_input_hides_none():
    served, plan = make_served(answers={}), make_plan(Sure)
    say = served.functions["say"]
    served.functions["say"] = lambda image: say(image) | {"colour": tf.fill(tf.shape(image), "that of a picture found")}
    scores = evaluate(plan, served, make_data(plan, train=TRAIN, test=TEST), QUIET)
    sure = [float(TEST[row][0].split()[0]) * len(TEST[row][1].split("|")[0]) for row in GOOD]
    assert scores.numbers["model"] == {"sure": pytest.approx(np.mean(sure))}


def test_without_metrics_the_answers_are_kept_all_the_same():
    plan = make_plan()
    scores = evaluate(plan, make_served(), make_data(plan, train=TRAIN, test=TEST), QUIET)
    assert scores.numbers == {"model": {}, "most_frequent": {}, "nearest": {}}
    assert len(scores.rows) == 4


def test_the_held_out_split_may_be_that_of_training():
    plan = make_plan(Hits)
    scores = evaluate(plan, make_served(), make_data(plan, train=TRAIN), QUIET)
    assert scores.flat()["split"] == "train"
    assert scores.numbers["nearest"] == {"hits": 1.0, "scored": 4}  # each is its own nearest


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"\xc3\xa4", "ä"),
        (b"\xff", b"\xff"),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([b"a", b"\xff"], object), ["a", b"\xff"]),
    ],
)
def test_answers_are_plain_values(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_arrays_stay_arrays():
    assert plain(np.ones((2, 3), "float32")).shape == (2, 3)


# Missing inputs


def asked_about(share: float) -> dict[str, dict[str, float]]:
    """Scores, without each of its inputs, what says 'red' to a bright picture and to the word 'red', else 'blue'."""
    plan = make_plan(Hits)
    served = make_served(inputs=("image", "hint"))

    def say(image, hint):
        bright = tf.strings.regex_full_match(image, r"\d\d\d .*")
        return {"said": tf.where(bright | (hint == "red"), "red", "blue"), "ok": tf.ones_like(image, tf.bool)}

    served.functions["say"] = say
    rows = [("120 0 0 0", "red", "")] * 30 + [("1 0 0 0", "red", "")] * 10 + [("1 0 0 0", "blue", "")] * 20
    data = make_data(plan, train=TRAIN, test=rows)
    data.raw["test"] = RawSplit.of(data.raw["test"].examples().map(lambda row: row | {"hint": row["colour"][0]}))
    data.processors["hint"] = Colour()
    return evaluate_missing(plan, served, data, QUIET, share)


def test_an_input_is_taken_away_and_the_answers_scored():
    numbers = asked_about(1.0)
    assert {name: one["hits"] for name, one in numbers.items()} == {
        "all": 1.0,
        "without image": 1.0,  # the hint says it all
        "without hint": pytest.approx(50 / 60),
    }


def test_in_a_share_of_the_examples_an_input_is_taken_away_and_always_in_the_same():
    drawn = np.random.default_rng(0).random(60) < 0.5
    lost = drawn[30:40].sum()  # dark pictures of something red
    assert 0 < lost < 10
    for _ in range(2):
        numbers = asked_about(0.5)
        assert numbers["without hint"]["hits"] == pytest.approx(1 - lost / 60)


def test_of_three_inputs_each_is_tried_alone_too():
    plan = make_plan(Hits)
    served = make_served(inputs=("image", "hint", "other"))
    given = []

    def say(*raw):
        given.append([bool(tf.reduce_any(one != "")) for one in raw])
        return {"said": tf.fill(tf.shape(raw[0]), "red"), "ok": tf.ones_like(raw[0], tf.bool)}

    served.functions["say"] = say
    data = make_data(plan, train=TRAIN, test=[("1 0 0 0", "red", "")])
    data.raw["test"] = RawSplit.of(
        data.raw["test"].examples().map(lambda row: row | {"hint": row["image"], "other": row["image"]})
    )
    inputs = ("image", "hint", "other")
    names = list(evaluate_missing(plan, served, data, QUIET))
    assert names == ["all", *(f"without {name}" for name in inputs), *(f"{name} alone" for name in inputs)]
    yes, no = True, False
    assert given == [[yes] * 3, [no, yes, yes], [yes, no, yes], [yes, yes, no], [yes, no, no], [no, yes, no], [no, no, yes]]


def test_what_cannot_be_answered_without_an_input_is_counted_and_not_scored():
    plan = make_plan(Hits)
    served = make_served(inputs=("image", "hint"))
    served.functions["say"] = lambda image, hint: {"said": tf.fill(tf.shape(image), "red"), "ok": (image != "") | (hint != "")}
    data = make_data(plan, train=TRAIN, test=[("1 0 0 0", "red", ""), ("1 0 0 0", "blue", ""), ("1 0 0 0", "blue", "")])
    data.raw["test"] = RawSplit.of(
        data.raw["test"].examples().map(lambda row: row | {"hint": tf.where(row["colour"][0] == "red", "a hint", "")})
    )
    numbers = evaluate_missing(plan, served, data, QUIET)
    assert numbers["all"] == {"hits": pytest.approx(1 / 3), "scored": 3}
    assert numbers["without image"] == {"hits": 1.0, "scored": 1, "unanswered": 2}


def test_of_one_input_none_can_be_missing():
    plan = make_plan(Hits)
    with pytest.raises(RunError) as raised:
        evaluate_missing(plan, make_served(), make_data(plan, train=TRAIN, test=TEST), QUIET)
    assert str(raised.value) == (
        "the answer is made from 'image' alone, so no input can be missing; expected two inputs or more."
    )
