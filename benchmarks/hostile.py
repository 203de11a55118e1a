"""Asks exported models for hostile bytes: damaged and lying pictures, GIFs and texts, empty and huge.

python benchmarks/hostile.py [--each 10000] [--seed 0] [--only RUN] [--runs FOLDER]

Builds a captioner, a search by pictures and texts (with classification), two models of clips and one that draws pictures, all
small, and loads their exports. Each signature is asked batches in which one row is good and always the same, and the others are
hostile: `--each` of them to each run, shared by its signatures. The answer of the good row must not change, no number may be
NaN or infinite, and nothing may raise or end the process, which is one of its own for each run. `--runs` keeps the builds,
and takes those that are there. The memory is the peak over that of the good rows alone; TensorFlow keeps some of it.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile_bytes import Hostile, animated, picture, saved

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

DATA = """\
data: {{type: files, table: table.csv, files: [image{gif}], videos: [{video}], frames_dir: clips, split_column: split}}
inputs:
"""
IMAGE = "  image: {type: image, field: image, size: 16}\n"
CAPTION = "  caption: {type: words, field: caption, sequence_length: 8}\n"
TRAIN = "train: {epochs: 1, batch_size: 8}\nevaluate: {baselines: []}\n"
LOOK, READ = "image: {type: resnet, blocks: [1], stem: 3}", "caption: {type: gru, dim: 16, units: 16"
DRAW = "{type: stackgan, scales: [8, 16], width: 4, discriminator_width: 4, noise: 8, condition: 8, residuals: 1}"
VIDEO = (
    "  video: {type: frames, field: %s, frames: 4, picture: {type: image, size: 16}}\n"
    "  caption: {type: label, field: caption}\n"
    "encoders:\n  video: {type: frame_mean, encoder: {type: resnet, blocks: [1], stem: 3}}\n"
    "head: {type: classify, target: caption}\nloss: {type: cross_entropy}\nmetrics: [accuracy]\n"
)

RUNS = {
    "captioner": DATA.format(gif="", video="")
    + f"{IMAGE}{CAPTION}encoders:\n  {LOOK}\nhead: {{type: gru_captioner, target: caption, units: 16, beam: 2}}\n"
    + "loss: {type: token_cross_entropy}\nmetrics: [exact_match]\n",
    "search": DATA.format(gif="", video="")
    + f"{IMAGE}{CAPTION}encoders:\n  {LOOK}\n  {READ}}}\nfusion: {{type: project, dim: 16}}\n"
    + "head: {type: match, gallery: test}\nloss: {type: info_nce}\nmetrics: [recall]\n",
    "frames": DATA.format(gif="", video="video") + VIDEO % "video",
    "gif": DATA.format(gif=", video", video="") + (VIDEO % "video").replace("frames: 4", "frames: 4, animated: true"),
    "draw": DATA.format(gif="", video="")
    + f"{IMAGE}{CAPTION}encoders:\n  {READ}, pool: none}}\nhead: {DRAW}\n"
    + "loss: [{type: discriminator}, {type: generator}, kl]\nmetrics: [diversity]\n",
}
"""Run -> its recipe, without name and training."""
BATCH = 16


def kind_of(name: str, spec: Any) -> str:
    """Returns which kind of raw values an input takes."""
    if spec.dtype.name != "string":
        return "number"
    if name == "video":
        return "frames" if spec.shape.rank > 1 else "GIF"
    return "picture" if name.startswith("image") else "text"


def good_row(name: str, spec: Any) -> Any:
    """Returns the value of the row whose answer may not change."""
    draw, kind = random.Random(1), kind_of(name, spec)
    one = {"picture": saved(picture(draw), "PNG"), "GIF": animated(draw), "text": b"a red square", "number": 7}
    value = [saved(picture(draw), "PNG")] * 3 if kind == "frames" else one[kind]
    return [value, b"a blue square"] if kind == "text" and spec.shape.rank > 1 else value


def hostile_row(hostile: Hostile, name: str, spec: Any) -> Any:
    draw, kind = hostile.draw, kind_of(name, spec)
    make: dict[str, Callable[[], Any]] = {"picture": hostile.picture, "GIF": hostile.gif, "frames": hostile.picture}
    make |= {"text": hostile.words, "number": lambda: draw.randrange(-(2**63), 2**63) >> (64 - 8 * spec.dtype.size)}
    return [make[kind]() for _ in range(draw.randrange(6))] if spec.shape.rank > 1 else make[kind]()


def tensor(rows: list[Any], spec: Any) -> Any:
    import tensorflow as tf

    if spec.shape.rank > 1:
        width = max(1, *map(len, rows))
        rows = [[*row, *[b""] * (width - len(row))] for row in rows]
    return tf.constant(rows, spec.dtype, shape=(len(rows), len(rows[0])) if spec.shape.rank > 1 else (len(rows),))


def same(name: str, one: Any, other: Any) -> bool:
    """Returns whether two answers are the same: numbers up to rounding, drawn pictures up to one level."""
    import numpy as np
    import tensorflow as tf

    if name.endswith("_bytes") and one != other:
        left, right = (tf.io.decode_png(data).numpy().astype(int) for data in (one, other))
        return left.shape == right.shape and np.abs(left - right).max() <= 1
    one, other = np.asarray(one), np.asarray(other)
    if one.ndim:  # labels are padded to the longest list of the batch
        other = other[: len(one)]
    if one.dtype.kind == "f":
        return np.allclose(one, other, rtol=1e-4, atol=1e-5)
    return bool(np.all(one == other))


def ask(run: Path, each: int, seed: int) -> Iterator[dict[str, Any]]:
    """Asks each signature of a run; yields what was found so far."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  # the ops that a server has

    model = tf.saved_model.load(run / "export" / "1")
    hostile = Hostile(seed)
    signatures = {name: function for name, function in model.signatures.items() if name != "serving_default"}
    for signature, function in signatures.items():
        specs = function.structured_input_signature[1]
        good = {name: good_row(name, spec) for name, spec in specs.items()}
        raw = {name: tensor([value] * BATCH, specs[name]) for name, value in good.items()}
        for _ in range(3):
            answers = function(**raw)
        expected = {name: value.numpy()[0] for name, value in answers.items()}
        idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = {"signature": signature, "kinds": sorted({kind_of(*one) for one in specs.items()} - {"number"})}
        found |= {"rows": 0, "ok": 0, "changed": 0, "raised": 0, "not finite": 0, "said": ""}
        while found["rows"] < each / len(signatures):
            place = hostile.draw.randrange(BATCH)
            rows = [good if row == place else {n: hostile_row(hostile, n, s) for n, s in specs.items()} for row in range(BATCH)]
            (run / "asked.txt").write_text(repr(rows), "utf-8")  # if the process ends, it is there
            found["rows"] += BATCH - 1
            try:
                answers = function(**{name: tensor([row[name] for row in rows], spec) for name, spec in specs.items()})
                values = {name: value.numpy() for name, value in answers.items()}
            except Exception as error:  # noqa: BLE001  # whatever it is, it counts
                found["raised"] += 1
                found["said"] = f"{type(error).__name__}: {error}"[:300]
                (run / f"raised-{signature}.txt").write_text(repr(rows), "utf-8")
                continue
            found["ok"] += int(values["ok"].sum()) - bool(values["ok"][place])
            wrong = [name for name, value in values.items() if not same(name, expected[name], value[place])]
            if wrong:
                found["changed"] += 1
                found["said"] = f"changed: {wrong}"
                (run / f"changed-{signature}.txt").write_text(repr(rows), "utf-8")
            found["not finite"] += sum(value.dtype.kind == "f" and not np.isfinite(value).all() for value in values.values())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            yield found | {"idle MB": idle // 1024, "more MB": (peak - idle) // 1024}


def write_data(folder: Path) -> None:
    """Writes a table of pictures, captions and animated GIFs."""
    draw, rows = random.Random(0), ["image,video,caption,split"]
    for row in range(32):
        (folder / f"{row}.png").write_bytes(saved(picture(draw), "PNG"))
        (folder / f"{row}.gif").write_bytes(animated(draw))
        colour, shape = ("red", "blue", "green")[row % 3], ("square", "circle")[row % 2]
        rows.append(f"{row}.png,{row}.gif,a {colour} {shape},{('train', 'train', 'validation', 'test')[row % 4]}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n", "utf-8")


def report(folder: Path, name: str, each: int, seed: int) -> None:
    """Asks a run in a process of its own, and prints a line for each signature."""
    command = [sys.executable, str(Path(__file__).absolute()), "--ask", str(folder / "runs" / name)]
    asking = subprocess.run(
        [*command, "--each", str(each), "--seed", str(seed)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=(folder / f"{name}.log").open("w"),  # what libjpeg says of each picture
        text=True,
        check=False,
    )
    last = {found["signature"]: found for found in map(json.loads, asking.stdout.splitlines())}
    for found in last.values():
        figures = [found[key] for key in ("rows", "ok", "changed", "raised", "not finite", "idle MB", "more MB")]
        columns = "".join(f"{figure:12,}" for figure in figures)
        print(f"{name:10} {found['signature']:16} {' + '.join(found['kinds']):15}{columns}  {found['said']}", flush=True)
    if asking.returncode:
        asked = folder / "runs" / name / "asked.txt"
        print(f"{name}: THE PROCESS ENDED with exit code {asking.returncode}; see {folder}/{name}.log and {asked}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(RUNS))
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--ask", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ask:
        for found in ask(given.ask, given.each, given.seed):
            print(json.dumps(found), flush=True)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.runs.absolute() if given.runs else Path(name)
        if not (folder / "table.csv").exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_data(folder)
        columns = "".join(f"{key:>12}" for key in ("rows", "ok", "changed", "raised", "not finite", "idle MB", "more MB"))
        print(f"{'run':10} {'signature':16} {'reads':15}{columns}")
        for run, recipe in RUNS.items():
            if given.only in (None, run):
                (folder / f"{run}.yaml").write_text(f"name: {run}\n{recipe}{TRAIN}", "utf-8")
                subprocess.run(
                    [sys.executable, "-m", "mmzoo", "build", f"{run}.yaml"], cwd=folder, check=True, stdout=subprocess.DEVNULL
                )
                report(folder, run, given.each, given.seed)


if __name__ == "__main__":
    main()
