"""A question that neither stream answers alone: whether two signs are the same."""

import keras
import numpy as np
import pytest

from mmzoo import make_stream, pool
from mmzoo.registry.discovery import discover

pytestmark = pytest.mark.slow

SMALL = {"dim": 16, "heads": 2, "depth": 1}
# One for each way in which streams meet: hybrid is cross_attention both ways, and concat is early without attention.
FUSIONS = {
    "early": SMALL,
    "cross_attention": SMALL,
    "bottleneck": SMALL | {"depth": 2},
    "gated": {"dim": 16},
    "film": {"dim": 16, "condition": "b"},
}
SHAPES = {"a": (3, 6), "b": (1, 4)}
TRAIN, TEST = 512, 256


def signs(seed: int, count: int) -> tuple[dict, np.ndarray]:
    """Draws streams that each show a sign, by one of their real tokens, and whether the two are the same."""
    rng = np.random.default_rng(seed)
    sign = {name: rng.choice([-1, 1], count) for name in SHAPES}
    streams = {}
    for name, (tokens, dim) in SHAPES.items():
        drawn = 0.3 * rng.normal(size=(count, tokens, dim))
        place = rng.integers(tokens, size=count)
        drawn[np.arange(count), place, :2] += 2 * sign[name][:, None]
        mask = (rng.random((count, tokens)) < 0.7) | (np.arange(tokens) == place[:, None])
        drawn[~mask] = rng.normal(scale=5, size=(int((~mask).sum()), dim))
        streams[name] = make_stream(drawn.astype("float32"), mask)
    return streams, (sign["a"] == sign["b"]).astype("float32")


def accuracy(name: str, **options: object) -> float:
    """Trains a fusion and a linear decision on each stream that it gives, their logits added; accuracy on other examples."""
    keras.utils.set_random_seed(1)
    symbols = {
        name: {"tokens": keras.Input((tokens, dim)), "mask": keras.Input((tokens,), dtype="bool")}
        for name, (tokens, dim) in SHAPES.items()
    }
    given = discover().get("fusion", name).load()(**options)(symbols)
    logits = sum(keras.layers.Dense(1)(pool(stream)) for stream in given.values())
    model = keras.Model(symbols, logits[:, 0])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # in the first step, TensorFlow would trace the step twice
    streams, same = signs(0, TRAIN)
    model.fit(streams, same, batch_size=64, epochs=10, verbose=0)
    streams, same = signs(1, TEST)
    return float(np.mean((model.predict_on_batch(streams) > 0) == same))


@pytest.mark.parametrize("name", FUSIONS)
def test_streams_that_meet_learn_it(name: str) -> None:
    assert accuracy(name, **FUSIONS[name]) > 0.95


def test_late_cannot() -> None:
    """A sum of a decision on each stream is right for three of the four pairs of signs at most."""
    assert accuracy("late", dim=16) < 0.8
