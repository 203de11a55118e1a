"""From recipes to served pictures: text encoder, first stage, second stage and AttnGAN, each from the one before it."""

import re
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmzoo
from mmzoo.contracts.progress import Screen
from mmzoo.run.folder import Run

pytestmark = pytest.mark.slow

RECIPES = Path(__file__).parents[3] / "recipes" / "shapes"
SMALLER = {
    r"data: .*": "data: {type: shapes, size: 32, pictures: 30, data_dir: data}",
    r"needs: +\{reader: reader.yaml\}\n": "",  # the text encoder is DAMSM's own
    r", weights: reader/encoders.caption, trainable: false(?=\}\nhead: +\{type: damsm)": "",
    r", (clip|judge): \w+\.yaml": "",
    r"reader": "damsm",
    r"epochs: \d+": "epochs: 1",
    r"batch_size: \d+": "batch_size: 10",
    r"dim: 64, units: 64": "dim: 4, units: 4",
    r"dim: 128": "dim: 8",
    r"(?<=width: )\d+": "4",
    r"(noise|condition): \d+": r"\1: 4",
    r"mismatches: \d+": "mismatches: 1",
    r"\n  (question|answer|asked|count): .*": "",
    r"metrics:[\s\S]*": "metrics: []\n",
}
"""What is replaced in the recipes, so that they build in seconds."""
TEXTS = {"plain": "a red circle", "same": "a red circle", "empty": "", "unknown": "qwertz uiop", "long": "red " * 60}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, unrehearsed, asked_here):
    """Builds the two recipes that need the others, and finishes AttnGAN's alone; gives the folder of all runs."""
    module = import_module("mmzoo.build")
    finish = module.finish

    def finish_one(run: Run, *rest: Any) -> None:
        if run.folder.name == "shapes-attngan":
            finish(run, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("world"))
        patch.setattr(module, "finish", finish_one)
        for name in ("damsm", "stackgan_stage1", "stackgan", "attngan"):
            text = (RECIPES / f"{name}.yaml").read_text("utf-8")
            for pattern, smaller in SMALLER.items():
                text = re.sub(pattern, smaller, text)
            Path(f"{name}.yaml").write_text(text, "utf-8")
        for name in ("stackgan", "attngan"):
            mmzoo.build(f"{name}.yaml", screen=Screen(quiet=True))
        yield Path("runs").absolute()


def weights(run: Path, part: str) -> dict[str, np.ndarray]:
    """Reads the trained weights of a part: path below it -> values."""
    found = {}

    def read(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and path.startswith(part):
            found[path.removeprefix(part)] = item[()]

    with h5py.File(Run(run).weights) as file:
        file.visititems(read)
    assert found, part
    return found


def served(runs: Path, signature: str, texts: list[str], seeds: list[int]) -> dict[str, np.ndarray]:
    answer = tf.saved_model.load(str(runs / "shapes-attngan" / "export" / "1")).signatures[signature]
    given = {"caption": tf.constant(texts), "seed": tf.constant(seeds, "int64")}
    return {name: value.numpy() for name, value in answer(**given).items()}


@pytest.mark.parametrize(
    ("run", "part", "need", "theirs"),
    [
        ("shapes-stackgan-stage1", "encoders/caption", "shapes-damsm", "encoders/caption"),
        ("shapes-stackgan", "head/stage1", "shapes-stackgan-stage1", "head/generator"),
        ("shapes-attngan", "head/picture_encoder", "shapes-damsm", "encoders/image"),
        ("shapes-attngan", "head/damsm", "shapes-damsm", "head"),
    ],
)
def test_a_part_of_a_needed_run_is_the_same_after_training(runs, run, part, need, theirs):
    own, first = weights(runs / run, part), weights(runs / need, theirs)
    assert own.keys() == first.keys()
    for path, values in own.items():
        np.testing.assert_array_equal(values, first[path], err_msg=path)


def test_a_text_is_read_with_the_vocabulary_of_the_run_that_its_encoder_comes_from(runs):
    words = [runs / run / "processors" / name for run, name in (("shapes-damsm", "caption"), ("shapes-attngan", "mismatched"))]
    texts = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in words]
    assert texts[0] == texts[1] != {}


def test_any_text_and_any_seed_give_a_picture(runs):
    seeds = [3, 3, -(2**63), 2**63 - 1, 0]
    drawn = served(runs, "generate", list(TEXTS.values()), seeds)["image_bytes"]
    for png in drawn:
        picture = Image.open(BytesIO(png))
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (32, 32))
    assert drawn[0] == drawn[1] != drawn[3]
    assert served(runs, "generate", [TEXTS["plain"]], [3])["image_bytes"][0] == drawn[0]
    cut = served(runs, "generate", ["red " * 20], [0])["image_bytes"][0]
    assert cut == drawn[4]  # words after the recipe's `sequence_length` do not count


def test_attention_tells_which_words_were_looked_at_and_none_of_the_padding(runs):
    answer = served(runs, "explain", ["a red circle", ""], [1, 1])
    assert [word.decode() for word in answer["tokens"][0][:3]] == ["a", "red", "circle"]
    assert answer["attention"].shape == (2, 20, 256)
    np.testing.assert_allclose(answer["attention"][0, :3].sum(axis=0), 1, atol=1e-5)
    assert np.isfinite(answer["attention"]).all()


def test_pictures_of_a_training_can_be_looked_at(runs):
    for run in ("shapes-stackgan-stage1", "shapes-stackgan", "shapes-attngan"):
        assert Image.open(runs / run / "samples" / "epoch-001.png").size[0] >= 16
