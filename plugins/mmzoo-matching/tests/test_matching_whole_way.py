"""A dual encoder from recipe to answers: it is spoken of by its inputs' names, and bad input ends with one clear message."""

import json
from pathlib import Path

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import mmzoo
from mmzoo.cli.verbs import main

pytestmark = pytest.mark.slow

RECIPE = """\
name: pairs
data: {type: files, table: pairs.csv, split_column: split, on_error: skip}
inputs:
  photo: {type: image, field: image, size: 8}
  caption: {type: words, field: caption, sequence_length: 5}
encoders:
  photo: {type: vit, patch: 4, dim: 8, depth: 1, heads: 2}
  caption: {type: gru, dim: 4, units: 6}
fusion: {type: project, dim: 4}
head: {type: match, candidate: photo, query: caption, gallery: train, top_k: 50}
loss: [info_nce, sigmoid, {type: triplet, negatives: hardest}]
train: {epochs: 1, batch_size: 1, seed: 3}
metrics: [{type: recall, candidate: photo, query: caption}, {type: zero_shot_accuracy, label: caption}]
export: {examples: 2}
"""
ROWS = {  # of the third column, which no input reads, one cell is filled
    "red.png": "a square,train",
    "green.png": "a square,train",  # another picture of the same caption
    "copy.png": "a square,train",  # and the same pair twice
    "blue.png": "something blue,train",
    "grey.png": ",train",
    "white.png": "a square,validation",
    "black.png": "something blue,test",
}
COLOURS = {"red": (255, 0, 0), "copy": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "grey": (99, 99, 99)}
COLOURS |= {"white": (255, 255, 255), "black": (0, 0, 0)}


def picture(name: str) -> bytes:
    return tf.io.encode_png(np.full((8, 8, 3), COLOURS[name], "uint8")).numpy()


@pytest.fixture(scope="module")
def world(tmp_path_factory, unrehearsed, asked_here):
    """A working folder with a table of pairs and its recipe."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("pairs")
        patch.chdir(folder)
        for name in COLOURS:
            Path(f"{name}.png").write_bytes(picture(name))
        rows = [f"{name},{rest},{'正方形' if name == 'red.png' else ''}" for name, rest in ROWS.items()]
        Path("pairs.csv").write_text("\n".join(["image,caption,split,caption_zh", *rows]) + "\n", "utf-8")
        Path("r.yaml").write_text(RECIPE, "utf-8")
        yield folder


def run(*arguments: str, code: int) -> str:
    """Runs the command line and returns its output."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def built(world):
    """The output of a build in batches of one pair, with one pair in the validation split and one in the test split."""
    return run("build", "r.yaml", "--out", "run", code=0)


@pytest.fixture(scope="module")
def model(built):
    return mmzoo.load("run")


# Data


def test_a_row_without_a_caption_is_left_out_and_counted(built):
    fault = "pairs.csv:6: the column 'caption' is empty"
    assert f"data      left out 1 of the 5 examples of 'train':\n  {fault}\n" in built
    assert "gallery   left out 1 of 5 entries that cannot be read\n" in built


def test_a_row_without_a_caption_stops_a_build_that_leaves_nothing_out(world):
    assert run("build", "r.yaml", "--out", "stopped", "--set", "data.on_error=stop", code=2).endswith(
        "1 of the 5 examples of 'train' cannot be read.\n"
        "  pairs.csv:6: the column 'caption' is empty\n"
        "Repair or remove them, or leave them out with `on_error: skip` under `data`.\n"
    )
    assert not Path("stopped").exists()


# Batches of one


def test_batches_of_one_train_validate_and_score(built):
    history = json.loads(Path("run/history.json").read_text("utf-8"))
    for split in ("", "val_"):  # one pair has no negatives; the sigmoid loss counts the pair itself
        np.testing.assert_allclose([history[f"{split}info_nce"], history[f"{split}triplet"]], 0, atol=1e-6)
        assert 0 < history[f"{split}sigmoid"][0] < np.inf
    scores = json.loads(Path("run/scores.json").read_text("utf-8"))
    assert scores["rsum"] == 600  # with one pair the only answer is the right one
    assert scores["caption_to_photo_recall@1_chance"] == 1


