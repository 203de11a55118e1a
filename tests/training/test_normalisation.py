"""Averaged weights get the statistics of batch normalisation that they would have had in training."""

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from mmzoo.training.normalisation import recompute_statistics


class Normalised(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.norm = keras.layers.Dense(3), keras.layers.BatchNormalization(momentum=0.9)

    def call(self, features: Any, training: bool = False) -> Any:
        return self.norm(self.dense(features["x"]), training=training)


def test_the_statistics_are_the_mean_over_the_batches():
    rng, model = np.random.default_rng(0), Normalised()
    batches = [{"x": rng.normal(size=(8, 2)).astype("float32")} for _ in range(5)]
    model(batches[0])
    model.norm.moving_mean.assign(np.full(3, 9.0))

    recompute_statistics(model, batches)

    values = [model.dense(batch["x"]).numpy().astype("float64") for batch in batches]
    np.testing.assert_allclose(model.norm.moving_mean, np.mean([one.mean(0) for one in values], axis=0), rtol=1e-5)
    np.testing.assert_allclose(model.norm.moving_variance, np.mean([one.var(0) for one in values], axis=0), rtol=1e-4)
    assert model.norm.momentum == 0.9


def test_a_task_without_batch_normalisation_is_not_called():
    recompute_statistics(SimpleNamespace(_flatten_layers=lambda: [keras.layers.Dense(1)]), iter([None]))
