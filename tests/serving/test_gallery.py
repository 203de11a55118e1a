"""What a served model searches: a split or a data set of its own, embedded as it is served, inside the exported model."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mmzoo.contracts.progress import Screen
from mmzoo.data.open import features_of, open_data
from mmzoo.errors import DataError, RecipeError, RunError
from mmzoo.modeling.assemble import assemble
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.discovery import discover
from mmzoo.run.folder import Run
from mmzoo.serving.entries import Entries, load_entries
from mmzoo.serving.gallery import collect, find
from mmzoo.serving.served import Served

QUIET = Screen(quiet=True)
RECIPE = """\
name: toy
data: {type: toy_squares, examples: 12}
inputs:
  image: {type: toy_pixels, field: bitmap}
  caption: {type: words, field: caption, sequence_length: 4}
encoders:
  image: toy_flat
  caption: toy_embedding
fusion: toy_project
head: {type: toy_match, pictures: test}
loss: toy_info_nce
"""


def opened(text):
    plan = resolve(parse_recipe(text, "r.yaml"), discover())
    data = open_data(plan, QUIET)
    task, _ = assemble(plan, features_of(data.processors))
    served = Served(task, data.processors)

    def made(**changes):
        wanted = replace(task.head.gallery, **changes)
        return collect(plan, served, wanted, data, QUIET)

    return SimpleNamespace(plan=plan, data=data, task=task, served=served, made=made)


@pytest.fixture(scope="module")
def toy(toy_world):
    return opened(RECIPE)


def raw(toy, name):
    return [example[name].numpy() for example in toy.data.raw["test"].examples()]


def test_an_entry_is_embedded_as_it_is_served(toy):
    entries = toy.made()
    pictures = toy.served.predict("embed_image", raw(toy, "image"))["image_embedding"]
    np.testing.assert_allclose(entries.embeddings, pictures, atol=1e-6)
    assert list(entries.texts["caption"]) == [text.decode() for text in raw(toy, "caption")]
    assert list(entries.texts["id"]) == [f"example {index}" for index in range(6)]


def test_a_field_may_name_the_entries(toy):
    assert toy.made(key="answer").texts["id"] == [example["answer"].numpy().decode() for example in splits(toy)["test"]]


def splits(toy):
    return toy.plan.dataset.splits()


def test_without_entries_nothing_is_searched(toy):
    assert "search" not in toy.served.answers
    assert toy.served.default == "embed"


def test_a_search_gives_the_nearest_entries(toy):
    served = Served(toy.task, toy.data.processors, entries := toy.made())
    assert served.default == "search"
    texts = [b"red top", b"blue bottom", b"never seen"]
    found = served.predict("search", texts)
    cosines = served.predict("embed_caption", texts)["caption_embedding"].astype("float64") @ entries.embeddings.T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :2]
    np.testing.assert_allclose(found["score"], np.take_along_axis(cosines, order, axis=1), atol=1e-5)
    captions = np.array(entries.texts["caption"])
    assert (captions[order] == np.char.decode(found["caption"].astype(bytes))).all()
    assert found["ok"].all()


def test_a_gallery_of_one_answers_one(toy):
    alone = Entries(np.ones((1, 8), "float32"), {"id": ["only"], "caption": ["a square"]})
    found = Served(toy.task, toy.data.processors, alone).predict("search", [b"red", b""])
    assert found["id"].tolist() == [[b"only"], [b"only"]]


def test_several_labels_are_read_for_each_picture(toy):
    pictures, names = raw(toy, "image")[:2], [["red top", "green middle", ""], ["blue", "red top", "green"]]
    cosine = toy.served.predict("name", pictures, names)["cosine"]
    image, text = (
        toy.served.predict("embed_image", pictures)["image_embedding"],
        toy.served.predict("embed_caption", [*names[0], *names[1]])["caption_embedding"],
    )
    expected = np.einsum("bd,bld->bl", image, text.reshape(2, 3, -1))
    expected[0, 2] = -1  # an empty label is absent
    np.testing.assert_allclose(cosine, expected, atol=1e-5)


def test_a_label_that_cannot_be_read_is_a_fault_of_its_row(toy):
    found = toy.served.predict("name", raw(toy, "image")[:2], [[b"\xff", b"red"], [b"", b"blue"]])
    assert found["ok"].tolist() == [False, True]
    assert found["reason"].tolist() == [b"labels: this is not UTF-8 text", b""]


def test_another_data_set_may_be_searched(toy_world):
    toy = opened(RECIPE.replace("pictures: test", "pictures: {type: toy_squares, examples: 4, seed: 9}"))
    other = discover().get("dataset", "toy_squares").load()(examples=4, seed=9).splits()
    captions = [example["caption"].numpy().decode() for split in other.values() for example in split]
    assert toy.made().texts["caption"] == captions
    assert toy.plan.plain()["head"]["pictures"]["type"] == "toy_squares"


def test_what_cannot_be_read_is_left_out_and_counted(toy, capsys):
    broken = {"bitmap": [b"x", raw(toy, "image")[0]], "caption": ["a", "b"]}
    dataset = SimpleNamespace(splits=lambda: {"test": tf.data.Dataset.from_tensor_slices(broken)})
    data = SimpleNamespace(plan=SimpleNamespace(dataset=dataset))
    skips = replace(toy.plan, on_error="skip")
    entries = collect(skips, toy.served, toy.task.head.gallery, data, Screen())
    assert entries.texts == {"id": ["example 1"], "caption": ["b"]}
    assert "gallery   left out 1 of 2 entries that cannot be read" in capsys.readouterr().out
    assert collect(skips, toy.served, toy.task.head.gallery, data, QUIET, most=1).texts == entries.texts
    with pytest.raises(DataError, match="example 0: image: this is no BMP picture"):
        collect(toy.plan, toy.served, toy.task.head.gallery, data, QUIET)


def test_entries_are_found_again_by_their_ids(toy):
    found = find(toy.plan, toy.served, toy.task.head.gallery, toy.data, {"example 2", "example 4"})
    assert {name: entry["image"].numpy() for name, entry in found.items()} == {
        "example 2": raw(toy, "image")[2],
        "example 4": raw(toy, "image")[4],
    }


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (
            "pictures: tset",
            "r.yaml:10:35  head.pictures: the data has no split 'tset'; expected train, validation, test, or a data set: "
            "a mapping with its `type`.",
        ),
        (
            "pictures: {type: toy_squares, examples: 0}",
            "r.yaml:10:65  head.pictures.examples: expected a number greater than 0, received 0.",
        ),
        ("pictures: {type: squares}", "r.yaml:10:42  head.pictures.type: no dataset named 'squares'."),
    ],
)
def test_a_wrong_gallery_is_a_fault_of_the_recipe(toy_world, head, text):
    with pytest.raises(RecipeError) as raised:
        resolve(parse_recipe(RECIPE.replace("pictures: test", head), "r.yaml"), discover())
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"key": "answre"}, "its gallery has no field 'answre'.\n  Nearest: answer."),
        (
            {"source": "other"},
            "its gallery is the split 'other', which the data does not have; it has train, validation, test.",
        ),
    ],
)
def test_a_gallery_that_the_data_has_not_is_a_fault_of_the_head(toy, changes, text):
    with pytest.raises(RecipeError) as raised:
        toy.made(**changes)
    assert str(raised.value).startswith(f"r.yaml:10:7  head: {text}")


def test_entries_are_kept_in_the_run(toy, tmp_path):
    run, entries = Run(tmp_path / "run"), toy.made()
    assert load_entries(run) is None
    entries.save(run)
    again = load_entries(run)
    np.testing.assert_array_equal(again.embeddings, entries.embeddings)
    assert again.texts == dict(entries.texts)
    (run.gallery / "texts.json").write_text("{", "utf-8")
    with pytest.raises(RunError, match="the gallery cannot be read"):
        load_entries(run)
