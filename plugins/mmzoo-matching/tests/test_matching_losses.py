"""Contrastive losses and their gradients against their formulas in float64."""

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import matching_formulas as formulas
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_matching.info_nce import info_nce
from mmzoo_matching.sigmoid import sigmoid
from mmzoo_matching.triplet import triplet

from mmzoo import MmzooError

pytestmark = pytest.mark.slow

LOSSES = {"info_nce": info_nce, "sigmoid": sigmoid, "triplet": triplet}
KINDS = ["all", "semi_hard", "hardest"]
few = settings(max_examples=25, deadline=None)


def unit(rng, batch, dim=3):
    rows = rng.normal(size=(batch, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("float32")


def pairs_of(rng, batch, things=0, **scalars):
    """Draws a batch; `things` is the number of possible ids, and 0 leaves the ids out."""
    tensors = {"candidate_embedding": unit(rng, batch), "query_embedding": unit(rng, batch)}
    tensors |= {name: np.float32(value) for name, value in scalars.items()}
    return tensors | ({"id": rng.integers(-2, things - 2, batch).astype("int32")} if things else {})


@st.composite
def pairs(draw, **scalars):
    """A batch of one pair or more, with or without ids."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    drawn = {name: draw(st.sampled_from(values)) for name, values in scalars.items()}
    return pairs_of(rng, draw(st.integers(1, 9)), draw(st.sampled_from([0, 1, 3, 9])), **drawn)


def values_and_gradients(loss, tensors, weights):
    tensors = {name: tf.convert_to_tensor(value) for name, value in tensors.items()}
    moving = {name: tensor for name, tensor in tensors.items() if tensor.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(moving)
        values = loss(**tensors)
        total = tf.reduce_sum(values * weights)
    return values, tape.gradient(total, moving)


def weights_of(batch):
    """Returns unequal weights, so that a gradient in the wrong row is noticed."""
    return np.linspace(0.5, 2, batch).astype("float32")


def exact(tensors):
    return {name: value.astype("float64") if value.dtype.kind == "f" else value for name, value in tensors.items()}


def check(found, formula, tensors, weights):
    values, gradients = found
    assert values.shape == weights.shape
    np.testing.assert_allclose(values, formula(**exact(tensors)), rtol=1e-5, atol=1e-5)
    expected = formulas.gradients(formula, exact(tensors), weights)
    assert set(gradients) == set(expected)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


def check_eagerly(name, tensors, **options):
    weights = weights_of(len(tensors["candidate_embedding"]))
    found = values_and_gradients(partial(LOSSES[name], **options), tensors, weights)
    check(found, partial(getattr(formulas, name), **options), tensors, weights)


@few
@given(pairs(logit_scale=[0.1, 1, 20]), st.sampled_from([0.0, 0.1, 0.5]), st.integers(1, 10))
def test_info_nce_is_its_formula(tensors, smoothing, block):
    check_eagerly("info_nce", tensors, label_smoothing=smoothing, block=block)


@few
@given(pairs(logit_scale=[0.1, 1, 20], logit_bias=[-10, 0, 3]), st.integers(1, 10))
def test_sigmoid_is_its_formula(tensors, block):
    check_eagerly("sigmoid", tensors, block=block)


@few
@given(pairs(), st.sampled_from(KINDS), st.sampled_from([0.05, 0.2, 1.0]), st.sampled_from(["cosine", "euclidean"]))
def test_triplet_is_its_formula(tensors, negatives, margin, distance):
    check_eagerly("triplet", tensors, negatives=negatives, margin=margin, distance=distance)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("name", "scalars"), [("info_nce", {"logit_scale": 5}), ("sigmoid", {"logit_scale": 5, "logit_bias": -2})]
)
def test_embeddings_in_half_precision(name, scalars, dtype):
    tensors = pairs_of(np.random.default_rng(2), 7, 4, **scalars)
    half = {key: tf.cast(value, dtype) if value.ndim == 2 else tf.constant(value) for key, value in tensors.items()}
    rounded = {
        key: tf.cast(value, tf.float32).numpy() if value.dtype == dtype else value.numpy() for key, value in half.items()
    }
    values, gradients = values_and_gradients(LOSSES[name], half, weights_of(7))
    np.testing.assert_allclose(values, getattr(formulas, name)(**exact(rounded)), rtol=1e-5, atol=1e-5)
    assert all(np.isfinite(tf.cast(gradient, tf.float32)).all() for gradient in gradients.values())


CASES = [
    ("info_nce", {"logit_scale": 5}, {"block": 3, "label_smoothing": 0.1}),
    ("info_nce", {"logit_scale": 5}, {}),
    ("sigmoid", {"logit_scale": 5, "logit_bias": -2}, {"block": 3}),
    *(("triplet", {}, {"negatives": kind}) for kind in KINDS),
    ("triplet", {}, {"negatives": "hardest", "distance": "euclidean"}),
]


def numbered_cases():
    """Returns every case with and without ids: its loss, tensors, options and weights."""
    rng = np.random.default_rng(3)
    drawn = [(name, pairs_of(rng, 7, things, **scalars), options) for name, scalars, options in CASES for things in (0, 4)]
    return [(name, tensors, options, weights_of(7)) for name, tensors, options in drawn]


@pytest.fixture(scope="module")
def on_jax(tmp_path_factory):
    """Returns values and gradients of every case, computed in one process on JAX."""
    folder = tmp_path_factory.mktemp("jax")
    (folder / "cases").write_bytes(pickle.dumps(numbered_cases()))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("losses_on_jax.py")), str(folder / "cases"), str(folder / "results")],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads((folder / "results").read_bytes())


@pytest.mark.parametrize("number", range(2 * len(CASES)))
def test_the_same_on_jax(on_jax, number):
    name, tensors, options, weights = numbered_cases()[number]
    check(on_jax[number], partial(getattr(formulas, name), **options), tensors, weights)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("number", range(2 * len(CASES)))
def test_the_same_in_a_graph_of_any_batch(number, compiled):
    name, tensors, options, weights = numbered_cases()[number]
    both = partial(values_and_gradients, partial(LOSSES[name], **options))
    graph = tf.function(both, jit_compile=compiled, autograph=False)
    specs = {key: tf.TensorSpec((None,) * bool(value.ndim) + value.shape[1:], value.dtype) for key, value in tensors.items()}
    found = graph.get_concrete_function(specs, tf.TensorSpec((None,)))(tensors, weights)
    check(found, partial(getattr(formulas, name), **options), tensors, weights)


class Symbolic(keras.Operation):
    """Calls a loss on symbolic tensors."""

    def __init__(self, loss):
        super().__init__()
        self.call = loss


@pytest.mark.parametrize(("name", "tensors", "options", "weights"), numbered_cases())
def test_symbolic_tensors_give_one_number_per_example(name, tensors, options, weights):
    symbols = {
        key: keras.KerasTensor((None,) * bool(value.ndim) + value.shape[1:], value.dtype.name) for key, value in tensors.items()
    }
    assert Symbolic(partial(LOSSES[name], **options))(**symbols).shape == (None,)


@pytest.mark.parametrize(
    "loss", [partial(info_nce, logit_scale=5.0, block=8), partial(sigmoid, logit_scale=5.0, logit_bias=0.0, block=8)]
)
def test_no_matrix_of_the_whole_batch_is_made(loss):
    # 64 pairs of 4 numbers in blocks of 8 rows: nothing may be larger than a block of logits, and no loop may keep its blocks.
    tensors = {
        "candidate_embedding": tf.TensorSpec((64, 4)),
        "query_embedding": tf.TensorSpec((64, 4)),
        "id": tf.TensorSpec(64, tf.int32),
    }
    graph = tf.function(partial(values_and_gradients, loss), autograph=False)
    concrete = graph.get_concrete_function(tensors, tf.TensorSpec(64))
    inner = [concrete.graph, *(function.graph for function in concrete.graph._functions.values())]
    made = [(op.type, output.shape) for graph in inner for op in graph.get_operations() for output in op.outputs]
    assert any(kind == "MatMul" and shape == (8, 64) for kind, shape in made)
    assert max(shape.num_elements() or 0 for _, shape in made if shape.rank is not None) <= 8 * 64
    assert not [kind for kind, _ in made if kind.startswith("TensorList")]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("batch", [1, 2, 50])
def test_info_nce_of_equal_similarities_is_the_logarithm_of_the_batch(batch, smoothing):
    same = np.tile(unit(np.random.default_rng(0), 1), (batch, 1))
    np.testing.assert_allclose(info_nce(same, same, 10.0, label_smoothing=smoothing), np.full(batch, np.log(batch)), atol=1e-5)


def test_info_nce_is_least_where_all_captions_of_a_picture_are_equally_near():
    # Gibbs: with two positives each no embedding costs less than log 2.
    image = np.eye(4, dtype="float32")[[0, 0, 1, 1]]
    id = np.array([8, 8, 5, 5], "int32")
    np.testing.assert_allclose(info_nce(image, image, 50.0, id), np.full(4, np.log(2)), rtol=1e-5)
    assert (np.array(info_nce(image, image[[0, 2, 1, 3]], 50.0, id))[1:3] > 1 + np.log(2)).all()


@pytest.mark.parametrize(
    ("name", "scalars", "options", "expected"),
    [
        ("info_nce", {"logit_scale": 10}, {}, lambda own: 0),
        ("info_nce", {"logit_scale": 10}, {"label_smoothing": 0.2}, lambda own: 0),
        ("sigmoid", {"logit_scale": 10, "logit_bias": -2}, {}, lambda own: np.logaddexp(0, 2 - 10 * own)),
        *(("triplet", {}, {"negatives": kind}, lambda own: 0) for kind in KINDS),
    ],
)
@pytest.mark.parametrize("things", [0, 1])
def test_one_pair_has_no_negatives(name, scalars, options, expected, things):
    tensors = pairs_of(np.random.default_rng(1), 1, things, **scalars)
    values, gradients = values_and_gradients(partial(LOSSES[name], **options), tensors, np.ones(1, "float32"))
    own = np.sum(tensors["candidate_embedding"] * tensors["query_embedding"])
    np.testing.assert_allclose(values, [expected(own)], atol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize("kind", KINDS)
def test_euclidean_triplet_has_a_finite_gradient_where_texts_are_their_pictures(kind):
    rows = unit(np.random.default_rng(0), 4)
    loss = partial(triplet, negatives=kind, distance="euclidean", margin=3.0)
    _, gradients = values_and_gradients(loss, {"candidate_embedding": rows, "query_embedding": rows}, weights_of(4))
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize("kind", KINDS)
def test_triplet_counts_all_negatives_until_it_is_warm(kind):
    tensors = pairs_of(np.random.default_rng(5), 6)
    loss = tf.function(partial(triplet, negatives=kind, warm_up=100, **tensors), autograph=False)
    every, picked = (formulas.triplet(**exact(tensors), negatives=which) for which in ("all", kind))
    for step, expected in [(0, every), (99, every), (100, picked), (101, picked)]:
        np.testing.assert_allclose(loss(step=tf.constant(step, tf.int64)), expected, rtol=1e-5, atol=1e-5)


def test_a_warm_up_needs_the_step():
    with pytest.raises(MmzooError) as error:
        triplet(**pairs_of(np.random.default_rng(0), 3), warm_up=10)
    message = "the loss 'triplet' received no `step`; expected the number of updates, since there is a warm-up."
    assert str(error.value) == message
