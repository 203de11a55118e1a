"""From recipes to served pictures: a first stage, and a second one that stands on it."""

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
    r"size: 32": "size: 16",
    r"data: .*": "data: {type: shapes, size: 16, pictures: 20, data_dir: data}",
    r"needs: .*stage1:": "needs: {stage1:",
    r"needs: +\{reader.*\n": "",
    r", (clip|judge): \w+\.yaml": "",
    r"epochs: \d+": "epochs: 1",
    r"batch_size: \d+": "batch_size: 10",
    r"dim: 64, units: 64, bidirectional: true, merge: concatenate": "dim: 4, units: 4",
    r"(?<=width: )\d+": "4",
    r"(noise|condition|projection|mapping): \d+": r"\1: 4",
    r"\n  feature_network: .*": "",
    r"mismatches: \d+": "mismatches: 1",
    r"\n  (question|answer|asked|count): .*": "",
    r"metrics:[\s\S]*": "metrics: []\n",
}
"""What is replaced in the recipes, so that they build in seconds."""
READER = ", weights: reader/encoders.caption, trainable: false"
READ = (("shapes-stackgan-stage1", "caption"), ("shapes-stackgan", "caption"), ("shapes-stackgan", "mismatched_caption"))
TEXTS = {"plain": "a red circle", "same": "a red circle", "empty": "", "unknown": "qwertz uiop", "long": "red " * 60}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, unrehearsed, asked_here):
    """Builds the second stage, and first the one that it needs, which is not finished; gives the folder of both runs."""
    module = import_module("mmzoo.build")
    finish = module.finish

    def finish_one(run: Run, *rest: Any) -> None:
        if run.folder.name == "shapes-stackgan":
            finish(run, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("world"))
        patch.setattr(module, "finish", finish_one)
        for name, encoder in (("stackgan_stage1", ", trainable: false"), ("stackgan", READER.replace("reader", "stage1"))):
            text = (RECIPES / f"{name}.yaml").read_text("utf-8").replace(READER, encoder)
            for pattern, smaller in SMALLER.items():
                text = re.sub(pattern, smaller, text)
            Path(f"{name}.yaml").write_text(text, "utf-8")
        mmzoo.build("stackgan.yaml", screen=Screen(quiet=True))
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
    answer = tf.saved_model.load(str(runs / "shapes-stackgan" / "export" / "1")).signatures[signature]
    given = {"caption": tf.constant(texts), "seed": tf.constant(seeds, "int64")}
    return {name: value.numpy() for name, value in answer(**given).items()}


def test_the_first_stage_is_the_same_after_the_training_of_the_second(runs):
    own, first = weights(runs / "shapes-stackgan", "head/stage1"), weights(runs / "shapes-stackgan-stage1", "head/generator")
    assert own.keys() == first.keys()
    for path, values in own.items():
        np.testing.assert_array_equal(values, first[path], err_msg=path)


def test_a_text_is_read_with_the_vocabulary_of_the_run_that_its_encoder_comes_from(runs):
    processors = [runs / run / "processors" / name for run, name in READ]
    texts = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in processors]
    assert texts[0] == texts[1] == texts[2] != {}


def test_any_text_and_any_seed_give_a_picture(runs):
    seeds = [3, 3, -(2**63), 2**63 - 1, 0]
    drawn = served(runs, "generate", list(TEXTS.values()), seeds)["image_bytes"]
    for png in drawn:
        picture = Image.open(BytesIO(png))
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (16, 16))
    assert drawn[0] == drawn[1] != drawn[3]
    assert served(runs, "generate", [TEXTS["plain"]], [3])["image_bytes"][0] == drawn[0]
    cut = served(runs, "generate", ["red " * 20], [0])["image_bytes"][0]
    assert cut == drawn[4]  # words after the recipe's `sequence_length` do not count


def test_pictures_of_a_training_can_be_looked_at(runs):
    for run in ("shapes-stackgan-stage1", "shapes-stackgan"):
        assert [file.name for file in (runs / run / "samples").iterdir()] == ["epoch-001.png"]
