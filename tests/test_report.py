"""The page and the card of a run say what is in its scores, safely, and whatever is missing."""

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mmzoo import Card, Features, Processed, Processor, Signature, fine
from mmzoo.catalog import Component, Plugin
from mmzoo.data import Data
from mmzoo.dataset import FAULT, ROW
from mmzoo.evaluate import Scores
from mmzoo.plan import Bound, Export, Input, Loss, Plan, Train
from mmzoo.recipe import parse_recipe
from mmzoo.report import number, report, score_rows
from mmzoo.run import Run, write_json

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "line", "circle", "path"}
WEIGHTS = np.linspace(0.1, 0.9, 8, dtype="float32").reshape(1, 2, 4)


class Page(HTMLParser):
    """Reads a page, holds its tags to be well-formed, and keeps what the tests ask for."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.addresses, self.numbers, self.text = [], [], [], {}, ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert len(values) == len(attributes)
        self.tags.append((tag, values))
        self.addresses += [value for name, value in attributes if name in ("src", "href", "data", "action", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def with_class(self, name: str) -> list[dict[str, str]]:
        return [values for _, values in self.tags if name in values.get("class", "").split()]


class Picture(Processor):
    """Pictures as 4 by 4 pixels."""

    from_file = True
    features = Features(shape=[4, 4, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw):
        return Processed(tf.zeros([tf.size(raw), 4, 4, 3], tf.uint8), fine(raw))

    def decode(self, values):
        return tf.map_fn(tf.io.encode_png, values, fn_output_signature=tf.string)


class Text(Processor):
    """Text as it is."""

    features = Features(shape=[9], dtype="string", vocabulary=17)

    def __call__(self, raw):
        return Processed(raw, fine(raw))

    def decode(self, values):
        return values


class Distance:
    """A metric of which less is better."""

    less_is_better = ("distance",)


def png(shade: int) -> bytes:
    return tf.io.encode_png(np.full((5, 5, 3), shade, "uint8")).numpy()


def bound(kind: str, name: str, target: str = "nowhere:Nothing") -> Bound:
    return Bound(Component(kind, name, target, Plugin("mmzoo-toy", "0.3", "toy")), {}, None)


def make_plan(**changes) -> Plan:
    column = Input("image", "image", bound("processor", "picture"), None)
    parts = {
        "recipe": parse_recipe(f"name: toy  # {EVIL}"),
        "name": "toy",
        "about": "Says what it sees.",
        "data": bound("dataset", "toys"),
        "on_error": "skip",
        "dataset": None,
        "inputs": {"image": column, "text": Input("text", "text", bound("processor", "text"), None)},
        "encoders": {"image": bound("encoder", "look")},
        "fusion": None,
        "head": bound("head", "say"),
        "losses": (Loss(bound("loss", "blame"), {}),),
        "metrics": (bound("metric", "distance", f"{__name__}:Distance"),),
        "train": Train(backend="jax", seed=41),
        "export": Export(),
    }
    return Plan(**parts | changes)


class World:
    """A run with hand-made answers: two pictures, of which the second is answered wrongly."""

    def __init__(self, folder, answers=("a dog", EVIL), references=(["a dog"], ["a cat", "one cat"])):
        self.plan, self.run = make_plan(), Run(folder)
        self.processors = {"image": Picture(), "text": Text()}
        self.signatures = {
            "say": Signature(dict, answers={"said": "text"}, inputs=("image",)),
            "explain": Signature(dict, pieces={"words": "text"}, attention="look", inputs=("image",)),
        }
        self.outputs = {
            "say": lambda image: {"said": tf.fill(tf.shape(image), "a dog"), "ok": tf.ones_like(image, tf.bool)},
            "explain": lambda image: {
                "words": tf.repeat([["a", "dog"]], tf.size(image), 0),
                "look": tf.repeat(tf.constant(WEIGHTS), tf.size(image), 0),
            },
        }
        self.raw = [
            {"image": png(50 * row), "text": several[0], ROW: f"row {row}", FAULT: ""} for row, several in enumerate(references)
        ]
        self.scores = Scores("test", {"model": {"hits": 0.512345}, "nearest": {"hits": 0.25}, "most_frequent": {"hits": 0.125}})
        for row, (answer, several) in enumerate(zip(answers, references, strict=True)):
            found = {"row": f"row {row}", "references": {"text": several}}
            self.scores.rows.append(found | {"answers": {"model": {"said": answer, "ok": True, "reason": ""}}})
        self.sizes, self.faults = {"train": 3, "test": 2}, {"test": [f"row 9: {EVIL}"], "train": []}
        self.history = {"loss": [4.0, 2.0, 1.0], "val_loss": [3.0, 2.0, 2.5]}

    def write(self) -> tuple[Page, str]:
        """Writes the report and reads the page and the card."""
        self.run.folder.mkdir()
        if self.history is not None:
            write_json(self.run.history, self.history)
        spec = [tf.TensorSpec([None], tf.string, name="image")]
        served = SimpleNamespace(
            answers=self.signatures,
            default=next(iter(self.signatures)),
            processors=self.processors,
            functions={name: tf.function(self.outputs[name], input_signature=spec) for name in self.signatures},
            task_variables=[tf.Variable(tf.zeros([30, 40])), tf.Variable(tf.zeros([4])), tf.Variable([1, 2])],
            spec=lambda name: tf.TensorSpec([None], tf.string, name=name),
        )
        columns = {name: [row[name] for row in self.raw] for name in self.raw[0]} if self.raw else {}
        raw = {self.scores.split: tf.data.Dataset.from_tensor_slices(columns)} if columns else {}
        card = Card({}, about="Toys & more.", source="the attic", licence="CC0")
        report(self.plan, self.run, served, Data(self.plan, card, raw, self.processors, self.sizes, self.faults), self.scores)
        return Page(self.run.report.read_text("utf-8")), self.run.card.read_text("utf-8")


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path / "run")


def test_the_numbers_of_the_page_are_those_of_the_scores(world):
    page, card = world.write()
    flat = json.loads(world.run.scores.read_text("utf-8"))
    assert flat["hits"] == 0.512345
    shown = [float(values["value"]) for tag, values in page.tags if tag == "data"]
    assert shown == [flat["hits"], flat["baseline.nearest.hits"], flat["baseline.most_frequent.hits"]]
    assert "| hits | **0.512** | 0.250 | 0.125 |" in card
    assert "the answer of the nearest training example, by the distance of their pixels" in page.text


def test_the_facts_of_the_training(world):
    page, card = world.write()
    for said in (page.text, card):
        assert "1,204" in said  # the weights that are no whole numbers
        assert "jax" in said
        assert "CC0" in said
    assert "seed 41" in card
    assert "Of all 2, 1 are right" in page.text


def test_nothing_is_loaded_from_elsewhere(world):
    page, _ = world.write()
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    text = world.run.report.read_text("utf-8")
    assert re.findall(r"url\(|@import|https?://(?!localhost:8501/)", text) == []
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base"} == set()


def test_what_others_wrote_is_escaped(world):
    page, card = world.write()
    assert page.text.count(EVIL) >= 3  # an answer, a fault and the recipe
    assert "<script" not in card


def test_a_wrong_answer_stands_beside_its_references(world):
    page, _ = world.write()
    items = [values.get("class") for tag, values in page.tags if tag == "li" and "title" in values]
    assert items == ["right", "wrong"]
    assert len(page.with_class("reference")) == 2
    assert "a cat" in page.text


def test_pictures_are_shown_as_they_were_given(world):
    page, _ = world.write()
    pictures = [b64decode(address.partition(",")[2]) for address in page.addresses]
    assert pictures[:2] == [png(0), png(50)]


def test_the_glow_follows_the_weights(world):
    page, _ = world.write()
    glows = [tf.io.decode_png(b64decode(values["src"].partition(",")[2])) for values in page.with_class("glow")]
    assert len(glows) == 4  # two examples of two words
    for glow, weights in zip(glows, [*WEIGHTS[0], *WEIGHTS[0]], strict=True):
        assert glow.numpy()[..., 3].ravel() / 255 == pytest.approx(weights / WEIGHTS.max(), abs=1 / 255)


def test_the_curves_are_drawn(world):
    page, _ = world.write()
    paths = [values["d"] for tag, values in page.tags if tag == "path"]
    heights = [[float(point.split(",")[1]) for point in path[1:].split("L")] for path in paths]
    for line, values in zip(heights, world.history.values(), strict=True):
        scale = (line[0] - line[1]) / (values[0] - 2.0)
        assert [line[1] + scale * (value - 2.0) for value in values] == pytest.approx(line, abs=0.05)
    assert len(page.with_class("least")) == 1


def test_a_grid_that_is_no_square_is_left_out_and_said(world):
    world.outputs["explain"] = lambda image: {
        "words": tf.repeat([["a", "dog"]], tf.size(image), 0),
        "look": tf.zeros([tf.size(image), 2, 5]),
    }
    page, _ = world.write()
    assert page.with_class("glow") == []
    assert "The attention of 'explain' is not drawn: its 5 tokens are no square grid over the picture." in page.text


def test_padding_has_no_glow(world):
    world.outputs["explain"] = lambda image: {
        "words": tf.repeat([["dog", ""]], tf.size(image), 0),
        "look": tf.repeat(tf.constant(WEIGHTS), tf.size(image), 0),
    }
    page, _ = world.write()
    assert len(page.with_class("glow")) == 2


@pytest.mark.parametrize(
    ("answer", "text", "mark"), [(0.123456, "0.1235", None), ([1, 2, 3], "1, 2, 3", None), (7, "7", "wrong")]
)
def test_answers_that_are_numbers_are_shown(tmp_path, answer, text, mark):
    page, _ = World(tmp_path / "run", (answer, answer), (["x"], ["y"])).write()
    assert text in page.text
    assert [values.get("class") for tag, values in page.tags if tag == "li" and "title" in values] == [mark, mark]


def test_answers_that_are_pictures_are_shown(tmp_path):
    world = World(tmp_path / "run", (png(9), png(9)), (["x"], ["y"]))
    page, _ = world.write()
    row = json.loads(world.run.answers.read_text("utf-8").splitlines()[0])
    assert b64decode(row["answers"]["model"]["said"]["b64"]) == png(9)
    assert page.addresses.count(f"data:image/png;base64,{row['answers']['model']['said']['b64']}") == 2


def test_a_clip_is_shown_as_a_strip_of_its_frames(world):
    frames = [png(shade) for shade in range(0, 120, 10)]
    world.signatures = {"say": Signature(dict, answers={"said": "text"}, inputs=("clip",))}
    world.processors["clip"] = Text()
    world.processors["clip"].raw = tf.TensorSpec((None,), tf.string)
    for row in world.raw:
        row["clip"] = frames
    page, _ = world.write()
    shown = [b64decode(address.partition(",")[2]) for address in page.addresses]
    assert shown == [frames[1], frames[4], frames[7], frames[10]] * 2
    assert '"instances": [{"clip": ["TEXT"]}]' in page.text


def test_several_inputs_are_shown_and_asked_for(world):
    world.signatures = {"say": Signature(dict, answers={"said": "text"}, inputs=("image", "question"))}
    world.processors["question"] = Text()
    for row in world.raw:
        row["question"] = EVIL
    world.outputs["say"] = lambda image: {"said": image, "ok": tf.ones_like(image, tf.bool)}
    page, card = world.write()
    assert len(page.with_class("asked")) == 2
    assert f"mmzoo predict {world.run.folder} --image FILE --question TEXT" in page.text
    body = '{"signature_name": "say", "instances": [{"image": {"b64": "$(base64 < FILE)"}, "question": "TEXT"}]}'
    assert body in page.text
    assert body in card


def test_a_run_of_which_little_is_known(tmp_path):
    world = World(tmp_path / "run")
    world.plan = make_plan(about="", metrics=(), train=Train())
    world.scores.numbers, world.history, world.sizes, world.faults = {"model": {}}, None, {"train": 3}, {}
    world.signatures.pop("explain")
    page, card = world.write()
    assert "The recipe names no metric" in page.text
    assert "No losses are recorded." in page.text
    assert "the recipe names no metric" in card
    assert page.with_class("glow") == []


def test_a_run_without_any_answer(tmp_path):
    world = World(tmp_path / "run")
    world.scores = Scores("test", unreadable=4)
    page, card = world.write()
    assert "No example of the split “test” was answered" in page.text
    assert "4 of the split’s examples could not be read" in page.text
    assert "No example was scored." in card


def test_the_seconds_of_the_epochs_are_told_and_are_no_loss(world):
    world.history |= {"seconds": [60.0, 60.0, 33.0]}
    page, card = world.write()
    assert "2.5 min" in page.text
    assert "2.5 min" in card
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 1


def test_the_best_score_is_marked():
    rows = score_rows({"model": {"hits": 0.5, "distance": 3.0}, "nearest": {"hits": 0.5, "distance": 2.0}}, ["distance"])
    assert [cell.best for cell in rows["hits"]] == [True, True]
    assert [cell.best for cell in rows["distance"]] == [False, True]
    assert [cell.share for cell in rows["distance"]] == [1.0, pytest.approx(2 / 3)]


def test_a_score_without_a_rival_or_a_number_is_not_the_best():
    rows = score_rows({"model": {"alone": 1.0, "broken": float("nan")}, "nearest": {"broken": 1.0}})
    assert not any(cell.best for cells in rows.values() for cell in cells)
    assert [number(cell.value) for cell in rows["broken"]] == ["no number", "1.000"]
    assert number(rows["alone"][1].value) == "–"


def test_a_metric_says_that_less_is_better(world):
    world.scores.numbers = {"model": {"distance": 1.0}, "nearest": {"distance": 2.0}}
    page, card = world.write()
    assert len(page.with_class("best")) == 1
    assert "| distance | **1.000** | 2.000 |" in card
    assert "does better than the model" not in page.text


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.500"), (56.9437, "56.94"), (123.456, "123.5"), (None, "–")])
def test_numbers_can_be_read(value, text):
    assert number(value) == text
