"""A run that began from presets, built from a recipe: reopened, it answers as before when the presets are gone."""

import io
import json
import shutil
from importlib import import_module
from pathlib import Path

import keras_hub
import numpy as np
import pytest
import sentencepiece

import mmzoo
from mmzoo import FeatureSpec
from mmzoo.build import evaluate
from mmzoo.contracts.progress import Screen
from mmzoo.modeling.assemble import assemble
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.discovery import discover

pytestmark = pytest.mark.slow

RECIPE = """\
name: words
data: {type: files, table: texts.csv, files: [], split_column: split}
inputs:
  text: {type: preset_tokens, field: text, preset: xlm_roberta, sequence_length: 8}
  again: {type: wordpiece, field: text, vocabulary: bert, sequence_length: 8}
  answer: {type: label, field: answer}
encoders:
  text: {type: keras_hub, preset: xlm_roberta, tokens: first}
  again: {type: bert, weights: bert}
head: {type: classify, target: answer}
loss: {type: cross_entropy}
train: {epochs: 1, batch_size: 4, precision: mixed_bfloat16}
metrics: [accuracy]
export: {examples: 2}
"""
WORDS = ["red", "square", "blue", "circle", "!"]
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
WIDTH = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": 8}


def xlm_roberta(folder: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(WORDS * 5), model_writer=model, vocab_size=30, hard_vocab_limit=False, minloglevel=2
    )
    tokenizer = keras_hub.models.XLMRobertaTokenizer(model.getvalue())
    keras_hub.models.XLMRobertaBackbone(tokenizer.vocabulary_size(), **WIDTH).save_to_preset(folder)
    tokenizer.save_to_preset(folder)


def bert(folder: Path) -> None:
    keras_hub.models.BertBackbone(len(PIECES), **WIDTH).save_to_preset(folder)
    keras_hub.models.BertTokenizer(PIECES).save_to_preset(folder)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # KerasHub closes no SentencePiece file
def test_a_run_is_evaluated_and_exported_and_resumed_without_its_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    xlm_roberta(Path("xlm_roberta"))
    bert(Path("bert"))
    rows = [f"{colour} {form},{form},{split}" for split in ("train", "test") for colour in WORDS[:4:2] for form in WORDS[1:4:2]]
    Path("texts.csv").write_text("text,answer,split\n" + "\n".join(rows) + "\n", "utf-8")
    Path("r.yaml").write_text(RECIPE, "utf-8")
    with monkeypatch.context() as patch:
        for skipped in ("_rehearse", "export"):  # which take long; it is exported at the end
            patch.setattr(import_module("mmzoo.build"), skipped, lambda *_: None)
        run = mmzoo.build("r.yaml", out="run", screen=Screen(quiet=True))
    card = run.card.read_text("utf-8")
    for place, preset in (("inputs.text", "xlm_roberta"), ("encoders.text", "xlm_roberta"), ("encoders.again", "bert")):
        assert f"`{place}` started from the preset `{preset}`" in card
    scores, asked = run.load_json(run.scores), ["red square !", "! blue"]
    before = mmzoo.load(run).predict(text=asked, again=asked)
    assert list(run.load_json(run.backbone_configs)) == ["text", "again"]
    shutil.rmtree("xlm_roberta")
    shutil.rmtree("bert")
    again = mmzoo.load(run)
    assert {layer.compute_dtype for layer in again.task._flatten_layers()} == {"float32"}  # whatever it was trained in
    for name, value in again.predict(text=asked, again=asked).items():
        np.testing.assert_array_equal(value, before[name])
    evaluate(again, Screen(quiet=True))
    assert json.loads(json.dumps(run.load_json(run.scores))) == scores
    for skipped in ("_rehearse", "evaluate"):
        monkeypatch.setattr(import_module("mmzoo.build"), skipped, lambda *_: None)
    monkeypatch.setattr("mmzoo.serving.export._verify", lambda *_: None)
    resumed = mmzoo.build("r.yaml", out="run", resume=True, overrides=["train.epochs=2"], screen=Screen(quiet=True))
    assert len(resumed.load_json(resumed.history)["loss"]) == 2
    assert (resumed.export / "1/saved_model.pb").exists()


CLIPS = """\
name: clips
data: {type: files, table: clips.csv, files: []}
inputs:
  clip: {type: frames, field: frames, frames: 2, picture: {type: image, size: 16}}
  answer: {type: label, field: answer}
encoders: {clip: {type: frame_mean, encoder: {type: resnet, weights: resnet}}}
head: {type: classify, target: answer}
loss: {type: cross_entropy}
"""
SEEN = {
    "clip": FeatureSpec(shape=[2, 16, 16, 3], dtype="uint8", vocabulary=None, mask=[2]),
    "answer": FeatureSpec(shape=[], dtype="int32", vocabulary=2, labels=["a", "b"], counts=[1, 1]),
}


def test_an_encoder_in_an_encoder_is_made_again_of_what_it_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras_hub.models.ResNetBackbone([64], [3], [64], [1], [1], "basic_block", image_shape=(16, 16, 3)).save_to_preset("resnet")
    Path("clips.csv").write_text("frames,answer\n", "utf-8")
    plan = resolve(parse_recipe(CLIPS), discover())
    begun = assemble(plan, SEEN)[0].encoders["clip"]
    shutil.rmtree("resnet")
    again = assemble(plan, SEEN, {"clip": json.loads(json.dumps(begun.backbone_config))})[0].encoders["clip"]
    again.set_weights(begun.get_weights())
    clips = np.random.default_rng(0).integers(0, 256, (2, 2, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(again(clips)["tokens"], begun(clips)["tokens"])
