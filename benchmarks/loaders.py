"""Pictures a CPU second from each kind of data set, decoded to one size, and from the loaders of peers that are installed.

    python benchmarks/loaders.py [--pictures 2000] [--rounds 3]

The same JPEGs of 500 x 375 pixels, with a caption each, lie as files with a table, in tar files, and in TFDS' records. One pass
in random order, as training reads them: read, decode, resize to 224 pixels. The peers' samples are decoded by Pillow with
`draft`, their usual way. CPU seconds are of the whole process, so a figure does not depend on the number of cores; the best of
some rounds counts.
"""

import argparse
import importlib.util
import io
import os
import random
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
SHARD = 500
"""Pictures in a tar file."""
BATCH, EPOCHS = 64, 3


def jpegs(number: int) -> Iterator[bytes]:
    """Draws pictures whose files have the size of a photograph's, about 60 kB."""
    draw = np.random.default_rng(0)
    for _ in range(number):
        coarse = Image.fromarray(draw.integers(0, 255, (47, 63, 3), "uint8")).resize((500, 375), Image.Resampling.BICUBIC)
        noise = draw.normal(0, 12, (375, 500, 3))
        target = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(coarse) + noise, 0, 255).astype("uint8")).save(target, "JPEG", quality=85)
        yield target.getvalue()


def write(folder: Path, number: int) -> None:
    """Writes the pictures as files, tar files and records."""
    import tensorflow_datasets as tfds

    pictures = list(jpegs(number))
    print(f"{number} pictures of {sum(map(len, pictures)) // number:,} bytes", flush=True)
    rows = ["image,caption"]
    for place, data in enumerate(pictures):
        (folder / f"{place:06}.jpg").write_bytes(data)
        rows.append(f"{place:06}.jpg,caption {place}")
        with tarfile.open(folder / f"{place // SHARD:05}.tar", "a") as tar:
            for suffix, content in (("jpg", data), ("txt", f"caption {place}".encode())):
                info = tarfile.TarInfo(f"{place:09}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    (folder / "pairs.csv").write_text("\n".join(rows), "utf-8")

    class Pictures(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        code_path = Path(__file__)

        def _info(self) -> Any:
            features = tfds.features.FeaturesDict({"image": tfds.features.Image(), "caption": tfds.features.Text()})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager: Any) -> Any:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Any:
            for place, data in enumerate(pictures):
                yield place, {"image": io.BytesIO(data), "caption": f"caption {place}"}

    Pictures(data_dir=folder / "tfds").download_and_prepare()


def ours(folder: Path, data: str, rounds: int) -> float:
    """Returns the pictures a CPU second of a data set of ours, as a recipe's training reads it."""
    import mmzoo
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.batches import training_batches
    from mmzoo.data.open import open_data

    (folder / "r.yaml").write_text(
        f"name: loaders\ndata: {data}\n"
        "inputs:\n  image: {type: image, field: image, size: 224, fit: stretch}\n"
        "  caption: {type: words, field: caption, sequence_length: 4}\n"
        "encoders: {image: {type: resnet, blocks: [1], stem: 3}}\n"
        "head: {type: gru_captioner, target: caption, units: 8}\nloss: token_cross_entropy\n"
        "train: {epochs: 1, cache: false}\nmetrics: [exact_match]\n",
        "utf-8",
    )
    opened = open_data(mmzoo.check(folder / "r.yaml").plan, Screen(quiet=True))
    steps = opened.steps(BATCH)

    def seconds(epochs: int, seed: int) -> float:
        began = time.process_time()
        for _ in training_batches(opened, "train", BATCH, seed, range(epochs)).take(steps * epochs):
            pass
        return time.process_time() - began

    # The first batches wait for graphs that are traced once a training, and some are read ahead that are never drawn.
    return BATCH * steps * EPOCHS / min(seconds(1 + EPOCHS, seed) - seconds(1, seed) for seed in range(rounds))


def best(passes: Callable[[int], Any], number: int, rounds: int) -> float:
    """Returns the pictures a CPU second of the best of some passes."""
    seconds = []
    for seed in range(rounds):
        began = time.process_time()
        for _ in passes(seed):
            pass
        seconds.append(time.process_time() - began)
    return number / min(seconds)


def decoded(data: bytes) -> np.ndarray:
    """Decodes as PyTorch's users do: Pillow, at a reduced scale."""
    picture = Image.open(io.BytesIO(data))
    picture.draft("RGB", (224, 224))
    return np.asarray(picture.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR))


def peers(folder: Path, number: int, rounds: int) -> Iterator[tuple[str, float]]:
    """Measures the loaders of peers that are installed, in this process."""

    def plain(seed: int) -> Iterator[Any]:
        order = random.Random(seed).sample(range(number), number)
        return map(decoded, ((folder / f"{place:06}.jpg").read_bytes() for place in order))

    yield "files, Pillow in a loop", best(plain, number, rounds)
    if importlib.util.find_spec("webdataset"):
        import webdataset

        shards = sorted(map(str, folder.glob("*.tar")))

        def tars(seed: int) -> Any:
            data = webdataset.WebDataset(shards, shardshuffle=len(shards), seed=seed).shuffle(1000).to_tuple("jpg", "txt")
            return data.map_tuple(decoded, bytes.decode).batched(BATCH)

        yield "tar files, webdataset", best(tars, number, rounds)
    if importlib.util.find_spec("grain"):
        import grain.python as grain

        class Source:
            def __len__(self) -> int:
                return number

            def __getitem__(self, place: int) -> np.ndarray:
                return decoded((folder / f"{place:06}.jpg").read_bytes())

        yield (
            "files, Grain",
            best(lambda seed: grain.MapDataset.source(Source()).shuffle(seed).batch(BATCH).to_iter_dataset(), number, rounds),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, given.pictures)
        found = {
            "files": ours(folder, f"{{type: files, table: {folder}/pairs.csv, validation: 0, test: 0}}", given.rounds),
            "webdataset": ours(
                folder, f"{{type: webdataset, shards: {{train: '{folder}/*.tar'}}, index_dir: {folder}/index}}", given.rounds
            ),
            "tfds": ours(folder, f"{{type: tfds, name: pictures, data_dir: {folder}/tfds}}", given.rounds),
        }
        found |= dict(peers(folder, given.pictures, given.rounds))
    for kind, rate in found.items():
        print(f"{kind:24} {rate:8.0f} pictures a CPU second, {rate / found['files']:.2f} of files")


if __name__ == "__main__":
    main()
