"""Measures memory and time of a CLIP training step, the batch at once and in GradCache chunks.

Each measurement runs in a process of its own.

[KERAS_BACKEND=jax] python benchmarks/accumulate.py [--batch 2048] [--parts 1 8 32] [--set KEY=VALUE ...]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
RECIPE = """
name: clip
data:     {type: openmoji, split: composition}
inputs:
  image:   {type: image, field: image, size: 64}
  caption: {type: words, field: name, sequence_length: 16}
encoders:
  image:   {type: vit, patch: 8, dim: 128, depth: 3, heads: 2}
  caption: {type: text_transformer, dim: 128, depth: 2, heads: 2}
fusion:   {type: project, dim: 256}
head:     {type: match}
loss:     {type: info_nce}
"""
WORDS = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="change a value of the recipe")
    parser.add_argument("--here", type=int, help="measure with this number of parts in this process, print JSON")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure(given.batch, given.here, given.overrides)))
        return
    print(f"batch {given.batch:,}\n{'parts':>5}{'memory, MiB':>13}{'seconds':>9}{'loss':>11}  backend")
    for parts in given.parts:
        command = [sys.executable, __file__, f"--batch={given.batch}", f"--here={parts}"]
        command += [f"--set={one}" for one in given.overrides]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        print(f"{parts:5}{found['memory']:13,.0f}{found['seconds']:9.1f}{found['loss']:11.6f}  {found['backend']}")


def measure(batch: int, parts: int, overrides: list[str]) -> dict[str, object]:
    """Returns the rise of the process's peak memory over two steps, in MiB, and the seconds and the loss of the second step."""
    import keras
    import numpy as np

    from mmzoo.modeling.assemble import assemble
    from mmzoo.recipe.resolve import resolve
    from mmzoo.recipe.source import parse_recipe
    from mmzoo.registry.discovery import discover
    from mmzoo.training.optimizer import make_optimizer
    from mmzoo.training.process import prepare

    plan = resolve(parse_recipe(RECIPE, "clip", tuple(overrides)), discover(), with_data=False)
    features: dict[str, Any] = {"image": {"shape": (64, 64, 3), "dtype": "uint8", "vocabulary": None}}
    features["caption"] = {"shape": (16,), "dtype": "int32", "vocabulary": WORDS}
    prepare(plan.train)
    task, _ = assemble(plan, features)
    task.compile(optimizer=make_optimizer(plan.train, 2), jit_compile=plan.train.jit_compile)
    task.optimizer.build(task.trainable_variables)
    if parts > 1:
        task.train_in_chunks(
            parts, {name: keras.KerasTensor((None, *one["shape"]), one["dtype"]) for name, one in features.items()}
        )
    rng = np.random.default_rng(0)
    pairs = {
        "image": rng.integers(0, 256, (batch, 64, 64, 3), "uint8"),
        "caption": rng.integers(1, WORDS, (batch, 16), "int32"),
    }
    before, seconds, loss = high_water(), 0.0, 0.0
    for _ in range(2):
        began = time.perf_counter()
        loss = task.train_on_batch(pairs)[0]
        seconds = time.perf_counter() - began
    return {"memory": high_water() - before, "seconds": seconds, "loss": float(loss), "backend": keras.backend.backend()}


def high_water() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
