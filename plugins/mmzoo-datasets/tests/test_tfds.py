"""Any TFDS builder: its features as fields, what is wrong with a name or a split, and that the COCO recipe builds."""

import io
import json
import threading
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from mmzoo_datasets.tfds import TFDS
from PIL import Image

import mmzoo
from mmzoo import DataError, holding

RECIPE = Path(__file__).parents[3] / "recipes" / "coco" / "captioner.yaml"
EXAMPLES = 10


def jpeg(index: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (40, 30), (255 * (index % 2), 80, 10)).save(target, format="JPEG")
    return target.getvalue()


class MmzooFeatures(tfds.core.GeneratorBasedBuilder):
    """Something of each kind of feature."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = Path(__file__)

    def _info(self) -> tfds.core.DatasetInfo:
        parts = {"text": tfds.features.Text(), "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")}
        features = {
            "picture": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "picture/name": tfds.features.Text(),
            "kind": tfds.features.ClassLabel(names=["round", "square"]),
            "kinds": tfds.features.Sequence(tfds.features.ClassLabel(names=["round", "square"])),
            "parts": tfds.features.Sequence(parts),
            "clip": tfds.features.Video(shape=(None, 30, 40, 3)),
            "names": {"en": tfds.features.Text(), "deep": {"size": np.float32}},
            "vector": tfds.features.Tensor(shape=(3,), dtype=np.float32),
            "table": tfds.features.Tensor(shape=(2, 2), dtype=np.float32),
            "boxes": tfds.features.Sequence({"box": tfds.features.BBoxFeature()}),
            "steps": tfds.features.Dataset({"text": tfds.features.Text()}),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), homepage="https://shapes", license="CC0"
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(4), "test": self._generate_examples(2)}

    def _generate_examples(self, count):
        for index in range(count):
            yield (
                index,
                {
                    "picture": io.BytesIO(jpeg(index)),
                    "picture/name": f"{index}.jpg",
                    "kind": -1 if index == 3 else index % 2,
                    "kinds": ["square"] * index,
                    "parts": [{"text": f"part {part}", "picture": io.BytesIO(jpeg(part))} for part in range(index)],
                    "clip": [np.full((30, 40, 3), 50 * frame, np.uint8) for frame in range(2)],
                    "names": {"en": "a", "deep": {"size": 0.5}},
                    "vector": [1, 2, 3],
                    "table": [[1, 2], [3, 4]],
                    "boxes": [],
                    "steps": [],
                },
            )


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Prepares the data set, and gives its folder."""
    folder = str(tmp_path_factory.mktemp("shapes"))
    data = TFDS(name="mmzoo_features", data_dir=folder)
    assert data.card.needs.startswith(f"TFDS downloads and prepares 'mmzoo_features' in {folder}")
    assert data.card.sizes == {}
    data.prepare()
    return folder


def test_card(shapes):
    card = TFDS(name="mmzoo_features", data_dir=shapes).card
    assert card.fields == {
        "picture": "encoded picture, bytes",
        "picture/name": "text",
        "kind": "text",
        "kinds": "text; several",
        "parts/text": "text; several",
        "parts/picture": "encoded picture, bytes; several",
        "clip": "encoded picture, bytes; several",
        "names/en": "text",
        "names/deep/size": "float32",
        "vector": "float32; several",
    }
    left_out = "table (float32 of shape (2, 2)), boxes/box (float32 of shape (None, 4)), steps (nested)"
    assert card.about == f"TFDS mmzoo_features/1.0.0. Left out: {left_out}."
    assert (card.sizes, card.needs) == ({"train": 4, "test": 2}, "")
    assert (card.source, card.licence) == ("https://shapes", "CC0")


def test_values_stay_raw(shapes):
    data = TFDS(name="mmzoo_features", data_dir=shapes)
    train = data.splits()["train"]
    assert set(train.element_spec) == set(data.card.fields)
    assert train.element_spec["picture"] == tf.TensorSpec((), tf.string)
    assert [train.element_spec[name].shape.rank for name in ("clip", "parts/picture", "kinds", "kind")] == [1, 1, 1, 0]
    found = {int(row["picture/name"].numpy().decode()[0]): row for row in train}
    assert sorted(found) == [0, 1, 2, 3]
    row = {name: value.numpy() for name, value in found[2].items()}
    assert row["picture"] == jpeg(2)
    assert row["parts/text"].tolist() == [b"part 0", b"part 1"]
    assert row["parts/picture"].tolist() == [jpeg(0), jpeg(1)]
    assert row["kinds"].tolist() == [b"square", b"square"]
    assert [Image.open(io.BytesIO(frame)).getpixel((0, 0)) for frame in row["clip"]] == [(0, 0, 0), (50, 50, 50)]
    assert (row["names/en"], row["names/deep/size"], row["vector"].tolist()) == (b"a", 0.5, [1, 2, 3])
    assert [found[index]["kind"].numpy() for index in range(4)] == [b"round", b"square", b"round", b""]


def test_order_is_the_same_twice(shapes):
    splits = [TFDS(name="mmzoo_features", data_dir=shapes).splits()["train"] for _ in range(2)]
    first, second = ([row["picture/name"].numpy() for row in split] for split in splits)
    assert first == second


def test_slices(shapes):
    data = TFDS(name="mmzoo_features", data_dir=shapes, splits={"train": "train[:3]+test[:1]", "test": "train[75%:]"})
    assert data.card.sizes == {"train": 4, "test": 1}
    assert {name: sum(1 for _ in split) for name, split in data.splits().items()} == {"train": 4, "test": 1}


