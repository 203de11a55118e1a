"""The recurrent encoders against their equations in float64 NumPy, word by word."""

import keras
import numpy as np
import pytest
from mmzoo_text.recurrent import GRU, LSTM

from mmzoo import END, PAD, StreamError

WORDS, DIM, UNITS, LENGTH = 9, 4, 5, 6
BOTH = pytest.mark.parametrize("kind", [GRU, LSTM])
IDS = np.array([[4, 5, 6, END, PAD, PAD], [8, END, PAD, PAD, PAD, PAD], [7, 7, 8, 6, 4, END]], "int32")


def encoder(kind, **options):
    known = {"shape": [LENGTH], "dtype": "int32", "vocabulary": WORDS}
    layer = kind(features=known, **{"dim": DIM, "units": UNITS, "dropout": 0.0} | options)
    layer(IDS[:, :1])  # builds it in one step
    rng = np.random.default_rng(2)
    for weight in layer.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.7)
    return layer


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def run(layer: keras.layers.Layer, words: np.ndarray) -> np.ndarray:
    weights = [weight.numpy().astype("float64") for weight in layer.trainable_variables]
    return (run_lstm if isinstance(layer, keras.layers.LSTM) else run_gru)(*weights, words)


def run_gru(kernel, recurrent, bias, words):
    """Gives the state after each word of one text (Cho et al. 2014, with the reset gate after the product)."""
    state, states = np.zeros(len(recurrent)), []
    for word in words:
        z, r, new = np.split(word @ kernel + bias[0], 3)
        z_state, r_state, new_state = np.split(state @ recurrent + bias[1], 3)
        z, r = sigmoid(z + z_state), sigmoid(r + r_state)
        state = z * state + (1 - z) * np.tanh(new + r * new_state)
        states.append(state)
    return np.array(states)


def run_lstm(kernel, recurrent, bias, words):
    """Gives the state after each word of one text (Gers et al. 2000)."""
    state, cell, states = np.zeros(len(recurrent)), np.zeros(len(recurrent)), []
    for word in words:
        read, kept, new, shown = np.split(word @ kernel + state @ recurrent + bias, 4)
        cell = sigmoid(kept) * cell + sigmoid(read) * np.tanh(new)
        state = sigmoid(shown) * np.tanh(cell)
        states.append(state)
    return np.array(states)


def merged(forward, backward, merge):
    return np.concatenate([forward, backward], axis=-1) if merge == "concatenate" else (forward + backward) / 2


def states(layer, row: np.ndarray, merge: str = "average") -> np.ndarray:
    found = layer.embedding.embeddings.numpy()[row[row != PAD]]
    for one in layer.layers:
        if isinstance(one, keras.layers.Bidirectional):
            found = merged(run(one.forward_layer, found), run(one.backward_layer, found[::-1])[::-1], merge)
        else:
            found = run(one, found)
    return found


@BOTH
@pytest.mark.parametrize(("merge", "depth"), [(None, 1), (None, 2), ("average", 2), ("concatenate", 2)])
def test_states_are_those_of_the_equations(kind, depth, merge):
    directions = {"bidirectional": True, "merge": merge} if merge else {}
    layer = encoder(kind, depth=depth, pool="none", **directions)
    for training in (False, True):
        stream = layer(IDS, training=training)
        np.testing.assert_array_equal(stream["mask"], IDS != PAD)
        for row, found in zip(IDS, stream["tokens"], strict=True):
            expected = states(layer, row, merge)
            assert found.shape == (LENGTH, UNITS * (1 + (merge == "concatenate")))
            np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-4, atol=1e-5)


@BOTH
@pytest.mark.parametrize("depth", [1, 2])
def test_the_state_after_the_last_word_is_given(kind, depth):
    layer = encoder(kind, depth=depth)
    stream = layer(IDS)
    assert np.all(stream["mask"])
    np.testing.assert_allclose(stream["tokens"], [states(layer, row)[-1:] for row in IDS], rtol=1e-4, atol=1e-5)


