"""A run with hand-made answers, and a reader of its page."""

from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from mmzoo import Card, FeatureSpec, Processed, Processor, Signature, no_faults
from mmzoo.contracts.dataset import FAULT, ROW
from mmzoo.data.raw_split import RawSplit
from mmzoo.data.splits import Data
from mmzoo.evaluation.scores import Scores
from mmzoo.recipe.plan import BoundComponent, BoundLoss, BoundMetric, Input, Plan
from mmzoo.recipe.settings import Evaluate, Export, Train
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.catalog import Component, Plugin
from mmzoo.reporting.report import report
from mmzoo.run.atomic import write_json
from mmzoo.run.folder import Run

EVIL = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "line", "circle", "path"}
WEIGHTS = np.linspace(0.1, 0.9, 8, dtype="float32").reshape(1, 2, 4)


class Page(HTMLParser):
    """Parses a page, checks that its tags are well-formed, and keeps what the tests need."""

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
    """Images of 4 by 4 pixels."""

    modality = "image"

    from_file = True
    features = FeatureSpec(shape=[4, 4, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw):
        return Processed(tf.zeros([tf.size(raw), 4, 4, 3], tf.uint8), no_faults(raw))

    def decode(self, values):
        return tf.map_fn(tf.io.encode_png, values, fn_output_signature=tf.string)


class Text(Processor):
    """Text, unchanged."""

    modality = "text"

    features = FeatureSpec(shape=[9], dtype="string", vocabulary=17)

    def __call__(self, raw):
        return Processed(raw, no_faults(raw))

    def decode(self, values):
        return values


class Distance:
    """A metric whose lower values are better."""

    lower_is_better = ("distance",)


def png(shade: int) -> bytes:
    return tf.io.encode_png(np.full((5, 5, 3), shade, "uint8")).numpy()


def bound(kind: str, name: str, target: str = "nowhere:Nothing") -> BoundComponent:
    return BoundComponent(Component(kind, name, target, Plugin("mmzoo-toy", "0.3", "toy")), {}, None)


def make_plan(**changes) -> Plan:
    column = Input("image", "image", bound("processor", "picture"), None)
    parts = {
        "recipe": parse_recipe(f"name: toy  # {EVIL}"),
        "name": "toy",
        "needs": {},
        "about": "Says what it sees.",
        "data": bound("dataset", "toys"),
        "on_error": "skip",
        "dataset": None,
        "inputs": {"image": column, "text": Input("text", "text", bound("processor", "text"), None)},
        "encoders": {"image": bound("encoder", "look")},
        "trainable": {"image": True},
        "fusion": None,
        "head": bound("head", "say"),
        "gallery": None,
        "losses": (BoundLoss(bound("loss", "blame"), {}),),
        "metrics": (BoundMetric(bound("metric", "distance", f"{__name__}:Distance"), {}),),
        "train": Train(backend="jax", seed=41),
        "evaluate": Evaluate(),
        "export": Export(),
    }
    return Plan(**parts | changes)


class World:
    """A run with hand-made answers: two images, the second of which is answered wrongly."""

    def __init__(self, folder, answers=("a dog", EVIL), references=(["a dog"], ["a cat", "one cat"])):
        self.plan, self.run = make_plan(), Run(folder)
        self.processors = {"image": Picture(), "text": Text()}
        self.signatures = {
            "say": Signature(dict, answers={"said": "text"}, inputs=("image",)),
            "explain": Signature(dict, tokens={"words": "text"}, attention="look", inputs=("image",)),
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
        self.scores.baselines = {"nearest": "the answer of the nearest example", "most_frequent": "always the same"}
        for row, (answer, several) in enumerate(zip(answers, references, strict=True)):
            found = {"row": f"row {row}", "references": {"text": several}}
            self.scores.rows.append(found | {"answers": {"model": {"said": answer, "ok": True, "reason": ""}}})
        self.sizes, self.faults = {"train": 3, "test": 2}, {"test": [f"row 9: {EVIL}"], "train": []}
        self.history = {"loss": [4.0, 2.0, 1.0], "val_loss": [3.0, 2.0, 2.5]}
        self.missing = None

    def write(self) -> tuple[Page, str]:
        """Writes the report; returns the page and the card."""
        self.run.folder.mkdir()
        if self.history is not None:
            write_json(self.run.history, self.history)
        if self.missing is not None:
            write_json(self.run.missing, self.missing)
        spec = [tf.TensorSpec([None], tf.string, name="image")]
        served = SimpleNamespace(
            answers=self.signatures,
            default=next(iter(self.signatures)),
            processors=self.processors,
            gallery=None,
            predict=None,
            functions={name: tf.function(self.outputs[name], input_signature=spec) for name in self.signatures},
            task_variables=[tf.Variable(tf.zeros([30, 40])), tf.Variable(tf.zeros([4])), tf.Variable([1, 2])],
            spec=lambda name: tf.TensorSpec([None], tf.string, name=name),
        )
        served.specs = lambda name: {one: served.spec(one) for one in served.answers[name].inputs}
        served.outputs = lambda name: served.functions[name].get_concrete_function().structured_outputs
        columns = {name: [row[name] for row in self.raw] for name in self.raw[0]} if self.raw else {}
        raw = {self.scores.split: RawSplit.of(tf.data.Dataset.from_tensor_slices(columns))} if columns else {}
        card = Card({}, about="Toys & more.", source="the attic", licence="CC0")
        report(self.plan, self.run, served, Data(self.plan, card, raw, self.processors, self.sizes, self.faults), self.scores)
        return Page(self.run.report.read_text("utf-8")), self.run.card.read_text("utf-8")
