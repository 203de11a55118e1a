"""The page and the card of a run say what is in its scores, safely, and whatever is missing."""

import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
import tensorflow as tf
from hand_made_run import EVIL, WEIGHTS, Text, World, bound, make_plan, png

from mmzoo import EncoderPart, Preset, Signature
from mmzoo.evaluation.scores import Scores
from mmzoo.recipe.settings import Train
from mmzoo.reporting.report import number, score_rows


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
    assert "nearest: the answer of the nearest example." in page.text
    assert "- `nearest`: the answer of the nearest example." in card


def test_the_facts_of_the_training(world):
    page, card = world.write()
    for said in (page.text, card):
        assert "1,204" in said  # the weights that are no whole numbers
        assert "jax" in said
        assert "CC0" in said
    assert "seed 41" in card
    assert ALONE in card
    assert "Of all 2 answers, 1 are correct (50 %)." in page.text


class Tuned:
    """An encoder that starts from a preset, or from an encoder inside it."""

    def __init__(self, *, weights: Preset | None = None, inner: EncoderPart | None = None):
        self.weights, self.inner = weights, inner


ALONE = "- All weights began as random numbers, and learned from the data above alone"


def test_the_card_says_where_the_weights_came_from(world):
    head, tuned = world.plan.head, bound("encoder", "tuned", f"{__name__}:Tuned")
    inner = replace(tuned, options={"weights": "vit_b_16", "inner": None})
    outer = replace(tuned, options={"weights": None, "inner": inner})
    world.plan = replace(world.plan, encoders={"image": outer}, head=replace(head, start="early/head"))
    page, card = world.write()
    assert "`encoders.image.inner` started from the preset `vit_b_16`, which others have trained on other data." in card
    assert "`head` started from `early/head`, a part of another run, whose card says where its weights came from" in card
    assert ALONE not in card
    assert "encoders.image.inner from the preset vit_b_16" in page.text


def test_nothing_is_loaded_from_elsewhere(world):
    page, _ = world.write()
    assert page.addresses
    assert all(address.startswith("data:image/") for address in page.addresses)
    text = world.run.report.read_text("utf-8")
    assert re.findall(r"url\((?!data:image/)|@import|https?://(?!localhost:8501/)", text) == []
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base"} == set()


def test_what_others_wrote_is_escaped(world):
    world.plan = make_plan(about=f"{EVIL} | *x*")
    page, card = world.write()
    assert page.text.count(EVIL) == 5  # what it is for, an answer, its confusion, a fault, the recipe
    assert "&lt;script&gt;alert('x')&lt;/script&gt; \\| \\*x\\*" in card
    assert "<script" not in card


def test_a_wrong_answer_stands_beside_its_references(world):
    page, _ = world.write()
    items = [values.get("class") for tag, values in page.tags if tag == "li" and "title" in values]
    assert items == ["correct", "wrong"]
    assert len(page.with_class("reference")) == 2
    assert "a cat" in page.text


def test_pictures_are_shown_as_they_were_given(world):
    page, _ = world.write()
    pictures = [b64decode(address.partition(",")[2]) for address in page.addresses]
    assert pictures[:2] == [png(0), png(50)]


def test_the_glow_follows_the_weights(world):
    page, _ = world.write()
    glows = [tf.io.decode_png(b64decode(values["src"].partition(",")[2])) for values in page.with_class("overlay")]
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
    assert len(page.with_class("lowest")) == 1


def test_a_grid_that_is_no_square_is_left_out_and_said(world):
    world.outputs["explain"] = lambda image: {
        "words": tf.repeat([["a", "dog"]], tf.size(image), 0),
        "look": tf.zeros([tf.size(image), 2, 5]),
    }
    page, _ = world.write()
    assert page.with_class("overlay") == []
    assert "The attention of 'explain' is not drawn: its 5 regions do not form a square grid over the image." in page.text


def test_attention_is_drawn_over_an_image_alone(world):
    world.processors["image"].modality = "audio"
    page, _ = world.write()
    assert page.with_class("overlay") == []
    said = (
        "The attention of 'explain' is not drawn: expected exactly one input of the modality 'image', received image (audio)."
    )
    assert said in page.text


