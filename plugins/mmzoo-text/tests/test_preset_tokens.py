"""The preset_tokens processor against KerasHub's own tokenizers and preprocessors, from folders that KerasHub wrote."""

import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unicodedata import normalize

import keras
import keras_hub
import numpy as np
import pytest
import sentencepiece
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_text.preset_tokens import PresetTokens

from mmzoo import PAD, DataError
from mmzoo.testing import HARD_TEXTS, ProcessorCase, check, properties

LENGTH = 24
TEXTS = [
    "A red square",
    "a well-known   man's hat, please! We'll, I'VE, don't",
    "",
    "   ",
    " leading and trailing  ",
    "in 2024 there were 1234567 of them",
    "Fußgänger ÜBERQUEREN (die) Straße.",
    "红色的方块，在左边。 好 ok",
    "مربع أحمر 👩🏽\u200d🍳",
    "tabs\tand\nlines\r\n\nno\u00a0break\u3000wide",
    "<s> </s> <pad> <|endoftext|> [SEP] <unk>!",
    "! !! 0",
]
ALPHABET = "aredZé9ß 's!\n\t\u00a0\u3000红ー🍕م\u0301<|>/६"
HARD = "aredthsonZÉß9९६ĴΣİ '!\n\t\u00a0\u3000\x00\x1c\u0085\u2009红ー🍕م\u0301<|>/½²Ⅷ_\ufffe\u200d"
MERGES = [
    "Ġ a",
    "r e",
    "re d",
    "Ġ red",
    "e r",
    "i n",
    "t h",
    "th e",
    "Ġ the",
    "o n</w>",
    "e d</w>",
    "a n",
    "an d</w>",
    "Ġ s",
    "' s",
]
models = keras_hub.models
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),  # KerasHub closes no SentencePiece file
    pytest.mark.slow,
]


def letters() -> list[str]:
    """Gives the characters that stand for the 256 bytes, GPT-2's way: those without a shape of their own begin at 256."""
    shaped = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in shaped] + [chr(256 + i) for i in range(256 - len(shaped))]


def vocabulary(*special: str, last: tuple[str, ...] = ()) -> dict[str, int]:
    merged = [merge.replace(" ", "") for merge in MERGES]
    pieces = [*special, *letters(), *(letter + "</w>" for letter in letters()), *merged, *last]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def sentences(**options) -> bytes:
    written = io.BytesIO()
    texts = iter([text for text in TEXTS if text.strip()] * 5)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts, model_writer=written, vocab_size=110, hard_vocab_limit=False, minloglevel=2, **options
    )
    return written.getvalue()


T5 = {"bos_id": -1, "pad_id": 0, "eos_id": 1, "unk_id": 2}
ALBERT = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
WIDTH = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}


def clip(size: int) -> models.CLIPBackbone:
    tower = models.CLIPVisionEncoder(8, 8, 1, 2, 16, image_shape=(16, 16, 3))
    return models.CLIPBackbone(
        tower, models.CLIPTextEncoder(size, 8, 8, 1, 2, 16, max_sequence_length=LENGTH), projection_dim=4
    )


def siglip(size: int) -> models.SigLIPBackbone:
    tower = models.SigLIPVisionEncoder(8, 8, 2, 1, 16, image_shape=(16, 16, 3))
    text = models.SigLIPTextEncoder(size, 8, 8, 2, 1, 16, max_sequence_length=LENGTH)
    return models.SigLIPBackbone(tower, text)


MADE = {
    "gpt2": (
        lambda: models.GPT2Tokenizer(vocabulary(last=("<|endoftext|>",)), MERGES),
        lambda size: models.GPT2Backbone(size, max_sequence_length=LENGTH, **WIDTH),
        models.GPT2CausalLMPreprocessor,
    ),
    "clip": (
        lambda: models.CLIPTokenizer(vocabulary(last=("<|startoftext|>", "<|endoftext|>")), MERGES, pad_with_end_token=True),
        clip,
        models.CLIPPreprocessor,
    ),
    "albert": (
        lambda: models.AlbertTokenizer(sentences(**ALBERT, user_defined_symbols="[MASK]")),
        lambda size: models.AlbertBackbone(size, embedding_dim=4, max_sequence_length=LENGTH, **WIDTH),
        models.AlbertTextClassifierPreprocessor,
    ),
    "xlm_roberta": (
        lambda: models.XLMRobertaTokenizer(sentences()),
        lambda size: models.XLMRobertaBackbone(size, max_sequence_length=LENGTH, **WIDTH),
        models.XLMRobertaTextClassifierPreprocessor,
    ),
    "siglip": (lambda: models.SigLIPTokenizer(sentences(**T5)), siglip, models.SigLIPPreprocessor),
    "t5": (
        lambda: models.T5Tokenizer(sentences(**T5)),
        lambda size: models.T5Backbone(size, 1, 2, 8, 16),
        models.T5Preprocessor,
    ),
    "bert": (
        lambda: models.BertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "a", "##re", "square", "!"]),
        lambda size: models.BertBackbone(size, max_sequence_length=LENGTH, **WIDTH),
        models.BertTextClassifierPreprocessor,
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Presets as KerasHub writes them, by the model's name."""
    folder = tmp_path_factory.mktemp("presets")
    for name, (tokenizer, backbone, _) in MADE.items():
        made = tokenizer()
        with warnings.catch_warnings(action="ignore"):  # of Keras, at KerasHub's T5
            backbone(made.vocabulary_size()).save_to_preset(folder / name)
        made.save_to_preset(folder / name)
    return folder


