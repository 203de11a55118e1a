"""Checks malformed recipes: each is refused with its place and a reason, or is valid.

python benchmarks/malformed.py [--only KIND] [--show] [--build]

`types` puts each wrong value at each key of a small recipe; the other kinds are written by hand: numbers, nesting, encodings,
names, structure. A recipe is refused well if `mmzoo check` ends with exit code 2, without a traceback, in under two seconds of
a CPU, and its first line begins with `file:line:column`. `--show` prints what is said of each; `--build` builds those that are
valid.
"""

import argparse
import collections
import contextlib
import os
import re
import signal
import tempfile
import time
import traceback
from pathlib import Path

from malformed_recipes import RECIPE, encodings, names, nesting, numbers, structure, types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def verdict(folder: Path, text: bytes) -> tuple[str, str, float]:
    """Returns how a recipe is met, what was said, and the CPU seconds that it took."""
    from click.testing import CliRunner

    from mmzoo.cli.verbs import main as mmzoo

    (folder / "r.yaml").write_bytes(text)
    began = time.process_time()
    signal.alarm(60)
    result = CliRunner().invoke(mmzoo, ["check", "r.yaml"])
    signal.alarm(0)
    seconds = time.process_time() - began
    said = result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "TRACEBACK", "".join(traceback.format_exception(result.exception)[-3:]), seconds
    if result.exit_code == 0:
        return "valid", said, seconds
    if result.exit_code != 2:
        return "EXIT CODE", f"{result.exit_code}: {said}", seconds
    placed = re.match(r"r\.yaml:\d+:\d+  \S", said) is not None
    return ("SLOW" if seconds > 2 else "refused" if placed else "NO PLACE"), said, seconds


def built(said: str) -> tuple[str, str]:
    """Returns how the build of a valid recipe ends."""
    from click.testing import CliRunner

    from mmzoo.cli.verbs import main as mmzoo

    result = CliRunner().invoke(mmzoo, ["build", "r.yaml", "--out", "run", "--force"])
    if result.exit_code == 0:
        return "valid", said
    return "NOT BUILT", result.output[-1500:] + "".join(traceback.format_exception(result.exception)[-3:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["types", "numbers", "nesting", "structure", "encodings", "names"])
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--build", action="store_true")
    given = parser.parse_args()
    from ruamel.yaml import YAML

    kinds = {"types": lambda: types(YAML(typ="safe", pure=True).load(RECIPE))}
    kinds |= {"numbers": numbers, "nesting": nesting, "structure": structure, "encodings": encodings, "names": names}
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        verdict(Path(name), RECIPE.encode())  # imports what a first check imports
        print(f"{'':10} recipes  refused  valid  faulty  longest refusal")
        for kind, cases in kinds.items():
            if given.only not in (None, kind):
                continue
            found: collections.Counter[str] = collections.Counter()
            longest = 0.0
            for case, text in cases():
                met, said, seconds = verdict(Path(name), text)
                if met == "valid" and given.build:
                    met, said = built(said)
                found[met] += 1
                longest = max(longest, seconds if met != "valid" else 0)
                if given.show or met not in ("refused", "valid"):
                    print(f"{met} {seconds:.2f} s  {kind}: {case}\n    {said[:600]!r}", flush=True)
            faulty = found.total() - found["refused"] - found["valid"]
            print(
                f"{kind:10} {found.total():7}  {found['refused']:7}  {found['valid']:5}  {faulty:6}  {longest:.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
