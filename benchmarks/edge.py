"""Times the light commands: the median of several runs, each in a new process.

python benchmarks/edge.py [--runs 15] [RECIPE]
"""

import argparse
import statistics
import subprocess
import sys
import time

LIGHT = (["--help"], ["list"])


def seconds(arguments: list[str], runs: int) -> float:
    """Returns the median wall time of `python -m mmzoo ARGUMENTS`, in seconds, after one warm-up run."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mmzoo", *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="recipes/openmoji/captioner.yaml")
    parser.add_argument("--runs", type=int, default=15)
    given = parser.parse_args()
    for arguments in LIGHT:
        print(f"mmzoo {' '.join(arguments)}: {seconds(arguments, given.runs):.3f} s, median of {given.runs}")
    print(f"mmzoo check {given.recipe}: {seconds(['check', given.recipe], 3):.1f} s, median of 3")


if __name__ == "__main__":
    main()