# Names


def test_losses_metrics_and_signatures_are_named_after_the_inputs(built, model):
    assert {"info_nce", "sigmoid", "triplet"} <= set(json.loads(Path("run/history.json").read_text("utf-8")))
    scores = json.loads(Path("run/scores.json").read_text("utf-8"))
    assert scores["photo_to_caption_recall@1"] == scores["caption_to_photo_median_rank"] == 1
    assert 0 <= scores["zero_shot_accuracy"] <= 1
    assert not [name for name in scores if "image" in name or "text" in name]
    assert list(model.served.answers) == ["search", "search_by_photo", "embed_photo", "embed_caption", "zero_shot"]


# Answers


def test_a_text_without_words_is_answered_as_one(model):
    found = model.predict("search", caption=["", " ", "a square"])
    assert found["ok"].all()
    assert found["id"][0].tolist() == found["id"][1].tolist()
    np.testing.assert_array_equal(found["score"][0], found["score"][1])
    embedding = model.predict("embed_caption", caption=[""])["caption_embedding"]
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("signature", "raw"),
    [
        ("search", {"caption": ["something blue", "a square"]}),
        ("search_by_photo", {"photo": [picture("blue"), picture("red")]}),
        ("embed_photo", {"photo": [picture("blue"), picture("red")]}),
        ("embed_caption", {"caption": ["something blue", "a square"]}),
        ("zero_shot", {"photo": [picture("blue"), picture("red")], "labels": [["blue", "a square"], ["blue", "red"]]}),
    ],
)
def test_a_batch_of_one_is_answered_as_in_a_larger_one(model, signature, raw):
    both, alone = model.predict(signature, **raw), model.predict(signature, **{name: one[:1] for name, one in raw.items()})
    for name, values in alone.items():
        assert len(values) == 1
        close = np.testing.assert_allclose if values.dtype.kind == "f" else np.testing.assert_array_equal
        close(values[0], both[name][0], **({"atol": 1e-5} if values.dtype.kind == "f" else {}))


@pytest.mark.parametrize(
    ("signature", "raw", "query"),
    [
        ("search", {"caption": ["a square"]}, "caption_embedding"),
        ("search_by_photo", {"photo": [picture("green")]}, "photo_embedding"),
    ],
)
def test_a_small_gallery_is_answered_as_a_whole_with_each_of_the_same_captions(model, signature, raw, query):
    names = {"red": b"pairs.csv:2", "green": b"pairs.csv:3", "copy": b"pairs.csv:4", "blue": b"pairs.csv:5"}
    entries = model.predict("embed_photo", photo=list(map(picture, names)))["photo_embedding"].astype("float64")
    asked = model.predict("embed_caption" if "caption" in raw else "embed_photo", **raw)[query].astype("float64")
    cosines = (entries @ asked[0]).round(5)
    order = np.argsort(-cosines, kind="stable")  # the copy follows its original
    found = model.predict(signature, **raw)
    assert found["id"][0].tolist() == [list(names.values())[place] for place in order]
    captions = dict.fromkeys(names.values(), b"a square") | {b"pairs.csv:5": b"something blue"}
    assert found["caption"][0].tolist() == [captions[name] for name in found["id"][0]]
    np.testing.assert_allclose(found["score"][0], cosines[order], atol=1e-4)


def test_one_label_has_the_whole_score_and_no_label_none(model):
    found = model.predict("zero_shot", photo=[picture("red"), picture("blue")], labels=[["a square"], [""]])
    np.testing.assert_allclose(found["score"], [[1], [0]], atol=1e-6)
    assert found["ok"].all()


BROKEN = {b"": b"photo: there is no data", b"no picture": b"photo: this is not a JPEG, PNG, GIF or BMP picture"}
BROKEN |= {picture("red")[:-20]: b"photo: the picture's data is damaged"}


