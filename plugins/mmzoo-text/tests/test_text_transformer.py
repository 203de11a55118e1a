"""The text transformer against CLIP's equations in float64 NumPy, and against the published counts and spreads."""

import keras
import numpy as np
import pytest
from mmzoo_text.text_transformer import TextTransformer

from mmzoo import END, PAD, StreamError

DIM, DEPTH, HEADS, MLP, LENGTH, WORDS = 8, 2, 2, 12, 7, 11
IDS = np.array([[4, 5, 6, END, PAD, PAD, PAD], [10, END, PAD, PAD, PAD, PAD, PAD], [7, 7, 8, 9, 4, 5, END]], "int32")


def encoder(length: int = LENGTH, vocabulary: int = WORDS, **options) -> TextTransformer:
    known = {"shape": [length], "dtype": "int32", "vocabulary": vocabulary}
    return TextTransformer(features=known, **{"dim": DIM, "depth": DEPTH, "heads": HEADS, "mlp": MLP} | options)


def disturbed(layer: TextTransformer) -> TextTransformer:
    """Moves every weight, so that no bias is 0 and no gain is 1."""
    rng = np.random.default_rng(3)
    for weight in layer.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(size=weight.shape) * 0.3)
    return layer


ACTIVATIONS = {"quick_gelu": lambda x: x / (1 + np.exp(-1.702 * x)), "relu": lambda x: np.maximum(x, 0)}


def normal(x: np.ndarray, norm: keras.Layer) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * norm.gamma.numpy() + norm.beta.numpy()


def dense(x: np.ndarray, layer: keras.Layer) -> np.ndarray:
    return x @ layer.kernel.numpy().astype("float64") + layer.bias.numpy()


def attend(x: np.ndarray, attention: keras.Layer) -> np.ndarray:
    """Gives each word a mean of the words up to it, head by head."""
    result = np.zeros_like(x)
    parts = (attention.query_dense, attention.key_dense, attention.value_dense)
    for head in range(HEADS):
        q, k, v = (x @ part.kernel.numpy()[:, head].astype("float64") + part.bias.numpy()[head] for part in parts)
        for at in range(len(x)):
            weights = np.exp(q[at] @ k[: at + 1].T / np.sqrt(DIM / HEADS))
            result[at] += weights @ v[: at + 1] / weights.sum() @ attention.output_dense.kernel.numpy()[head]
    return result + attention.output_dense.bias.numpy()


def states(layer: TextTransformer, row: np.ndarray, activation: str) -> np.ndarray:
    """Computes the states of one text, `(length, dim)`, in float64."""
    tower = layer.transformer
    x = tower.embedding.token_embedding.embeddings.numpy().astype("float64")[row]
    x = x + tower.embedding.position_embedding.position_embeddings.numpy()[: len(row)]
    for block in tower.encoder_layers:
        x = x + attend(normal(x, block.layer_norm_1), block.attention)
        x = x + dense(ACTIVATIONS[activation](dense(normal(x, block.layer_norm_2), block.dense_1)), block.dense_2)
    return normal(x, tower.layer_norm)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_states_are_those_of_the_equations(activation):
    layer = disturbed(encoder(activation=activation, pool="none"))
    stream = layer(IDS)
    np.testing.assert_array_equal(stream["mask"], IDS != PAD)
    for row, found in zip(IDS, stream["tokens"], strict=True):
        real = (row != PAD).sum()
        np.testing.assert_allclose(found[:real], states(layer, row[:real], activation), rtol=2e-4, atol=2e-5)


def test_the_state_at_the_end_is_given():
    layer = disturbed(encoder())
    stream = layer(IDS)
    assert np.all(stream["mask"])
    expected = [states(layer, row[row != PAD], "quick_gelu")[-1:] for row in IDS]
    np.testing.assert_allclose(stream["tokens"], expected, rtol=2e-4, atol=2e-5)


def test_a_text_without_words_is_absent_and_finite():
    stream = encoder()(np.full((2, LENGTH), PAD, "int32"))
    assert not np.any(stream["mask"])
    assert np.all(np.isfinite(stream["tokens"]))


def test_a_text_of_one_id():
    layer = encoder(length=1)
    expected = states(layer, np.array([END]), "quick_gelu")
    np.testing.assert_allclose(layer(np.array([[END]]))["tokens"][0], expected, rtol=1e-4, atol=1e-6)


def test_weights_start_as_clips():
    keras.utils.set_random_seed(1)
    dim, depth = 64, 3
    tower = encoder(vocabulary=400, length=64, dim=dim, depth=depth, mlp=None).transformer
    narrow = dim**-0.5 * (2 * depth) ** -0.5
    spreads = [
        (tower.embedding.token_embedding.embeddings, 0.02),
        (tower.embedding.position_embedding.position_embeddings, 0.01),
    ]
    for block in tower.encoder_layers:
        attention = block.attention
        spreads += [(part.kernel, dim**-0.5) for part in (attention.query_dense, attention.key_dense, attention.value_dense)]
        spreads += [(attention.output_dense.kernel, narrow), (block.dense_1.kernel, (2 * dim) ** -0.5)]
        spreads += [(block.dense_2.kernel, narrow)]
    for weight, spread in spreads:
        assert np.std(weight.numpy()) == pytest.approx(spread, rel=0.06), weight.path
        assert np.abs(weight.numpy().mean()) < 0.1 * spread, weight.path
    assert block.dense_1.kernel.shape == (dim, 4 * dim)


def test_two_encoders_of_one_seed_are_alike():
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        weights.append([weight.numpy() for weight in encoder().variables])
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_heads_that_do_not_divide_the_dim():
    with pytest.raises(StreamError) as error:
        encoder(heads=3)
    assert str(error.value) == "the dim 8 cannot be divided among 3 heads. Choose a multiple of 3."
