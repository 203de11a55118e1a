"""Computes losses and their gradients on JAX: reads cases from a pickle, writes `[(values, gradients)]` to another."""

import pickle
import sys
from functools import partial
from pathlib import Path

import jax
import keras
import numpy as np

from mmzoo.registry.discovery import discover


def results(case):
    name, tensors, options, weights = case
    loss = partial(discover().get("loss", name).load(), **options)
    floats = {key: value for key, value in tensors.items() if np.asarray(value).dtype.kind == "f"}
    integers = {key: value for key, value in tensors.items() if key not in floats}

    def total(floats, integers):
        values = loss(**floats, **integers)
        return (weights * values).sum(), values

    gradients, values = jax.jit(jax.grad(total, has_aux=True))(floats, integers)
    return np.asarray(values), {key: np.asarray(value) for key, value in gradients.items()}


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    cases = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_bytes(pickle.dumps([results(case) for case in cases]))
