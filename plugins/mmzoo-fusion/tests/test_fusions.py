"""Every fusion against its formula, with padded, absent and left-out streams, in half precision, and on one stream."""

import os
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path

import fusion_formulas as formulas
import keras
import numpy as np
import pytest
import tensorflow as tf

from mmzoo import StreamError, make_stream
from mmzoo.registry.discovery import discover

pytestmark = pytest.mark.slow

DIMS = {"video": 7, "sound": 3, "caption": 5}  # in an order that is not the alphabet's
TOKENS = {"video": 4, "sound": 1, "caption": 3}
SMALL = {"dim": 8, "heads": 2, "depth": 2, "mlp": 6}
CASES = {
    "early": ("early", SMALL),
    "early_mean": ("early", SMALL | {"tokens": "mean", "depth": 1}),
    "early_class": ("early", SMALL | {"tokens": "class", "depth": 1}),
    "late": ("late", {"dim": 8}),
    "concat": ("concat", {"dim": 8, "mlp": 6}),
    "gated": ("gated", {"dim": 8}),
    "gated_sigmoid": ("gated", {"dim": 8, "gate": "sigmoid"}),
    "cross_attention": ("cross_attention", SMALL),
    "cross_attention_caption": ("cross_attention", SMALL | {"query": "caption", "depth": 1}),
    "hybrid": ("hybrid", SMALL | {"depth": 1}),
    "bottleneck": ("bottleneck", SMALL | {"bottlenecks": 3, "depth": 3}),
    "bottleneck_mean": ("bottleneck", SMALL | {"bottlenecks": 1, "tokens": "mean"}),
    "bottleneck_class": ("bottleneck", SMALL | {"bottlenecks": 3, "tokens": "class"}),
    "film": ("film", {"dim": 8, "condition": "caption"}),
}
EXCHANGE = ("bottleneck", "cross_attention", "film", "hybrid")
PRESENT = [("video", "sound", "caption"), ("video", "sound"), ("sound", "caption"), ("video",), ("caption",), ()]
"""What is there in each example of a batch."""

every_case = pytest.mark.parametrize("case", CASES)


def make(name: str, **options: object) -> keras.layers.Layer:
    return discover().get("fusion", name).load()(**options)


def streams(seed: int = 0) -> dict:
    """Draws a batch with garbage at its masked places: padding anywhere, and whole streams as `PRESENT` says."""
    rng, given = np.random.default_rng(seed), {}
    for name, dim in DIMS.items():
        mask = rng.random((len(PRESENT), TOKENS[name])) < 0.6
        mask[:, rng.integers(TOKENS[name])] = True
        mask &= np.array([name in present for present in PRESENT])[:, None]
        tokens = np.random.default_rng(1).normal(size=(*mask.shape, dim))
        given[name] = make_stream(
            np.where(mask[..., None], tokens, 1e3 * rng.normal(size=tokens.shape)).astype("float32"), mask
        )
    return given


@cache
def made(case: str, dtype: str | None = None, streams: tuple[str, ...] = tuple(DIMS)) -> keras.layers.Layer:
    """Makes a fusion that is built on the streams, all its weights drawn."""
    name, options = CASES[case]
    fusion = make(name, **options, dtype=dtype)
    fusion({name: make_stream(keras.Input((None, DIMS[name]))) for name in streams})
    rng = np.random.default_rng(5)
    for variable in fusion.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    return fusion


@cache
def fused(case: str) -> dict:
    """Returns what a fusion makes of `streams()`."""
    return made(case)(streams())


def example(given: dict, row: int, names: tuple[str, ...] = tuple(DIMS)) -> dict:
    """Gives the real tokens of one example, float64, without the streams that are absent."""
    real = {name: np.asarray(one["tokens"], "float64")[row][np.asarray(one["mask"])[row]] for name, one in given.items()}
    return {name: tokens for name, tokens in real.items() if len(tokens) and name in names}


def holds(found: dict, row: int, expected: dict, tolerance: float = 1e-4) -> None:
    real = example(found, row, tuple(found))
    assert set(real) == set(expected)
    for name, tokens in expected.items():
        np.testing.assert_allclose(real[name], tokens, rtol=tolerance, atol=tolerance, err_msg=name)


