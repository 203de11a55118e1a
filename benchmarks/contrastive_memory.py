"""Measures memory of InfoNCE's value and gradient, in blocks and by the plain formula, each in a process of its own.

[KERAS_BACKEND=jax] python benchmarks/contrastive_memory.py [--batch 8192] [--dim 512] [--block 256]
"""

import argparse
import json
import resource
import subprocess
import sys
import time

WAYS = ("plain", "blocks", "blocks and ids")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--block", type=int, default=256)
    parser.add_argument("--way", choices=WAYS, help="measure one way in this process, print JSON")
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way, given.batch, given.dim, given.block)))
        return
    table = given.batch**2 * 4 / 2**20
    print(f"batch {given.batch:,}, dim {given.dim}, blocks of {given.block:,}; one float32 matrix is {table:,.0f} MiB")
    print(f"{'way':16}{'memory, MiB':>12}{'of a matrix':>12}{'seconds':>9}  backend")
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way]
        command += [f"--{name}={getattr(given, name)}" for name in ("batch", "dim", "block")]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        memory, seconds = found["memory"], found["seconds"]
        print(f"{way:16}{memory:12,.0f}{memory / table:12.2f}{seconds:9.2f}  {found['backend']}")


def measure(way: str, batch: int, dim: int, block: int) -> dict[str, object]:
    """Returns the rise of the process's peak memory, in MiB, and the seconds of the second step."""
    import keras
    import numpy as np

    rng = np.random.default_rng(0)
    step = compiled(way, block)
    step(
        *(np.float32(rng.normal(size=(2, dim))) for _ in range(2)), np.arange(2, dtype="int32")
    )  # allocates the backend's own memory
    pairs = [np.float32(rng.normal(size=(batch, dim)) / dim**0.5) for _ in range(2)]
    ids = np.arange(batch, dtype="int32") // 5
    before = high_water()
    step(*pairs, ids)
    began = time.perf_counter()
    step(*pairs, ids)
    seconds = time.perf_counter() - began
    return {"memory": high_water() - before, "seconds": seconds, "backend": keras.backend.backend()}


def high_water() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def compiled(way: str, block: int):
    """Returns the step: candidates, queries and ids -> loss and gradients, as NumPy arrays."""
    import keras
    import numpy as np
    from mmzoo_matching.info_nce import info_nce

    def loss(candidates, queries, ids):
        if way == "plain":
            return keras.ops.mean(plain(candidates, queries, 10.0))
        return keras.ops.mean(info_nce(candidates, queries, 10.0, ids if way == "blocks and ids" else None, block=block))

    if keras.backend.backend() == "jax":
        import jax

        step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        return lambda *tensors: jax.block_until_ready(step(*tensors))
    import tensorflow as tf

    @tf.function(reduce_retracing=False, autograph=False)
    def step(candidates, queries, ids):
        with tf.GradientTape() as tape:
            tape.watch([candidates, queries])
            value = loss(candidates, queries, ids)
        return value, tape.gradient(value, [candidates, queries])

    return lambda *tensors: np.asarray(step(*map(tf.constant, tensors))[0])


def plain(candidates, queries, scale):
    """Computes InfoNCE by the formula of the papers, with the whole matrix."""
    from keras import ops

    logits = scale * ops.matmul(candidates, ops.transpose(queries))
    right = ops.arange(ops.shape(logits)[0])
    ways = [keras_cross_entropy(right, table) for table in (logits, ops.transpose(logits))]
    return (ways[0] + ways[1]) / 2


def keras_cross_entropy(right, logits):
    from keras import ops

    return ops.sparse_categorical_crossentropy(right, logits, from_logits=True)


if __name__ == "__main__":
    main()