def adapted(preset: Path | str, length: int = LENGTH, texts: list[str] = TEXTS) -> PresetTokens:
    processor = PresetTokens(preset=str(preset), sequence_length=length)
    processor.adapt(tf.data.Dataset.from_tensor_slices(texts))
    return processor


def ids(processor: PresetTokens, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Gives the ids as the preset knows them, and the mask."""
    features, fault = processor(tf.constant(texts, tf.string, [len(texts)]))[:2]
    assert not any(fault.numpy())
    mask = features.numpy() != PAD
    return np.where(mask, features.numpy() - 1, processor.features["pad"]), mask


def reference(name: str) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Makes what reads texts with KerasHub's preprocessor, in a graph as in training where that is right: ids and mask."""
    tokenizer, _, kind = MADE[name]
    preprocessor = kind(tokenizer(), sequence_length=LENGTH)

    def read(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        raw = {"images": tf.zeros(tf.shape(texts)), "prompts": texts} if name == "siglip" else texts
        found = preprocessor(raw)
        found = found[0] if isinstance(found, tuple) else found
        return found["token_ids"], found["padding_mask"]

    def read_lower(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return traced(tf.constant([text.decode().lower() for text in texts.numpy()]))

    def read_eagerly(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return preprocessor.packer(preprocessor.tokenizer.tokenize([text.decode() for text in texts.numpy()]))

    if name == "clip":  # in a graph, KerasHub cuts as GPT-2 does
        preprocessor.build(None)
        return read_eagerly
    traced = tf.function(read, [tf.TensorSpec([None], tf.string)], autograph=False)
    return read_lower if name == "siglip" else traced  # KerasHub lower-cases A to Z alone


@pytest.fixture(scope="module")
def made(folders):
    """Gives a model's processor and its reference, each made once: KerasHub takes seconds to trace byte pairs."""
    return cache(lambda name: (adapted(folders / name), reference(name)))


@pytest.mark.parametrize("name", MADE)
def test_ids_are_those_of_the_presets_own_preprocessor(name, made):
    processor, read = made(name)
    found, mask = ids(processor, TEXTS)
    expected, real = (one.numpy() for one in read(tf.constant(TEXTS)))
    if name == "gpt2":  # KerasHub leaves out the last id of a text that fills the length, which is the target of the one before
        expected, found = expected[:, :-1], found[:, :-1]
    np.testing.assert_array_equal(found, expected)
    if name != "gpt2":
        plain = ["<pad>" not in text for text in TEXTS]  # which KerasHub takes for padding when somebody writes it
        np.testing.assert_array_equal(mask[plain], real[plain].astype(bool))


@pytest.mark.parametrize("name", ["gpt2", "clip"])
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(ALPHABET, max_size=16), min_size=1, max_size=6))
def test_any_text_is_split_as_keras_hub_splits_it(name, texts, made):
    processor, read = made(name)
    texts = [normalize("NFC", text) for text in texts]
    found, expected = ids(processor, texts)[0], read(tf.constant(texts))[0].numpy()
    last = -1 if name == "gpt2" else None  # see above
    np.testing.assert_array_equal(found[:, :last], expected[:, :last])


def test_it_holds_what_every_processor_must(folders):
    case = ProcessorCase(
        "preset_tokens", TEXTS, options={"preset": str(folders / "bert"), "sequence_length": 8}, bad=[b"red\xff"]
    )
    for one in properties(case):
        check(case, one)


def tables(function: Any) -> list[str]:
    """Lists the operations of a function that make or fill a table that may grow."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return [
        node.op for node in nodes if "MutableHashTable" in node.op or "MutableDenseHashTable" in node.op or "Insert" in node.op
    ]


@pytest.mark.parametrize("name", ["clip", "xlm_roberta"])
def test_what_is_served_is_the_same_and_keeps_nothing(name, made, tmp_path):
    processor = made(name)[0]
    (tmp_path / "state").mkdir()
    processor.save(tmp_path / "state")
    again = PresetTokens(preset="gone", sequence_length=LENGTH)
    again.load(tmp_path / "state")
    assert again.features == processor.features
    module = tf.Module()
    module.processor = again
    spec = tf.TensorSpec([None], tf.string, name="raw")
    module.read = tf.function(lambda raw: {"ids": again(raw).features}, [spec], autograph=False)
    tf.saved_model.save(module, tmp_path / "model", signatures=module.read)
    served = tf.saved_model.load(tmp_path / "model").signatures["serving_default"]
    for texts in (TEXTS, ["never seen before"], TEXTS):
        expected = processor(tf.constant(texts)).features
        np.testing.assert_array_equal(served(raw=tf.constant(texts))["ids"], expected)
    assert tables(served) == []


def test_keras_hubs_own_byte_pairs_keep_every_word(made):
    assert tables(made("gpt2")[1].get_concrete_function())


def test_hard_texts_are_read_as_clip_reads_them(made):
    rng = np.random.default_rng(0)
    drawn = ["".join(rng.choice(list(HARD), rng.integers(1, 20))) for _ in range(300)]
    texts = [*HARD_TEXTS.values(), "the year 1984", "ÉCOLE", "<|endoftext|> <|ENDOFTEXT|>!", "a<|startoftext|>b", *drawn]
    processor, read = made("clip")
    np.testing.assert_array_equal(ids(processor, texts)[0], read(tf.constant(texts))[0])


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_unicode_forms_are_one_text_and_a_nul_cuts_nothing(name, made):
    texts = ["École à Zoë re\x00d", "e\u0301te\u0301"]
    composed, decomposed = (ids(made(name)[0], [normalize(form, text) for text in texts])[0] for form in ("NFC", "NFD"))
    np.testing.assert_array_equal(composed, decomposed)
    assert composed[0].tolist() != ids(made(name)[0], ["École à Zoë re"])[0][0].tolist()


def test_a_nul_that_would_cut_a_text_is_a_fault_of_its_row(made):
    features, fault = made("gpt2")[0](tf.constant(["re\x00d", ""]))[:2]
    assert fault.numpy().tolist() == [b"this text holds a NUL character", b""]
    np.testing.assert_array_equal(features[0], features[1])


def test_a_seed_leaves_sentence_pieces_alone(made):
    processor = made("t5")[0]
    pipeline = tf.data.Dataset.from_tensor_slices(TEXTS).batch(len(TEXTS)).map(lambda raw: processor(raw).features)
    expected = next(iter(pipeline)).numpy()
    keras.utils.set_random_seed(1)  # drops the eager kernels
    np.testing.assert_array_equal(processor(tf.constant(TEXTS)).features, expected)
    np.testing.assert_array_equal(next(iter(pipeline)), expected)


def test_a_file_of_sentence_pieces_ends_as_t5_does(made, tmp_path):
    (tmp_path / "spiece.model").write_bytes(sentences(**T5))
    found, mask = ids(adapted(tmp_path / "spiece.model"), TEXTS)
    expected, real = ids(made("t5")[0], TEXTS)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(mask, real)
    texts = [row[real][:-1] for row, real in zip(expected, real, strict=True)]
    spm = sentencepiece.SentencePieceProcessor(model_proto=sentences(**T5))
    room = LENGTH - 1
    assert [row.tolist() for row in texts] == [spm.Encode(text)[:room] for text in TEXTS]


def test_long_texts_are_cut_and_counted(folders):
    processor = adapted(folders / "bert", 4, ["red red red", "red", "a red"])
    assert processor.note == "1 of 3 texts are longer than 2 tokens and are cut"
    assert ids(processor, ["red red red"])[0].tolist() == [[2, 5, 5, 3]]


def test_bytes_that_are_no_text_fail_their_own_row_alone(folders):
    features, fault = adapted(folders / "bert", 4)(tf.constant([b"red", b"red\xff", b"a"]))[:2]
    assert fault.numpy().tolist() == [b"", b"this is not UTF-8 text", b""]
    assert features.numpy().tolist() == [[3, 6, 4, 0], [3, 4, 0, 0], [3, 7, 4, 0]]


def test_a_head_cannot_write_in_a_given_vocabulary(made):
    with pytest.raises(NotImplementedError, match="a head cannot generate in a given vocabulary"):
        made("bert")[0].decode(tf.constant([[3, 10, 4]]))


@pytest.mark.parametrize("source", ["./nonesuch", "foo://bar"])
def test_a_preset_that_does_not_exist(source):
    with pytest.raises(DataError) as error:
        adapted(source)
    assert str(error.value) == (
        f"the processor 'preset_tokens' cannot read its tokenizer: there is no preset and no folder '{source}'. "
        "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
    )


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "a.spm").write_bytes(b"no model")
    with pytest.raises(DataError, match=r"^'.*a\.spm' is not a SentencePiece model: .*\.$"):
        adapted(tmp_path / "a.spm")