@every_case
def test_formula(case: str) -> None:
    fusion, given, found = made(case), streams(), fused(case)
    for row, present in enumerate(PRESENT):
        holds(found, row, getattr(formulas, CASES[case][0])(fusion, example(given, row)) if present else {})
    assert all(np.isfinite(stream["tokens"]).all() for stream in found.values())


@every_case
def test_what_masked_tokens_hold_changes_nothing_to_the_last_bit(case: str) -> None:
    given, rng = streams(), np.random.default_rng(7)
    others = {
        name: one | {"tokens": np.where(one["mask"][..., None], one["tokens"], 1e4 * rng.normal(size=one["tokens"].shape))}
        for name, one in given.items()
    }
    found = made(case)(others)
    for name, stream in fused(case).items():
        other = found[name]
        np.testing.assert_array_equal(stream["mask"], other["mask"])
        np.testing.assert_array_equal(stream["tokens"] * _real(stream), other["tokens"] * _real(other))


def _real(stream: dict) -> np.ndarray:
    return np.asarray(stream["mask"])[..., None].astype("float32")


@every_case
def test_a_stream_that_is_not_given_is_absent(case: str) -> None:
    fusion, given = made(case), streams()
    for names in (("caption", "video"), ("video",), ("caption",)):
        found = fusion({name: given[name] for name in names})
        for row in range(len(PRESENT)):
            left = example(given, row, names)
            left = {name: left[name] for name in DIMS if name in left}  # in the order that it was built in
            holds(found, row, getattr(formulas, CASES[case][0])(fusion, left) if left else {})
        assert all(np.isfinite(stream["tokens"]).all() for stream in found.values())


def gradients(fusion: keras.layers.Layer, given: dict) -> tuple[dict, list]:
    """Gives the gradients of the sum of all real numbers' squares by the tokens and by the weights."""
    given = tf.nest.map_structure(tf.convert_to_tensor, given)
    tokens = {name: stream["tokens"] for name, stream in given.items()}
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        found = fusion(given)
        total = sum(tf.reduce_sum(tf.where(stream["mask"][..., None], stream["tokens"], 0) ** 2) for stream in found.values())
    return tape.gradient(total, (tokens, [variable.value for variable in fusion.trainable_variables]))


@every_case
def test_gradients_are_finite_and_leave_what_is_masked_alone(case: str) -> None:
    given = streams()
    by_token, by_weight = gradients(made(case), given)
    assert all(np.isfinite(gradient).all() for gradient in by_weight)
    for name, gradient in by_token.items():
        mask = np.asarray(given[name]["mask"])
        assert np.isfinite(gradient).all()
        assert not np.any(gradient.numpy()[~mask])
        assert np.all(np.any(gradient.numpy()[mask], axis=-1))


@every_case
def test_half_precision_is_near(case: str) -> None:
    exact = fused(case)
    for name, stream in made(case, "mixed_float16")(streams()).items():
        assert stream["tokens"].dtype == tf.float16
        assert np.isfinite(stream["tokens"]).all()
        near, expected = (np.asarray(one["tokens"], "float32") * _real(one) for one in (stream, exact[name]))
        np.testing.assert_allclose(near, expected, atol=0.01 * np.abs(expected).max())


ON_JAX = ["gated", "hybrid", "bottleneck_class"]
PAIR = ("video", "caption")  # each stream more is another half of what is compiled


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """Gives streams and gradients of the cases `ON_JAX` on two streams, computed in one process on JAX."""
    folder = tmp_path_factory.mktemp("jax")
    given = {name: tf.nest.map_structure(np.asarray, streams()[name]) for name in PAIR}
    weights = {case: [one.numpy() for one in made(case, streams=PAIR).trainable_variables] for case in ON_JAX}
    cases = [(*CASES[case], {name: DIMS[name] for name in PAIR}, weights[case], given) for case in ON_JAX]
    (folder / "cases").write_bytes(pickle.dumps(cases))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fusions_on_jax.py")), str(folder / "cases"), str(folder / "results")],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(ON_JAX, pickle.loads((folder / "results").read_bytes()), strict=True))