@pytest.mark.parametrize("signature", ["search_by_photo", "embed_photo", "zero_shot"])
def test_a_picture_that_cannot_be_read_is_a_fault_of_its_row(model, signature):
    pictures = [*BROKEN, picture("red"), picture("blue")]
    more = {"labels": [["a square", "blue"]]} if signature == "zero_shot" else {}
    found = model.predict(signature, photo=pictures, **{name: one * len(pictures) for name, one in more.items()})
    fine = model.predict(signature, photo=pictures[-2:], **{name: one * 2 for name, one in more.items()})
    assert found["ok"].tolist() == [False] * len(BROKEN) + [True] * 2
    assert found["reason"].tolist() == [*BROKEN.values(), b"", b""]
    for name, values in fine.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name][-2:], values, atol=1e-5)
            assert np.isfinite(found[name]).all()  # JSON has no other numbers
        else:
            np.testing.assert_array_equal(found[name][-2:], values)


# Encoders that cannot be made

ENCODERS = {
    "photo": ("7:10", "{type: vit, patch: 4, dim: 8, depth: 1, heads: 2}"),
    "caption": ("8:12", "{type: gru, dim: 4, units: 6}"),
}
"""Place and text of each encoder in the recipe."""


@pytest.fixture(scope="module")
def folders(world):
    """Weights for pictures of 12 x 12, and a file that holds no weights."""
    keras_hub.models.ViTBackbone((12, 12, 3), 4, 1, 1, 8, 8).save_to_preset("vit")
    config = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 8}
    more = {"model_type": "vit", "patch_size": 4, "num_channels": 3, "layer_norm_eps": 1e-6, "qkv_bias": True}
    more |= {"attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0}
    Path("damaged").mkdir()
    Path("damaged/config.json").write_text(json.dumps(config | more), "utf-8")
    Path("damaged/model.safetensors").write_bytes(b"no weights" * 8)


@pytest.mark.parametrize(
    ("name", "encoder", "message"),
    [
        (
            "photo",
            "{type: tfhub, module: 'https://modules.example/pictures/1'}",
            "the module 'https://modules.example/pictures/1' cannot be fetched or read: no route to host. "
            "Check the network, or give a folder that holds a SavedModel.",
        ),
        (
            "photo",
            "{type: tfhub, module: pictures}",
            "the module 'pictures' cannot be fetched or read: pictures does not exist. "
            "Check the network, or give a folder that holds a SavedModel.",
        ),
        (
            "photo",
            "{type: resnet, weights: resnet_50_imagenett}",
            "KerasHub has no preset 'resnet_50_imagenett' for this encoder, and there is no such folder. Nearest: ",
        ),
        (
            "caption",
            "{type: keras_hub, preset: bert_tiny_en_uncasd}",
            "KerasHub has no preset 'bert_tiny_en_uncasd' for this encoder, and there is no such folder. Nearest: ",
        ),
        (
            "caption",
            "{type: bert, weights: bert_tiny_en_uncasd}",
            "there is no preset and no folder 'bert_tiny_en_uncasd'. Nearest: bert_tiny_en_uncased, ",
        ),
        (
            "photo",
            "{type: vit, weights: vit}",
            "the preset 'vit' cannot be used here: its weights do not fit the shape asked for: "
            "'vit_patching_and_embedding/position_embedding/embeddings' is (10, 8) among the weights and (5, 8) in the model.",
        ),
        (
            "photo",
            "{type: vit, weights: damaged}",
            "the preset 'damaged' cannot be used here: Error while deserializing header: header too large.",
        ),
    ],
)
def test_an_encoder_that_cannot_be_made_is_a_fault_of_the_recipe(folders, monkeypatch, tmp_path, name, encoder, message):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    place, read = ENCODERS[name]
    Path("other.yaml").write_text(RECIPE.replace(read, encoder), "utf-8")
    found = run("check", "other.yaml", code=2)
    assert found.startswith(f"other.yaml:{place}  encoders.{name}: {message}")
    assert found.count("\n") == 1


def unreachable(*args, **kwargs):
    raise OSError("no route to host")
