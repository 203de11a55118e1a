"""Computes fusions and their gradients on JAX: reads cases from a pickle, writes `[(streams, gradients)]` to another."""

import pickle
import sys
from pathlib import Path

import jax
import keras
import numpy as np

from mmzoo.registry.discovery import discover


def results(case):
    name, options, dims, weights, given = case
    fusion = discover().get("fusion", name).load()(**options)
    fusion(
        {name: {"tokens": keras.Input((None, dim)), "mask": keras.Input((None,), dtype="bool")} for name, dim in dims.items()}
    )

    def total(weights):
        found, _ = fusion.stateless_call(weights, [], given)
        parts = [(jax.numpy.where(one["mask"][..., None], one["tokens"], 0) ** 2).sum() for one in found.values()]
        return sum(parts), found

    gradients, found = jax.jit(jax.grad(total, has_aux=True))(weights)
    return jax.tree.map(np.asarray, (found, gradients))


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    cases = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps([results(case) for case in cases]))
