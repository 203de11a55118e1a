"""The table of CUB-200-2011: the command in the recipes' README makes it of the published folders."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmzoo import fault_of
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.discovery import discover
from mmzoo.testing import read_split

pytestmark = pytest.mark.slow

BIRDS = Path(__file__).parents[1] / "recipes" / "birds"
PHOTOS = {
    "001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg": ("20.0 10.0 20.0 10.0", (15, 0, 45, 30)),
    "002.Laysan_Albatross/Laysan_Albatross_0001_545.jpg": ("60.0 31.0 20.0 30.0", (48, 24, 80, 60)),
}
"""Photo of 80 x 60 pixels -> its box, and what is cut: 0.75 times the longer side around the centre, within the photo."""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Writes the published folders with two photos, runs the command, and returns the rows of the table."""
    monkeypatch.chdir(tmp_path)
    cub, texts = Path("CUB_200_2011"), Path("cvpr2016_cub")
    for file in PHOTOS:
        (cub / "images" / file).parent.mkdir(parents=True)
        (texts / "text_c10" / file).parent.mkdir(parents=True)
        rows, columns = np.mgrid[:60, :80]
        pixels = np.stack([3 * columns, 4 * rows, 0 * rows], axis=-1)  # the colour of a pixel tells its place
        Image.fromarray(pixels.astype("uint8")).save(cub / "images" / file, quality=95)
        captions = b"".join(b"a bird,  caption %d\n" % number for number in range(9)) + b"a caf\xe9 bird\n\n"
        (texts / "text_c10" / file).with_suffix(".txt").write_bytes(captions)
    (texts / "testclasses.txt").write_text("002.Laysan_Albatross\n")
    (cub / "images.txt").write_text("".join(f"{number} {file}\n" for number, file in enumerate(PHOTOS, 1)))
    boxes = (f"{number} {box}\n" for number, (box, _) in enumerate(PHOTOS.values(), 1))
    (cub / "bounding_boxes.txt").write_text("".join(boxes))
    command = re.findall(r"```sh\n(.*?)```", (BIRDS / "README.md").read_text("utf-8"), re.DOTALL)[0]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["sh", "-e"], input=command, text=True, check=True, env=os.environ | {"PATH": path})
    return [json.loads(line) for line in Path("birds/birds.jsonl").read_text("utf-8").splitlines()]


def test_the_command_of_the_readme_makes_the_table(table):
    assert [row["image"] for row in table] == [f"images/{file}" for file in PHOTOS]
    assert [(row["bird"], row["split"]) for row in table] == [
        ("001.Black_footed_Albatross", "train"),
        ("002.Laysan_Albatross", "test"),
    ]
    assert table[0]["captions"] == [*(f"a bird, caption {number}" for number in range(9)), "a caf bird"]
    for row, (_, (left, top, right, bottom)) in zip(table, PHOTOS.values(), strict=True):
        cut = Image.open(Path("birds", row["image"]))
        assert cut.size == (right - left, bottom - top)
        for found, expected in zip(cut.getpixel((2, 3)), (3 * (left + 2), 4 * (top + 3), 0), strict=True):
            assert abs(found - expected) < 20


@pytest.mark.parametrize("name", ["damsm", "stackgan", "attngan"])
def test_the_recipes_read_the_table(table, name):
    plan = resolve(read_recipe(BIRDS / f"{name}.yaml"), discover())
    splits = plan.dataset.splits()
    faults = [fault_of(column.field) for column in plan.inputs.values()]
    found = {split: [{row[fault] for fault in faults} for row in read_split(rows)] for split, rows in splits.items()}
    assert found == {"train": [{b""}], "test": [{b""}]}
    (example,) = read_split(splits["train"])
    assert len(example[plan.inputs["caption"].field]) == 10