@BOTH
@pytest.mark.parametrize("merge", ["average", "concatenate"])
def test_both_sides_end_where_they_have_read_all(kind, merge):
    layer = encoder(kind, bidirectional=True, merge=merge)
    (one,), row = layer.layers, IDS[0][:4]
    words = layer.embedding.embeddings.numpy()[row]
    expected = merged(run(one.forward_layer, words)[-1], run(one.backward_layer, words[::-1])[-1], merge)
    np.testing.assert_allclose(layer(IDS)["tokens"][0, 0], expected, rtol=1e-4, atol=1e-5)


@BOTH
def test_one_direction_cannot_be_concatenated(kind):
    with pytest.raises(StreamError) as caught:
        encoder(kind, merge="concatenate")
    text = "`merge: concatenate` joins two directions, received one; set `bidirectional: true`."
    assert str(caught.value) == text


@BOTH
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_text_without_words_is_absent_and_finite(kind, bidirectional):
    stream = encoder(kind, bidirectional=bidirectional)(np.full((2, LENGTH), PAD, "int32"))
    assert not np.any(stream["mask"])
    assert np.all(np.isfinite(stream["tokens"]))


@pytest.mark.parametrize(("kind", "drops_last"), [(GRU, True), (LSTM, False)])
def test_what_dropout_applies_to(kind, drops_last):
    keras.utils.set_random_seed(1)
    layer = encoder(kind, pool="none", dropout=0.5)
    found = layer(IDS, training=True)["tokens"].numpy()
    assert np.any(found[IDS != PAD] == 0) == drops_last
    assert not np.allclose(found, layer(IDS, training=False)["tokens"])  # the embeddings, in both


@pytest.mark.usefixtures("uninitialized")
def test_the_count_is_that_of_vse():
    layer = GRU(features={"shape": [4], "dtype": "int32", "vocabulary": 7})
    layer(keras.KerasTensor((None, 4), "int32"))
    assert layer.layers[0].count_params() == 4_073_472
    assert layer.count_params() == 4_073_472 + 7 * 300


@pytest.mark.usefixtures("uninitialized")
@pytest.mark.parametrize(("vocabulary", "published"), [(5_450, 2_075_320), (27_297, 8_629_420)])
def test_the_count_is_that_of_attngan(vocabulary, published):
    layer = LSTM(
        features={"shape": [18], "dtype": "int32", "vocabulary": vocabulary},
        bidirectional=True,
        merge="concatenate",
        pool="none",
    )
    stream = layer(keras.KerasTensor((None, 18), "int32"))
    assert stream["tokens"].shape == (None, 18, 256)
    second_biases = 2 * 4 * 128  # PyTorch has two biases for each gate, Keras has one
    assert layer.count_params() == published - second_biases


@BOTH
def test_embeddings_start_as_published(kind):
    keras.utils.set_random_seed(1)
    layer = kind(features={"shape": [4], "dtype": "int32", "vocabulary": 200}, units=1)
    layer(np.ones((1, 1), "int32"))
    start = layer.embedding.embeddings.numpy()
    assert -0.1 <= start.min() < -0.099
    assert 0.099 < start.max() <= 0.1


@pytest.mark.parametrize(("kind", "op"), [(GRU, "gru"), (LSTM, "lstm")])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_cudnn_is_for_training_alone(kind, op, bidirectional, monkeypatch):
    """A graph with cuDNN's op cannot be served without a GPU."""
    asked = []

    def fused(*_, **__):
        asked.append(True)
        raise NotImplementedError

    layer = encoder(kind, bidirectional=bidirectional)
    monkeypatch.setattr(f"keras.src.backend.{op}", fused)
    layer(IDS, training=True)
    assert len(asked) == 1 + bidirectional
    layer(IDS, training=False)
    assert len(asked) == 1 + bidirectional
