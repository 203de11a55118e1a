"""Kills builds at random moments, builds them again, and compares their weights with those of a build that nobody killed.

python benchmarks/kills.py [--kills 50] [--backend tensorflow|jax] [--seed 0]

Each build is killed with SIGKILL after a random time, from its start to the time that an unbroken build takes, and started
again until it is complete. It saves a checkpoint at each step, has dropout, a schedule, accumulated gradients, averaged weights
and patience. Its weights must be the same numbers.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

RECIPE = """\
name: killed
data: {type: shapes, size: 16, pictures: 320, data_dir: data}
inputs:
  image: {type: image, field: image, size: 16}
  caption: {type: words, field: caption, sequence_length: 12}
encoders:
  image: {type: resnet, blocks: [1], stem: 3}
head: {type: gru_captioner, target: caption, units: 16, dropout: 0.3}
loss: {type: token_cross_entropy}
train:
  epochs: 4
  batch_size: 16
  optimizer: {type: adam, learning_rate: {type: cosine_decay, initial_learning_rate: 0.003}}
  gradient_accumulation_steps: 2
  ema_momentum: 0.9
  patience: 2
  checkpoint_minutes: 0.000001
metrics: [exact_match]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--backend", default="tensorflow")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw, kills, runs, different = random.Random(given.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "killed.yaml").write_text(RECIPE, "utf-8")
        build(folder, "first", given.backend)  # paints the pictures
        began = time.perf_counter()
        build(folder, "unbroken", given.backend)
        longest = time.perf_counter() - began
        while kills < given.kills:
            killed = build(folder, f"run-{runs}", given.backend, draw.uniform(0, longest))
            kills += killed
            if not killed or kills == given.kills:
                build(folder, f"run-{runs}", given.backend)
                different += not same(folder / "runs" / "unbroken", folder / "runs" / f"run-{runs}")
                runs += 1
            print(f"{kills} kills, {runs} runs complete, {different} differ", flush=True)


def build(folder: Path, run: str, backend: str, seconds: float | None = None) -> bool:
    """Builds the recipe; returns whether it was killed, after so many seconds."""
    command = [sys.executable, "-m", "mmzoo", "build", "killed.yaml", "--out", f"runs/{run}"]
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | {"KERAS_BACKEND": backend}, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        if process.wait(seconds):
            raise SystemExit(f"the build ended with exit code {process.returncode}")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return True
    return False


def same(one: Path, other: Path) -> bool:
    """Returns whether two runs have the same weights, number by number."""
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all(np.array_equal(left[path], right[path]) for path in left)


def weights(run: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(run / "task.weights.h5") as file:
        file.visititems(lambda path, item: found.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


if __name__ == "__main__":
    main()
