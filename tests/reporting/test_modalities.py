"""A model of sounds and texts: baselines, report and card name its inputs, and speak of no other modality."""

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
from mmzoo.evaluation.evaluate import evaluate, evaluate_missing
from mmzoo.recipe.plan import BoundMetric, Input
from mmzoo.recipe.source import parse_recipe
from mmzoo.reporting.report import report
from mmzoo.run.atomic import write_json
from mmzoo.run.folder import Run

QUIET = Screen(quiet=True)


class Sound(Processor):
    """Sound as eight samples; its features have the shape of an RGB picture, which means nothing."""

    modality = "audio"

    from_file = True
    features = FeatureSpec(shape=[2, 2, 3], dtype="float32", vocabulary=None)

    def __call__(self, raw):
        samples = tf.strings.length(raw)[:, None, None, None]
        return Processed(tf.cast(samples, tf.float32) * tf.ones([2, 2, 3]), no_faults(raw))


class Ids(Text):
    """Text as its length."""

    features = FeatureSpec(shape=[1], dtype="int32", vocabulary=9)

    def __call__(self, raw):
        return Processed(tf.strings.length(raw)[:, None], no_faults(raw))

    def decode(self, values):
        raise NotImplementedError


class Hits:
    """Counts right answers."""

    def __init__(self):
        self.found = []

    def update(self, answer, references):
        self.found.append(answer in references)

    def result(self):
        return {"hits": float(np.mean(self.found))}


class Agreement:
    """Compares two embeddings."""

    def __init__(self):
        self.found = []

    def update(self, sound_embedding, caption_embedding):
        self.found.append(float(np.sum(sound_embedding * caption_embedding)))

    def result(self):
        return {"agreement": float(np.mean(self.found))}


def make_data(plan) -> Data:
    raw = {}
    for split, count in (("train", 6), ("test", 3)):
        columns = {name: [f"{name} {row % 3}" for row in range(count)] for name in ("sound", "caption", "answer")}
        columns |= {ROW: [f"{split} {row}" for row in range(count)], FAULT: [""] * count}
        raw[split] = RawSplit.of(tf.data.Dataset.from_tensor_slices(columns))
    processors = {"sound": Sound(), "caption": Ids(), "answer": Ids()}
    data = Data(plan, Card({}, about="Dogs that bark."), raw, processors)
    for split in raw:
        scan(data, split, QUIET)
    return data


def make_served(data: Data, functions, **signatures: Signature):
    specs = {name: tf.TensorSpec([None], tf.string, name=name) for name in data.processors}
    compiled = {
        name: tf.function(functions[name], input_signature=[specs[one] for one in signature.inputs])
        for name, signature in signatures.items()
    }
    return SimpleNamespace(
        answers=signatures,
        default=next(iter(signatures)),
        processors=data.processors,
        gallery=None,
        aliases={},
        functions=compiled,
        task_variables=[],
        spec=specs.get,
        specs=lambda name: {one: specs[one] for one in signatures[name].inputs},
        outputs=lambda name: compiled[name].get_concrete_function().structured_outputs,
        predict=lambda name, *raw: {key: value.numpy() for key, value in compiled[name](*map(tf.constant, raw)).items()},
    )


def plan_with(metric: type, *values: str):
    inputs = {name: Input(name, name, bound("processor", name), None) for name in ("sound", "caption", "answer")}
    return make_plan(
        recipe=parse_recipe("name: toy"),
        about="Hears dogs.",
        inputs=inputs,
        encoders={"sound": bound("encoder", "listen"), "caption": bound("encoder", "read")},
        metrics=(BoundMetric(bound("metric", "luck", f"{__name__}:{metric.__name__}"), {name: name for name in values}),),
    )


def write(folder, plan, served, data, missing: bool = False) -> tuple[str, str]:
    """Evaluates and reports; returns the text of the page and the card."""
    run = Run(folder)
    run.folder.mkdir()
    if missing:
        write_json(run.missing, {"split": "test", "share": 1, "scores": evaluate_missing(plan, served, data, QUIET)})
    report(plan, run, served, data, evaluate(plan, served, data, QUIET))
    return Page(run.report.read_text("utf-8")).text, run.card.read_text("utf-8")


@pytest.fixture
def answering(tmp_path) -> tuple[str, str]:
    plan = plan_with(Hits, "answer", "references")
    data = make_data(plan)
    signature = Signature(dict, answers={"said": "answer"}, inputs=("sound", "caption"))

    def say(sound, caption):
        return {"said": tf.where(caption == "", sound, "answer 1"), "ok": tf.ones_like(sound, tf.bool)}

    return write(tmp_path / "run", plan, make_served(data, {"say": say}, say=signature), data, missing=True)


@pytest.fixture
def embedding(tmp_path) -> tuple[str, str]:
    plan = plan_with(Agreement, "sound_embedding", "caption_embedding")
    data = make_data(plan)

    def embed(name):
        return lambda raw: {
            f"{name}_embedding": tf.ones([tf.size(raw), 2]),
            "ok": tf.ones_like(raw, tf.bool),
            "reason": tf.zeros_like(raw),
        }

    functions = {f"embed_{name}": embed(name) for name in ("sound", "caption")}
    signatures = {f"embed_{name}": Signature(dict, inputs=(name,)) for name in ("sound", "caption")}
    return write(tmp_path / "run", plan, make_served(data, functions, **signatures), data)


def check_words(texts: tuple[str, str], *expected: str) -> None:
    for text in texts:
        said = " ".join(text.split())
        assert all(sentence in said for sentence in expected)
        assert not [word for word in ("picture", "image", "pixel", "frame", "video") if word in said.lower()]


def test_a_model_that_answers(answering):
    check_words(
        answering,
        "the answer of the training example with the nearest sound, by the distance of the features, "
        "among those with the same caption if there are any.",
        "the most frequent answer of the training split to the same caption; no other input is read.",
    )
    page, card = answering
    assert "without sound" in page
    assert "| input | sound | audio | string | (batch,) |" in card
    assert "| input | caption | text | string | (batch,) |" in card


def test_a_model_that_embeds(embedding):
    check_words(
        embedding,
        "bags of words: each caption is embedded as its words, and each sound as the words of the caption of the training "
        "example with the nearest sound, by the distance of the features.",
    )