@pytest.mark.parametrize("case", ON_JAX)
def test_the_same_on_jax(on_jax, case: str) -> None:
    fusion, given = made(case, streams=PAIR), {name: streams()[name] for name in PAIR}
    found, by_weight = on_jax[case]
    for row in range(len(PRESENT)):
        real = example(given, row)
        holds(found, row, getattr(formulas, CASES[case][0])(fusion, real) if real else {})
    for variable, gradient, expected in zip(fusion.trainable_variables, by_weight, gradients(fusion, given)[1], strict=True):
        np.testing.assert_allclose(
            gradient, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max() + 1e-5, err_msg=variable.path
        )


def test_early_keeps_the_order_of_the_recipe() -> None:
    given = streams()
    turned = made("early")({name: given[name] for name in reversed(DIMS)})["joint"]
    np.testing.assert_array_equal(turned["mask"], np.concatenate([given[name]["mask"] for name in DIMS], axis=1))
    np.testing.assert_array_equal(turned["tokens"], fused("early")["joint"]["tokens"])


def test_gates_of_two_streams_are_those_of_the_paper() -> None:
    """Arevalo et al. 2017, section 3.1: h = z * h_v + (1 - z) * h_t."""
    fusion = make("gated", dim=4)
    rng = np.random.default_rng(3)
    v, t = rng.normal(size=(2, 5, 3)).astype("float32")
    found = fusion({"v": make_stream(v), "t": make_stream(t)})["joint"]["tokens"][:, 0]
    tied = fusion.gates["v"].kernel.numpy() - fusion.gates["t"].kernel.numpy()
    z = 1 / (1 + np.exp(-np.concatenate([v, t], axis=1) @ tied))
    h_v, h_t = np.tanh(v @ fusion.hidden["v"].kernel.numpy()), np.tanh(t @ fusion.hidden["t"].kernel.numpy())
    np.testing.assert_allclose(found, z * h_v + (1 - z) * h_t, atol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_one_token_is_enough(case: str, recwarn: pytest.WarningsRecorder) -> None:
    """Keras warns of a softmax over one."""
    name, options = CASES[case]
    fusion = make(name, **options | ({"dropout": 0.5} if name not in ("film", "gated") else {}))
    given = {name: make_stream(np.ones((2, dim), "float32")) for name, dim in DIMS.items() if name != "sound"}
    for streams in (given, {"caption": given["caption"]}):
        assert all(np.isfinite(stream["tokens"]).all() for stream in fusion(streams, training=True).values())
    assert not list(recwarn)


@pytest.mark.parametrize("name", EXCHANGE)
def test_one_stream_has_nothing_to_exchange(name: str) -> None:
    fusion = make(name, **({"condition": "caption"} if name == "film" else {}))
    with pytest.raises(StreamError) as raised:
        fusion({"caption": make_stream(keras.Input((3, 5)))})
    assert str(raised.value).splitlines()[-1] == (
        f"the fusion '{name}' takes at least two streams, received one (caption). "
        "Encode another input, or leave the fusion out."
    )


@pytest.mark.parametrize("name", ["early", "late", "concat", "gated"])
def test_one_stream_alone(name: str) -> None:
    fusion = make(name, dim=8)
    found = fusion({"caption": make_stream(np.ones((2, 3, 5), "float32"))})
    assert list(found) == ["caption" if name == "late" else "joint"]


@pytest.mark.parametrize("name", ["early", "cross_attention", "hybrid", "bottleneck"])
def test_heads_share_the_dim(name: str) -> None:
    with pytest.raises(StreamError, match=r"^the dim 6 cannot be divided among 4 heads\. Choose a multiple of 4\.$"):
        make(name, dim=6)


def test_the_joint_stream_has_its_name_alone() -> None:
    fusion = make("hybrid", dim=8)
    with pytest.raises(StreamError) as raised:
        fusion({name: make_stream(keras.Input((3, 5))) for name in ("caption", "joint")})
    text = "the fusion 'hybrid' returns a stream named 'joint', so no input can have that name. Rename the input."
    assert str(raised.value) == text


@pytest.mark.parametrize(("name", "option"), [("cross_attention", "query"), ("film", "condition")])
def test_the_stream_that_is_named_must_be_there(name: str, option: str) -> None:
    fusion = make(name, **{option: "captoin"})
    with pytest.raises(StreamError) as raised:
        fusion({name: make_stream(keras.Input((3, 5))) for name in ("caption", "image")})
    text = f"the fusion '{name}' takes the stream 'captoin', which is not there. Nearest: caption."
    assert str(raised.value).startswith(text)
