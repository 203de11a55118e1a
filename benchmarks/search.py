"""Measures the time of `search` in a large gallery, through the exported model, one text at a time.

The run is exported with a gallery of random vectors in place of its own, and its signature `search` is called through the
SavedModel. For comparison it also measures the signature that only embeds the text, which does not depend on the gallery.

    taskset -c 0,1 python benchmarks/search.py RUN [--entries 100000] [--queries 200]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def random_entries(entries: int, dim: int, shows: list[str]) -> Any:
    """Draws vectors of length 1, each with a numbered text."""
    from mmzoo.serving.entries import Entries

    vectors = np.random.default_rng(0).normal(size=(entries, dim)).astype("float32")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Entries(vectors, {name: [f"{name} {entry}" for entry in range(entries)] for name in shows})


def milliseconds(answer: Any, name: str, texts: list[str]) -> tuple[list[float], list[float]]:
    """Times each text alone, after ten for warm-up: returns wall time and CPU time of all cores."""
    import tensorflow as tf

    times = []
    for text in texts[:10] + texts:
        began, busy = time.perf_counter(), time.process_time()
        outputs = answer(**{name: tf.constant([text])})
        [value.numpy() for value in outputs.values()]
        times.append((1000 * (time.perf_counter() - began), 1000 * (time.process_time() - busy)))
    clock, cores = zip(*times[10:], strict=True)
    return list(clock), list(cores)


def exported(run: Path, entries: int, folder: str) -> tuple[Any, str, int]:
    """Exports a run with a gallery of another size; returns the reloaded model, the name of its query input and the dim."""
    import tensorflow as tf

    import mmzoo
    from mmzoo.serving.entries import load_entries
    from mmzoo.serving.served import Served

    model = mmzoo.load(run)
    own = load_entries(model.run)
    if own is None:
        raise SystemExit(f"{run} has no gallery; give its head one.")
    dim = own.embeddings.shape[1]
    served = Served(model.task, model.served.processors, random_entries(entries, dim, list(own.texts)))
    tf.saved_model.save(served, folder, signatures=served.functions)
    return tf.saved_model.load(folder), served.answers["search"].inputs[0], dim


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model, name, dim = exported(given.run, given.entries, folder)
        texts = [f"a red circle {number}" for number in range(given.queries)]
        print(f"{given.entries:,} entries of dim {dim}, {given.queries} texts one by one, {len(os.sched_getaffinity(0))} cores")
        for signature in (f"embed_{name}", "search"):
            clock, cores = milliseconds(model.signatures[signature], name, texts)
            slow = statistics.quantiles(clock, n=100)[-1]
            typical = f"median {statistics.median(clock):.1f} ms, 99th percentile {slow:.1f} ms"
            print(f"{signature:<14} {typical}; {statistics.median(cores):.1f} ms of CPU time")


if __name__ == "__main__":
    main()
