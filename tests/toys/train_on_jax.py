"""Trains recipes on JAX in a process of its own: `train_on_jax.py OUT RECIPE ...`; the test reads OUT/said.json.

The first run is evaluated by a child process under TensorFlow, as a build does it; what else is to be done is left to the test.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace as Namespace
from typing import Any

from mmzoo.contracts.progress import Screen
from mmzoo.registry.discovery import discover


def train(out: Path, recipes: list[Path]) -> None:
    building = importlib.import_module("mmzoo.build")
    finish = building._finish_under_tensorflow
    building._finish_under_tensorflow = lambda run, _: finish(run, ["evaluation"])
    for recipe in recipes:
        building.build(recipe, out=out / recipe.stem, overrides=["train.backend=jax"], screen=Screen(quiet=True))
        building._finish_under_tensorflow = lambda *_: None


def gradients() -> dict[str, dict[str, float]]:
    """Gives, for each score of the toy GAN, the largest gradient that reaches its generator and its discriminator."""
    import jax
    import keras
    import numpy as np
    from keras import ops

    known = {"image": {"shape": [9, 9, 3], "dtype": "uint8", "vocabulary": None}}
    head = discover().get("head", "toy_gan").load()(inputs=known, target="image")
    tokens = np.random.default_rng(0).normal(size=(4, 2, 5)).astype("float32")
    batch = {"caption": {"tokens": tokens, "mask": np.ones((4, 2), bool)}}, {"image": np.zeros((4, 9, 9, 3), "uint8")}
    head(*keras.tree.map_structure(lambda value: keras.KerasTensor(value.shape, value.dtype.name), batch))

    def totals(weights: Any) -> Any:
        state = [variable.value for variable in head.non_trainable_variables]
        return {score: ops.sum(values) for score, values in head.stateless_call(weights, state, *batch)[0].items()}

    found: dict[str, dict[str, float]] = {}
    slopes = jax.jit(jax.jacrev(totals))([variable.value for variable in head.trainable_variables])  # compiled once for all
    for score, values in slopes.items():
        for variable, value in zip(head.trainable_variables, values, strict=True):
            part, largest = variable.path.split("/")[1], float(np.abs(value).max())
            found.setdefault(score, {})[part] = max(largest, found.get(score, {}).get(part, 0.0))
    return found


def players() -> list[tuple[list[float], list[float]]]:
    """Gives the variables of two players after updates by the optimizers of a recipe, and after those of two of Keras'."""
    import keras
    import numpy as np

    from mmzoo.recipe.settings import Train
    from mmzoo.training.optimizer import make_optimizer

    def variables() -> list[Any]:
        return [keras.Variable(np.ones(3, "float32")), keras.Variable(np.ones(3, "float32"))]

    together, alone = variables(), variables()
    train = Train(optimizers={"one": {"type": "adam", "learning_rate": 0.1}, "two": {"type": "sgd", "learning_rate": 0.5}})
    layers = {name: [Namespace(trainable_variables=[own])] for name, own in zip(train.optimizers, together, strict=True)}
    optimizer, separate = make_optimizer(train, 10, layers), (keras.optimizers.Adam(0.1), keras.optimizers.SGD(0.5))
    for step in range(1, 4):
        gradients = [keras.ops.full((3,), step * 0.5), keras.ops.full((3,), -step * 1.0)]
        optimizer.apply(gradients, together)
        for each, gradient, variable in zip(separate, gradients, alone, strict=True):
            each.apply([gradient], [variable])
    return [(one.numpy().tolist(), other.numpy().tolist()) for one, other in zip(together, alone, strict=True)]


if __name__ == "__main__":
    assert "keras" not in sys.modules
    assert "KERAS_BACKEND" not in os.environ
    out, *recipes = map(Path, sys.argv[1:])
    train(out, recipes)
    import keras

    said = {"backend": keras.backend.backend(), "gradients": gradients(), "players": players()}
    (out / "said.json").write_text(json.dumps(said))