def test_the_signatures_show_the_modality_of_each_input(world):
    _, card = world.write()
    assert "| input | image | image | string | (batch,) |" in card
    assert "| output | said |  | string | (batch,) |" in card
    assert "<td>image</td><td>image</td><td>string</td><td>(batch,)</td>" in world.run.report.read_text("utf-8")


def test_the_glow_lies_on_the_picture_as_the_model_sees_it(world):
    page, _ = world.write()
    styles = [values["style"] for values in page.with_class("tokens")]
    seen = tf.io.encode_png(tf.zeros([4, 4, 3], tf.uint8)).numpy()  # what the processor makes of any picture
    assert styles == [f"--image: url(data:image/png;base64,{b64encode(seen).decode()})"] * 2


def test_padding_has_no_glow(world):
    world.outputs["explain"] = lambda image: {
        "words": tf.repeat([["dog", ""]], tf.size(image), 0),
        "look": tf.repeat(tf.constant(WEIGHTS), tf.size(image), 0),
    }
    page, _ = world.write()
    assert len(page.with_class("overlay")) == 2


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
    assert len(page.with_class("text")) == 2
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
    assert page.with_class("overlay") == []


def test_a_run_without_any_answer(tmp_path):
    world = World(tmp_path / "run")
    world.scores = Scores("test", unreadable=4)
    page, card = world.write()
    assert "No example of the split “test” was answered" in page.text
    assert "4 further examples of this split could not be read, and are not scored." in page.text
    assert "No example was scored." in card


def test_the_seconds_of_the_epochs_are_told_and_are_no_loss(world):
    world.history |= {"seconds": [60.0, 60.0, 33.0]}
    page, card = world.write()
    assert "2.5 min" in page.text
    assert "2.5 min" in card
    assert len([tag for tag, _ in page.tags if tag == "svg"]) == 1


def test_the_best_score_is_marked():
    numbers = {"model": {"hits": 0.5, "distance": 3.0}, "nearest": {"hits": 0.5, "distance": 2.0}, "chance": {"hits": 0.1}}
    rows = score_rows(numbers, ["distance"])
    assert [cell.best for cell in rows["hits"]] == [True, True, False]
    assert [cell.best for cell in rows["distance"]] == [False, True, False]
    assert [cell.share for cell in rows["distance"]] == [1.0, pytest.approx(2 / 3), 0.0]


def test_where_all_do_as_well_none_is_the_best():
    rows = score_rows({"model": {"unknown": 0.0}, "nearest": {"unknown": 0.0}})
    assert [cell.best for cell in rows["unknown"]] == [False, False]


def test_a_score_without_a_rival_or_a_number_is_not_the_best():
    rows = score_rows({"model": {"alone": 1.0, "broken": float("nan")}, "nearest": {"broken": 1.0}})
    assert not any(cell.best for cells in rows.values() for cell in cells)
    assert [number(cell.value) for cell in rows["broken"]] == ["no number", "1.000"]
    assert number(rows["alone"][1].value) == "–"


def test_a_metric_says_that_less_is_better(world):
    world.scores.numbers = {"model": {"distance": 1.0}, "nearest": {"distance": 2.0}}
    world.scores.lower_is_better = ["distance"]
    page, card = world.write()
    assert len(page.with_class("best")) == 1
    assert "| distance | **1.000** | 2.000 |" in card
    assert "scores better than the model" not in page.text


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.500"), (56.9437, "56.94"), (123.456, "123.5"), (None, "–")])
def test_numbers_can_be_read(value, text):
    assert number(value) == text


def test_the_scores_with_inputs_missing_stand_in_a_table_of_their_own(tmp_path):
    world = World(tmp_path / "run")
    scores = {"all": {"hits": 0.75, "hits_low": 0.7, "hits_high": 0.8}, "without sound": {"hits": 0.5}}
    world.missing = {"split": "test", "share": 0.5, "scores": scores}
    world.write()
    said = " ".join(re.sub("<[^>]+>", " ", world.run.report.read_text("utf-8")).split())
    assert "Scores of the model on the split “test” with an input missing in 50 % of the examples." in said
    assert "metric all without sound hits 0.750 0.500" in said
