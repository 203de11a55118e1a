"""Runs that began from presets, built from recipes: reopened, they answer as before when the presets are gone."""

import io
import json
import shutil
from pathlib import Path

import keras_hub
import numpy as np
import pytest
import sentencepiece

import mmzoo
from mmzoo.build import evaluate, export
from mmzoo.progress import Screen

RECIPE = """\
name: words
data: {type: files, table: texts.csv, files: [], split_column: split}
inputs:
  text: %s
  answer: {type: label, field: answer}
encoders:
  text: %s
head: {type: classify, target: answer}
loss: {type: cross_entropy}
train: {epochs: 1, batch: 4}
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
@pytest.mark.parametrize(
    ("preset", "read", "encoder"),
    [
        (
            xlm_roberta,
            "{type: preset_tokens, field: text, preset: preset, length: 8}",
            "{type: keras_hub, preset: preset, tokens: first}",
        ),
        (bert, "{type: wordpiece, field: text, vocabulary: preset, length: 8}", "{type: bert, weights: preset}"),
    ],
)
def test_a_run_is_evaluated_and_exported_without_its_preset(preset, read, encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    preset(Path("preset"))
    rows = [f"{colour} {form},{form},{split}" for split in ("train", "test") for colour in WORDS[:4:2] for form in WORDS[1:4:2]]
    Path("texts.csv").write_text("text,answer,split\n" + "\n".join(rows) + "\n", "utf-8")
    Path("r.yaml").write_text(RECIPE % (read, encoder), "utf-8")
    run = mmzoo.build("r.yaml", out="run", screen=Screen(quiet=True))
    scores, asked = run.load_json(run.scores), ["red square !", "! blue"]
    before = mmzoo.load(run).predict(text=asked)
    assert list(run.load_json(run.kept)) == ["text"]
    shutil.rmtree("preset")
    again = mmzoo.load(run)
    for name, value in again.predict(text=asked).items():
        np.testing.assert_array_equal(value, before[name])
    evaluate(again, Screen(quiet=True))
    assert json.loads(json.dumps(run.load_json(run.scores))) == scores
    assert export(again, Screen(quiet=True)).exists()
    if preset is xlm_roberta:
        return  # one training that is resumed is enough
    resumed = mmzoo.build("r.yaml", out="run", resume=True, overrides=["train.epochs=2"], screen=Screen(quiet=True))
    assert len(resumed.load_json(resumed.history)["loss"]) == 2
