"""A model of sounds and captions is spoken of as sounds and captions, from the recipe to the served signatures."""

import json
from pathlib import Path

import numpy as np
import pytest

import mmzoo
from mmzoo.contracts.progress import Screen

pytestmark = pytest.mark.slow

RECIPE = """\
name: sounds
data: {type: files, table: sounds.csv, files: [], split_column: split}
inputs:
  sound: {type: words, field: notes, sequence_length: 4}
  caption: {type: words, field: caption, sequence_length: 4}
encoders:
  sound: {type: gru, dim: 4, units: 6}
  caption: {type: gru, dim: 4, units: 6}
fusion: {type: project, dim: 4}
head: {type: match, candidate: sound, query: caption, gallery: test, top_k: 2}
loss: [info_nce, sigmoid, triplet]
train: {epochs: 1, batch_size: 2, seed: 3}
metrics: [{type: recall, candidate: sound, query: caption}, {type: zero_shot_accuracy, label: caption}]
export: {examples: 2}
"""
ROWS = ["c d e,a scale,train", "g g g,a drone,train", "c e g,a chord,train", "e d c,a fall,train"]
ROWS += ["c d e,a scale,validation", "g g g,a drone,test", "c e g,a chord,test", "e d c,a fall,test"]


@pytest.fixture(scope="module")
def built(tmp_path_factory, unrehearsed, asked_here):
    """The run of a recipe whose inputs are called `sound` and `caption`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("sounds"))
        Path("sounds.csv").write_text("\n".join(["notes,caption,split", *ROWS]) + "\n", "utf-8")
        Path("r.yaml").write_text(RECIPE, "utf-8")
        yield mmzoo.build("r.yaml", out="run", screen=Screen(quiet=True))


def test_losses_find_their_tensors(built):
    history = json.loads(built.history.read_text("utf-8"))
    assert {"info_nce", "sigmoid", "triplet"} <= set(history)
    assert np.isfinite([history[name] for name in ("info_nce", "sigmoid", "triplet")]).all()


def test_metrics_find_their_tensors_and_name_their_numbers(built):
    scores = json.loads(built.scores.read_text("utf-8"))
    assert 0 <= scores["sound_to_caption_recall@1"] <= 1
    assert 1 <= scores["caption_to_sound_median_rank"] <= 3
    assert 0 <= scores["zero_shot_accuracy"] <= 1
    assert not [name for name in scores if "image" in name or "text" in name]


def test_signatures_and_outputs_are_named_after_the_inputs(built):
    model = mmzoo.load(built.folder)
    assert list(model.served.answers) == ["search", "search_by_sound", "embed_sound", "embed_caption", "zero_shot"]
    sound = model.predict("embed_sound", sound=["g g g"])["sound_embedding"]
    caption = model.predict("embed_caption", caption=["a drone"])["caption_embedding"]
    assert sound.shape == caption.shape == (1, 4)
    entries = model.predict("embed_sound", sound=["g g g", "c e g", "e d c"])["sound_embedding"]
    for signature, raw, query in (
        ("search", {"caption": ["a drone"]}, caption),
        ("search_by_sound", {"sound": ["g g g"]}, sound),
    ):
        found = model.predict(signature, **raw)
        np.testing.assert_allclose(found["score"][0], np.sort(entries @ query[0])[::-1][:2], atol=1e-5)
