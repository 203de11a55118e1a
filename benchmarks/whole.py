"""Builds a recipe in a new process and measures its wall time and peak memory, child processes included.

python benchmarks/whole.py [RECIPE] [--set KEY=VALUE ...]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="recipes/openmoji/captioner.yaml")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        options = [part for override in given.overrides for part in ("--set", override)]
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mmzoo", "build", given.recipe, "--out", str(out), *options], check=True)
        minutes = (time.perf_counter() - began) / 60
        scores = json.loads((out / "scores.json").read_text())
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"{given.recipe}: {minutes:.1f} minutes, peak memory {peak:.2f} GiB in one process")
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    main()
