"""Measures time and peak memory of the metric `recall`, for as many images as texts.

python benchmarks/recall.py [--examples 100000] [--dim 256]
"""

import argparse
import os
import resource
import time

import numpy as np
from mmzoo_matching.recall import Recall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    given = parser.parse_args()
    draw, metric = np.random.default_rng(0), Recall()
    for _ in range(given.examples):
        image, noise = draw.normal(size=(2, given.dim)).astype("float32")
        text = image + 4 * noise
        metric.update(image / np.linalg.norm(image), text / np.linalg.norm(text))
    began = time.perf_counter()
    found = metric.result()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{given.examples:,} images and as many texts, dim {given.dim}, {len(os.sched_getaffinity(0))} cores")
    print(f"{seconds:.0f} s, peak {peak:.2f} GiB, recall@1 {found['text_to_image_recall@1']:.3f}, rsum {found['rsum']:.1f}")


if __name__ == "__main__":
    main()
