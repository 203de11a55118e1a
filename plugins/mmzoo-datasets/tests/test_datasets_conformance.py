"""What every data set must hold."""

import io
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

import tensorflow_datasets as tfds
from PIL import Image

from mmzoo.testing import DatasetCase, conformance


def own_table(folder: Path) -> dict[str, str]:
    rows = ["image,caption,number"]
    for number in range(12):
        (folder / f"{number}.png").write_bytes(f"picture {number}".encode())
        rows.append(f"{number}.png,caption {number},{number}")
    (folder / "13.png").write_bytes(b"")
    (folder / "pairs.csv").write_text("\n".join([*rows, "13.png,empty,1", "14.png,absent,2"]), "utf-8")
    return {"table": str(folder / "pairs.csv")}


def own_clips(folder: Path) -> dict[str, object]:
    rows = ["video,question"]
    for number in range(12):
        pictures = [Image.new("RGB", (4, 4), (20 * place, number, 0)) for place in range(1 + number % 3)]
        pictures[0].save(folder / f"{number}.gif", save_all=True, append_images=pictures[1:])
        rows.append(f"{number}.gif,question {number}")
    (folder / "13.mp4").write_text("no video")
    (folder / "clips.csv").write_text("\n".join([*rows, "13.mp4,damaged", "14.gif,absent", ",none"]), "utf-8")
    return {"table": str(folder / "clips.csv"), "videos": ["video"], "frames_dir": str(folder / "kept")}


def own_shards(folder: Path) -> dict[str, object]:
    for split in ("train", "test"):
        with tarfile.open(folder / f"{split}.tar", "w") as tar:
            for number in range(3):
                for suffix in ("jpg", "txt")[number == 2 :]:
                    info = tarfile.TarInfo(f"{number:04}.{suffix}")
                    info.size = 5
                    tar.addfile(info, io.BytesIO(b"bytes"))
    shards = {split: str(folder / f"{split}.tar") for split in ("train", "test")}
    return {"shards": shards, "index_dir": str(folder / "index")}


@lru_cache
def kept() -> tempfile.TemporaryDirectory[str]:
    """Keeps what is prepared from one test to the next; gone when Python ends."""
    return tempfile.TemporaryDirectory()


def drawings(folder: Path) -> dict[str, str]:
    return {"data_dir": kept().name}


def dummy(folder: Path) -> dict[str, str]:
    tfds.testing.DummyDataset(data_dir=folder).download_and_prepare()
    return {"name": "dummy_dataset", "data_dir": str(folder)}


test_conformance = conformance(
    DatasetCase("files", setup=own_table),
    DatasetCase("files", setup=own_clips),
    DatasetCase("webdataset", setup=own_shards),
    DatasetCase("openmoji", options={"limit": 12, "size": 16}, setup=drawings),
    DatasetCase("moving_emoji", options={"clips": 10, "size": 16}, setup=drawings),
    DatasetCase("shapes", options={"pictures": 20, "size": 16, "most": 3}, setup=drawings),
    DatasetCase("tfds", setup=dummy),
)