def test_prepared_data_is_left_alone(shapes, monkeypatch):
    monkeypatch.setattr(MmzooFeatures, "download_and_prepare", None)
    TFDS(name="mmzoo_features", data_dir=shapes).prepare()


def test_of_two_builds_that_need_the_same_data_one_waits_and_says_so(tmp_path, capsys):
    one, other = (TFDS(name="mmzoo_features", data_dir=str(tmp_path)) for _ in range(2))
    folder = tmp_path / "mmzoo_features" / "1.0.0"
    folder.parent.mkdir()
    printed, until = "", time.monotonic() + 120
    with holding(folder.with_name(".1.0.0.lock")):
        waiting = threading.Thread(target=other.prepare)
        waiting.start()
        while not printed and time.monotonic() < until:
            printed = capsys.readouterr().out
        assert printed.startswith(f"data      waits for another build, which prepares the data in {folder}: process ")
        assert not folder.exists()
        one.builder.download_and_prepare()
    waiting.join()
    assert other.card.sizes == {"train": 4, "test": 2}
    assert [path.name for path in folder.parent.iterdir()] == ["1.0.0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "coco_caption"}, "TFDS has no data set 'coco_caption'.\nNearest: coco_captions, "),
        ({"name": "mmzoo_features", "version": "9.9.9"}, "TFDS cannot open 'mmzoo_features': "),
        ({"name": "mmzoo_features", "config": "small"}, "TFDS cannot open 'mmzoo_features': "),
        ({"name": "no name"}, "TFDS cannot open 'no name': "),
        (
            {"name": "mmzoo_features", "splits": {"trian": "train"}},
            "option splits: there is no split 'trian'.\nNearest: train. Known: train, validation, test.",
        ),
        (
            {"name": "mmzoo_features", "splits": {"train": "trian[:2]"}},
            "option splits: TFDS' 'mmzoo_features' has no split 'trian[:2]'.\nNearest: train. Known: test, train.",
        ),
        (
            {"name": "mmzoo_features", "splits": {"test": "test"}},
            "option splits: there is no split to train on; those of TFDS' 'mmzoo_features' are test, train.\n"
            "Name it as in `splits: {train: test}`.",
        ),
    ],
)
def test_wrong_option(shapes, options, message):
    with pytest.raises(DataError) as caught:
        TFDS(data_dir=shapes, **options)
    assert str(caught.value).startswith(message)


def test_data_that_cannot_be_had(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("no route\n  to host")

    monkeypatch.setattr(MmzooFeatures, "_split_generators", fail)
    data = TFDS(name="mmzoo_features", data_dir=str(tmp_path))
    with pytest.raises(DataError) as caught:
        data.prepare()
    what = f"TFDS cannot prepare 'mmzoo_features' in {tmp_path}/mmzoo_features/1.0.0: ConnectionError: no route to host"
    advice = "Prepare it where that works (`tfds build mmzoo_features`), and pass that folder as `data_dir`."
    assert str(caught.value) == f"{what}\n{advice}"


# COCO


def test_coco_captions_has_the_fields_of_its_recipe(tmp_path):
    card = TFDS(name="coco_captions", data_dir=str(tmp_path)).card
    assert card.fields["image"] == "encoded picture, bytes"
    assert card.fields["captions/text"] == "text; several"
    assert str(tmp_path) in card.needs


def fake_coco(builder, *args, **kwargs):
    """Stands for the reading of COCO: the stored form of ten pictures with five captions each, decoded as TFDS would."""
    features, decoders = builder.info.features, kwargs["decoders"]

    def stored():
        for index in range(EXAMPLES):
            colour = ["green", "orange"][index % 2]
            example = {
                "image": io.BytesIO(jpeg(index)),
                "image/filename": f"{index}.jpg",
                "image/id": index,
                "objects": [],
                "captions": [{"id": number, "text": f"A {colour} wall, number {number}."} for number in range(5)],
            }
            yield features.serialize_example(example)

    serialized = tf.data.Dataset.from_generator(stored, output_signature=tf.TensorSpec((), tf.string))
    return serialized.map(lambda example: features.deserialize_example(example, decoders=decoders))


@pytest.mark.slow
def test_coco_recipe_trains(tmp_path, monkeypatch, unrehearsed):
    """The same parts are scored and exported in test_files.py."""
    monkeypatch.setattr(import_module("mmzoo.build"), "finish", lambda *_: None)
    splits = {"train": "train[:10]", "validation": "val[:10]", "test": "test[:10]"}
    overrides = [
        f"data.splits={json.dumps(splits)}",
        "inputs.image.size=32",
        "inputs.caption={type: words, field: captions/text, sequence_length: 4}",
        "encoders.image={type: resnet, blocks: [1], stem: 3}",
        "head.units=8",
        "train.epochs=1",
        "train.batch_size=5",
        "train.precision=float32",
    ]
    with tfds.testing.mock_data(as_dataset_fn=fake_coco):
        run = mmzoo.build(RECIPE, out=tmp_path / "run", overrides=overrides)
        first = next(iter(TFDS(name="coco_captions", splits=splits).splits()["test"]))
    assert np.isfinite(json.loads(run.history.read_text("utf-8"))["val_loss"]).all()
    assert first["captions/text"].numpy().tolist() == [f"A green wall, number {number}.".encode() for number in range(5)]
