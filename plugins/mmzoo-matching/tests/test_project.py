"""The fusion `project` against its formula in float64, in half precision, and with absent streams."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_matching.project import Project

from mmzoo import make_stream, unit

DIMS = {"image": 7, "caption": 5, "sound": 3}


def streams(seed: int = 0, batch: int = 4, tokens: int = 6) -> dict:
    rng = np.random.default_rng(seed)
    mask = np.arange(tokens) < rng.integers(1, tokens, (batch, 1))
    return {name: make_stream(rng.normal(size=(batch, tokens, dim)).astype("float32"), mask) for name, dim in DIMS.items()}


@pytest.mark.parametrize("bias", [False, True])
def test_formula(bias: bool) -> None:
    project, given = Project(dim=4, use_bias=bias), streams()
    found = project(given)
    assert list(found) == list(DIMS)
    for name, stream in given.items():
        layer = project.projections[name]
        if bias:
            layer.bias.assign([0.5, -1, 2, 0])
        real = np.asarray(stream["mask"], "float64")[..., None]
        mean = (np.asarray(stream["tokens"], "float64") * real).sum(1) / real.sum(1)
        projected = mean @ layer.kernel.numpy().astype("float64") + (layer.bias.numpy() if bias else 0)
        expected = projected / np.linalg.norm(projected, axis=1, keepdims=True)
        np.testing.assert_allclose(project(given)[name]["tokens"][:, 0], expected, atol=1e-6)
        assert found[name]["mask"].shape == (4, 1)
        assert np.all(found[name]["mask"])


def test_an_absent_stream_stays_absent_and_its_gradient_is_finite() -> None:
    given = streams()
    given["image"]["mask"] = np.zeros_like(given["image"]["mask"])
    project = Project(dim=4)
    with tf.GradientTape() as tape:
        found = project(given)
        total = sum(tf.reduce_sum(stream["tokens"][..., 0]) for stream in found.values())
    assert not np.any(found["image"]["mask"])
    assert not np.any(found["image"]["tokens"])
    assert np.all(found["caption"]["mask"])
    for gradient in tape.gradient(total, [weight.value for weight in project.trainable_variables]):
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [1.0, 1e-3, 1e3])
def test_half_precision_gives_vectors_of_length_1_in_float32(policy: str, size: float) -> None:
    given = {name: stream | {"tokens": stream["tokens"] * size} for name, stream in streams().items()}
    for stream in Project(dim=4, dtype=policy)(given).values():
        assert stream["tokens"].dtype == tf.float32
        np.testing.assert_allclose(np.linalg.norm(stream["tokens"], axis=-1), 1, atol=1e-6)


@pytest.mark.parametrize(("read", "dim", "bias", "weights"), [(768, 512, False, 393_216), (2048, 1024, True, 2_098_176)])
def test_weights_of_clip_and_of_vse(read: int, dim: int, bias: bool, weights: int) -> None:
    project = Project(dim=dim, use_bias=bias)
    project({"image": make_stream(keras.Input((read,)))})
    assert project.count_params() == weights


def test_the_gradient_of_a_length_is_that_of_the_formula() -> None:
    """The Jacobian of x / |x| is (1 - u u^T) / |x|, with u = x / |x|."""
    x = np.array([3.0, -4.0, 12.0])
    with tf.GradientTape() as tape:
        given = tf.constant(x[None], tf.float32)
        tape.watch(given)
        found = unit(given)[0]
    u = x / 13
    np.testing.assert_allclose(tape.jacobian(found, given)[:, 0], (np.eye(3) - np.outer(u, u)) / 13, atol=1e-6)
