"""The GRU against its equations in float64 NumPy, word by word."""

import keras
import numpy as np
import pytest
from mmzoo_text.gru import GRU

from mmzoo import END, PAD

WORDS, DIM, UNITS, LENGTH = 9, 4, 5, 6
IDS = np.array([[4, 5, 6, END, PAD, PAD], [8, END, PAD, PAD, PAD, PAD], [7, 7, 8, 6, 4, END]], "int32")


def encoder(**options) -> GRU:
    known = {"shape": [LENGTH], "dtype": "int32", "vocabulary": WORDS}
    layer = GRU(features=known, **{"dim": DIM, "units": UNITS} | options)
    layer(IDS)
    rng = np.random.default_rng(2)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.7)
    return layer


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run(gru: keras.layers.GRU, words: np.ndarray) -> np.ndarray:
    """Gives the state after each word of one text (Cho et al. 2014, with the reset gate after the product)."""
    kernel, recurrent, bias = (weight.numpy().astype("float64") for weight in gru.trainable_variables)
    state, states = np.zeros(gru.units), []
    for word in words:
        z, r, new = np.split(word @ kernel + bias[0], 3)
        z_state, r_state, new_state = np.split(state @ recurrent + bias[1], 3)
        z, r = sigmoid(z + z_state), sigmoid(r + r_state)
        state = z * state + (1 - z) * np.tanh(new + r * new_state)
        states.append(state)
    return np.array(states)


def states(layer: GRU, row: np.ndarray) -> np.ndarray:
    found = layer.embedding.embeddings.numpy()[row[row != PAD]]
    for one in layer.layers:
        if isinstance(one, keras.layers.Bidirectional):
            found = (run(one.forward_layer, found) + run(one.backward_layer, found[::-1])[::-1]) / 2
        else:
            found = run(one, found)
    return found


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_states_are_those_of_the_equations(depth, bidirectional):
    layer = encoder(depth=depth, bidirectional=bidirectional, pool="none")
    for training in (False, True):
        stream = layer(IDS, training=training)
        np.testing.assert_array_equal(stream["mask"], IDS != PAD)
        for row, found in zip(IDS, stream["tokens"], strict=True):
            expected = states(layer, row)
            np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2])
def test_the_state_after_the_last_word_is_given(depth):
    layer = encoder(depth=depth)
    stream = layer(IDS)
    assert np.all(stream["mask"])
    np.testing.assert_allclose(stream["tokens"], [states(layer, row)[-1:] for row in IDS], rtol=1e-4, atol=1e-5)


def test_both_sides_end_where_they_have_read_all():
    layer = encoder(bidirectional=True)
    (one,), row = layer.layers, IDS[0][:4]
    words = layer.embedding.embeddings.numpy()[row]
    expected = (run(one.forward_layer, words)[-1] + run(one.backward_layer, words[::-1])[-1]) / 2
    np.testing.assert_allclose(layer(IDS)["tokens"][0, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_text_without_words_is_absent_and_finite(bidirectional):
    stream = encoder(bidirectional=bidirectional)(np.full((2, LENGTH), PAD, "int32"))
    assert not np.any(stream["mask"])
    assert np.all(np.isfinite(stream["tokens"]))


def test_the_count_is_that_of_vse():
    layer = GRU(features={"shape": [4], "dtype": "int32", "vocabulary": 7})
    layer(np.ones((1, 4), "int32"))
    assert layer.layers[0].count_params() == 4_073_472
    assert layer.count_params() == 4_073_472 + 7 * 300


def test_embeddings_start_as_those_of_vse():
    keras.utils.set_random_seed(1)
    layer = GRU(features={"shape": [4], "dtype": "int32", "vocabulary": 200}, units=1)
    layer(np.ones((1, 4), "int32"))
    start = layer.embedding.embeddings.numpy()
    assert -0.1 <= start.min() < -0.099
    assert 0.099 < start.max() <= 0.1


@pytest.mark.parametrize("bidirectional", [False, True])
def test_cudnn_is_for_training_alone(bidirectional, monkeypatch):
    """A graph with cuDNN's op cannot be served without a GPU."""
    asked = []

    def fused(*_, **__):
        asked.append(True)
        raise NotImplementedError

    layer = encoder(bidirectional=bidirectional)
    monkeypatch.setattr("keras.src.backend.gru", fused)
    layer(IDS, training=True)
    assert len(asked) == 1 + bidirectional
    layer(IDS, training=False)
    assert len(asked) == 1 + bidirectional
