"""A model that draws pictures of texts: its report draws held-out texts by its signatures alone."""

import re
from base64 import b64decode
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hand_made_run import Page, Text, bound, make_plan

from mmzoo import Card, FeatureSpec, Processed, Processor, Signature, no_faults
from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.contracts.progress import Screen
from mmzoo.data.raw_split import RawSplit
from mmzoo.data.scan import scan
from mmzoo.data.splits import Data
from mmzoo.evaluation.scores import Scores
from mmzoo.recipe.plan import Input
from mmzoo.recipe.source import parse_recipe
from mmzoo.reporting.drawer import find_drawer
from mmzoo.reporting.generated import draw, epochs
from mmzoo.reporting.nearest import nearest_pictures
from mmzoo.reporting.report import report
from mmzoo.run.folder import Run

TEXTS = [f"a {size} {shape}" for size in ("large", "small") for shape in ("dot", "bar")]
PICTURE = {"image_bytes": "image"}


class Pixels(Processor):
    """PNG pictures of 2 by 2 pixels."""

    modality = "image"

    from_file = True
    features = FeatureSpec(shape=[2, 2, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw):
        pixels = tf.map_fn(lambda png: tf.ensure_shape(tf.io.decode_png(png, 3), (2, 2, 3)), raw, tf.uint8)
        return Processed(pixels, no_faults(raw))

    def decode(self, values):
        return tf.map_fn(tf.io.encode_png, values, fn_output_signature=tf.string)


def png(number: int) -> bytes:
    """Encodes a picture in which a number is written."""
    return tf.io.encode_png(np.full((2, 2, 3), [number // 256, number % 256, 7], "uint8")).numpy()


def number_of(uri: str) -> int:
    high, low, _ = tf.io.decode_png(b64decode(uri.partition(",")[2])).numpy()[0, 0]
    return 256 * int(high) + int(low)


class Painter:
    """A served model that numbers its pictures and remembers what each was asked for."""

    def __init__(self, data: Data, **signatures: Signature):
        self.answers, self.processors, self.gallery, self.asked = signatures, data.processors, None, []
        self.default, self.task_variables, self.aliases = next(iter(signatures)), [], {}
        self.functions = {name: lambda *raw, name=name: self.explain(name, *raw) for name in signatures}

    def predict(self, name, texts, seeds):
        assert seeds.dtype == np.int64
        first = len(self.asked)
        self.asked += [(name, text, seed) for text, seed in zip(texts, seeds.tolist(), strict=True)]
        return {"image_bytes": [png(number) for number in range(first, len(self.asked))]}

    def explain(self, name, texts, seeds):
        count = len(texts)
        looks = tf.tile(tf.reshape(tf.range(12.0) / 12, (1, 3, 4)), (count, 1, 1))
        words = tf.constant([["a", "dot", ""]] * count)
        return {"image_bytes": tf.constant([png(900)] * count), "tokens": words, "look": looks}

    def what(self, uri: str):
        return self.asked[number_of(uri)]

    def specs(self, name):
        text = {"caption": tf.TensorSpec((None,), tf.string)}
        return text if name == "plain" else text | {"seed": tf.TensorSpec((None,), tf.int64)}

    def outputs(self, name):
        return {"image_bytes": tf.TensorSpec((None,), tf.string)}


GENERATE = Signature(dict, decode=PICTURE, inputs=("caption", "seed"), seed="seed")
BLEND = replace(GENERATE, inputs=("captions", "seed"), reads={"captions": "caption"})
EXPLAIN = replace(GENERATE, attention="look", tokens={"tokens": "caption"})


def make_data() -> Data:
    inputs = {name: Input(name, name, bound("processor", name), None) for name in ("image", "caption")}
    plan = make_plan(recipe=parse_recipe("name: toy"), inputs=inputs, encoders={"caption": bound("encoder", "read")})
    raw = {}
    for split, texts in (("train", TEXTS[:3]), ("test", TEXTS)):
        columns = {"image": [png(1000 + 300 * row) for row in range(len(texts))], "caption": [[text, text] for text in texts]}
        columns |= {ROW: [f"{split} {row}" for row in range(len(texts))], FAULT: [""] * len(texts)}
        raw[split] = RawSplit.of(tf.data.Dataset.from_tensor_slices(columns))
    data = Data(plan, Card({}), raw, {"image": Pixels(), "caption": Text()})
    for split in raw:
        scan(data, split, Screen(quiet=True))
    return data


def scored(data: Data) -> Scores:
    answers = [{"model": {"image_bytes": png(1001 + 300 * row), "ok": True, "reason": ""}} for row in range(len(TEXTS))]
    rows = [{"row": f"test {row}", "references": {}, "answers": answer} for row, answer in enumerate(answers)]
    return Scores("test", {"model": {"distance": 0.5}}, rows=rows)


@pytest.fixture
def data() -> Data:
    return make_data()


def write(folder, data: Data, painter: Painter, plan=None) -> tuple[Page, str]:
    run = Run(folder)
    run.samples.mkdir(parents=True)
    for epoch in range(1, 21):
        run.sample(epoch).write_bytes(png(2000 + epoch))
    report(plan or data.plan, run, painter, data, scored(data))
    return Page(run.report.read_text("utf-8")), run.card.read_text("utf-8")


def test_a_signature_that_draws_is_found_by_what_it_takes_and_gives(data):
    plain = replace(GENERATE, inputs=("caption",), seed="")
    said = replace(GENERATE, decode={"said": "caption"})
    served = Painter(data, plain=plain, said=said, blend=BLEND, generate=GENERATE)
    assert find_drawer(served).signature == "generate"
    assert find_drawer(served, several=True).signature == "blend"
    assert find_drawer(Painter(data, plain=plain, said=said)) is None
    assert draw(Painter(data, plain=plain), data, scored(data)) is None


def test_each_picture_is_what_it_is_called(data):
    served = Painter(data, generate=GENERATE, blend=BLEND)
    drawn = draw(served, data, scored(data))
    for (caption,), pictures in drawn.seeds:
        assert [served.what(uri) for uri in pictures] == [("generate", caption, seed) for seed in range(8)]
    assert [row.captions for row in drawn.seeds] == [(text,) for text in TEXTS]
    assert len(drawn.changes) == 2
    for chain in drawn.changes:
        texts = [" ".join(" ".join(one[:3]).split()) for one in chain]
        assert [served.what(one.picture) for one in chain] == [("generate", text, 0) for text in texts]
        assert len({one.word for one in chain}) == len(chain)
    for (first, last), pictures in drawn.walks:
        lists = [[first] * (6 - step) + [last] * step for step in range(7)]
        assert [served.what(uri) for uri in pictures] == [("blend", texts, 0) for texts in lists]
    for seed, question in enumerate(drawn.quiz):
        assert served.what(question.picture) == ("generate", question.options[question.answer], seed)


def test_without_a_signature_of_lists_there_is_no_walk(data):
    assert draw(Painter(data, generate=GENERATE), data, scored(data)).walks == []


def test_epochs_are_spread_evenly_up_to_the_last(tmp_path):
    run = Run(tmp_path)
    assert epochs(run) == []
    run.samples.mkdir()
    for epoch in (*range(1, 4), 1000):
        run.sample(epoch).write_bytes(png(epoch))
    assert [(epoch, number_of(uri)) for epoch, uri in epochs(run)] == [(one, one) for one in (1, 2, 3, 1000)]
    for epoch in range(4, 21):
        run.sample(epoch).write_bytes(png(epoch))
    assert [epoch for epoch, _ in epochs(run)] == [1, 4, 7, 10, 12, 15, 18, 1000]


def test_the_nearest_training_picture_is_nearest_in_its_pixels(data):
    pictures = [png(1300), png(1250), png(60000)]
    values = {number: np.array([number // 256, number % 256, 7]) / 255 for number in (1000, 1300, 1600, 1250, 60000)}
    found = nearest_pictures(data, "image", pictures)
    for (picture, distance), number in zip(found, (1300, 1250, 60000), strict=True):
        distances = {one: np.sqrt(np.mean((values[one] - values[number]) ** 2)) for one in (1000, 1300, 1600)}
        nearest = min(distances, key=distances.get)
        assert picture == png(nearest)
        assert distance == pytest.approx(distances[nearest], abs=1e-6)


def test_a_split_without_training_pictures_has_no_nearest_one(data):
    del data.raw["train"]
    assert nearest_pictures(data, "image", [png(1)]) == []


def test_each_example_shows_the_drawn_the_true_and_the_nearest_picture(tmp_path, data):
    page, _ = write(tmp_path / "run", data, Painter(data, generate=GENERATE))
    numbers = [number_of(uri) for uri in page.addresses[:6]]
    assert numbers == [1001, 1000, 1000, 1301, 1300, 1300]
    assert page.text.count("nearest in training, 0.00") == 3  # the fourth picture is not in the training split


def test_a_model_that_takes_no_seed_still_shows_the_pictures_of_its_examples(tmp_path, data):
    page, _ = write(tmp_path / "run", data, Painter(data, plain=replace(GENERATE, inputs=("caption",), seed="")))
    assert page.text.count("nearest in training") == len(TEXTS)
    assert "seeds" not in page.text.partition("By epoch")[0]
    assert "Same seed, changing words" not in page.text


def test_the_page_shows_all_that_is_drawn(tmp_path, data):
    page, _ = write(tmp_path / "run", data, Painter(data, generate=GENERATE, blend=BLEND, explain=EXPLAIN))
    said = " ".join(page.text.split())
    headings = ("By epoch", "One caption, 8 seeds", "Same seed, changing words", "A walk between two texts")
    assert all(heading in said for heading in (*headings, "Which caption was drawn?"))
    assert [values for tag, values in page.tags if tag == "mark"]
    assert len(page.with_class("chain")) == 2
    assert "By chance one gets 1 of 4 right." in said
    assert "Attention weights of each token of the caption over the places of the drawn picture." in said
    assert {number_of(re.search(r"url\((.*)\)", one["style"])[1]) for one in page.with_class("tokens")} == {900}
    assert len(page.with_class("overlay")) == 2 * len(TEXTS)  # padding has none


def test_the_report_says_what_the_model_started_from(tmp_path, data):
    started = replace(bound("encoder", "read"), start="damsm/encoders.caption")
    plan = replace(data.plan, needs={"damsm": "damsm.yaml"}, encoders={"caption": started})
    page, card = write(tmp_path / "run", data, Painter(data, generate=GENERATE), plan)
    assert "encoders.caption from damsm/encoders.caption" in " ".join(page.text.split())
    assert "It needs the runs of these recipes: damsm.yaml, called damsm." in " ".join(page.text.split())
    assert "- `encoders.caption` started from `damsm/encoders.caption`, a part of another run" in card
    assert "- Needs the runs of: `damsm.yaml` (damsm)\n" in card


def test_a_run_that_draws_nothing_says_nothing_of_drawing(tmp_path, data):
    served = SimpleNamespace(answers={}, processors={})
    assert find_drawer(served) is None
    assert draw(served, data, scored(data)) is None
