"""The wordpiece processor against Hugging Face's BERT tokenizer."""

import json
import shutil
from pathlib import Path
from unicodedata import normalize

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_text.wordpiece import WordPiece

from mmzoo import END, PAD, START, UNKNOWN, DataError

TEXTS = [
    "A red square",
    "a well-known   man's hat, please!",
    "",
    "   ",
    "blue " * 9,
    "Fußgänger ÜBERQUEREN (die) Straße.",
    "été e\u0301te\u0301 Å",
    "红色的方块，在左边。 好 ok 吗 𠀀𠀁",
    "スカートを着た人々 and ひらがな",
    "สวัสดีครับ",
    "مربع أحمر",
    "می\u200cخواهم",
    "नमस्ते दुनिया",
    "가나다 한국어",
    "3.5 C++ a_b 50% £3 -x- rock-n-roll 'quoted' don’t ``^$",
    "tabs\tand\nlines\r\nno\u00a0break\u3000wide\u200bnone\ufeff a\u2028b",
    "👩🏽\u200d🍳 cooks 🍕",
    "[CLS] a [UNK] b [SEP] [PAD] ##ing [MASK]",
    "ﬁ ligature Ⅷ İstanbul I ı",
    "\u0000null\u0000 a\u0007b \ufffd x",
    "unaffordable " + "x" * 100 + " " + "x" * 101,
]
ALPHABET = "aZé9ßÜя-'’._ \t\u00a0\u200b\u200c红色スー。，ไ🍕م\u0301#[]\ufffd\x00"
PIECES = ["blue", "square", "un", "##afford", "##able", "##quare", "straße", "uber", "##que", "##ren", "ste", "rock", "##roll"]
GIVEN = [
    "[PAD]",
    "[unused0]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *"abcdefghijklmnopqrstuvwxyzABCRSUÜ.,'-[]é红色的人",
    *PIECES,
]
GIVEN += [f"##{char}" for char in "abcdefghijklmnopqrstuvwxyz"]


def adapted(texts: list[str] = TEXTS, **options) -> WordPiece:
    processor = WordPiece(**{"sequence_length": 60} | options)
    processor.adapt(tf.data.Dataset.from_tensor_slices(texts))
    return processor


def vocabulary_file(folder: Path, pieces: list[str] = GIVEN) -> str:
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), "utf-8")
    return str(folder / "vocab.txt")


def ids(processor: WordPiece, texts: list[str]) -> list[list[int]]:
    features, fault, _ = processor(tf.constant(texts, tf.string, shape=[len(texts)]))
    assert not any(fault.numpy())
    return features.numpy().tolist()


def reference(vocabulary: list[str], texts: list[str], lowercase: bool = True) -> list[list[int]]:
    """Splits texts with Hugging Face's tokenizer, without special pieces."""
    model = tokenizers.models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return [tokenizer.encode(text).ids for text in texts]


def packed(pieces: list[int], first: list[int], last: int, length: int = 60) -> list[int]:
    kept = [*first, *pieces[: length - 1 - len(first)], last]
    return kept + [PAD] * (length - len(kept))


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_given_vocabulary_is_read_as_hugging_face_does(lowercase, tmp_path):
    processor = adapted(vocabulary=vocabulary_file(tmp_path), lowercase=lowercase)
    assert processor.features == {"shape": [60], "dtype": "int32", "vocabulary": len(GIVEN)}
    expected = [packed(row, [GIVEN.index("[CLS]")], GIVEN.index("[SEP]")) for row in reference(GIVEN, TEXTS, lowercase)]
    assert ids(processor, TEXTS) == expected


@pytest.mark.parametrize("start", [True, False])
def test_a_learned_vocabulary_is_read_as_hugging_face_does(start):
    processor = adapted(vocabulary_size=400, start=start)
    assert processor.vocabulary[: END + 1] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    expected = reference(list(processor.vocabulary), TEXTS)
    assert ids(processor, TEXTS) == [packed(row, [START] * start, END) for row in expected]


LEARNED = adapted(vocabulary_size=400)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(ALPHABET, max_size=16), min_size=1, max_size=8))
def test_any_text_is_read_as_hugging_face_does(texts):
    expected = reference(list(LEARNED.vocabulary), texts)
    assert ids(LEARNED, texts) == [packed(row, [START], END) for row in expected]


@pytest.mark.parametrize("lowercase", [True, False])
def test_unicode_forms_are_one_text(lowercase):
    processor = adapted(["ÉTÉ 한국"], lowercase=lowercase)
    composed, decomposed = ids(processor, [normalize(form, "ÉTÉ 한국") for form in ("NFC", "NFD")])
    assert composed == decomposed


def test_special_pieces_in_a_text_are_text():
    processor = adapted(["[SEP] [CLS] [PAD] sep cls pad"])
    (row,) = ids(processor, ["[SEP] [CLS] [PAD]"])
    assert row.count(START) == row.count(END) == 1
    assert PAD not in row[: row.index(END)]
    assert UNKNOWN not in row


@pytest.mark.parametrize("size", [8, 150, 5000])
def test_a_learned_vocabulary_is_no_larger_than_asked(size):
    vocabulary = adapted(vocabulary_size=size).vocabulary
    assert len(vocabulary) <= size
    assert len(set(vocabulary)) == len(vocabulary)


def test_frequent_words_are_pieces_and_rare_ones_are_put_together():
    frequent, rare = ["red", "square", "circle"], ["requires", "squired", "acquires", "sacred"]
    processor = adapted([*frequent * 20, *rare], vocabulary_size=30)
    assert set(frequent) < set(processor.vocabulary)
    assert not set(rare) & set(processor.vocabulary)
    rows = ids(processor, rare)
    assert not any(UNKNOWN in row for row in rows)
    assert [word.decode() for word in processor.decode(tf.constant(rows)).numpy()] == rare


def test_the_order_of_the_data_does_not_matter():
    assert adapted(TEXTS[::-1], vocabulary_size=200).vocabulary == adapted(TEXTS, vocabulary_size=200).vocabulary


@pytest.mark.parametrize("start", [True, False])
def test_decoding_gives_the_text_normalised(start):
    texts = [
        "A well-known   man's Hat",
        "été",
        "红色的方块，在左边。 ok 吗",
        "unaffordable blue ##x",
        "1-2-3, 3.5 kg: 1,000.5 at 10:30",
    ]
    processor = adapted([*TEXTS, *texts], vocabulary_size=400, start=start)
    answers = processor.decode(tf.constant(ids(processor, texts))).numpy().tolist()
    normal = [
        "a well-known man's hat",
        "ete",
        "红色的方块，在左边。ok 吗",
        "unaffordable blue # # x",
        "1-2-3 , 3.5 kg : 1,000.5 at 10:30",
    ]
    assert [answer.decode() for answer in answers] == normal


def test_pieces_are_the_strings_one_by_one():
    processor = adapted(["red square"], sequence_length=5)
    row = [START, processor.vocabulary.index("red"), UNKNOWN, END, PAD]
    assert processor.tokens(tf.constant([row])).numpy().tolist() == [[b"", b"red", b"[UNK]", b"", b""]]


def test_a_head_cannot_write_in_a_given_vocabulary(tmp_path):
    processor = adapted(vocabulary=vocabulary_file(tmp_path))
    with pytest.raises(NotImplementedError, match="a head cannot generate in a given vocabulary"):
        processor.decode(tf.constant([[3, 10, 4]]))


@pytest.mark.parametrize(("length", "start"), [(2, True), (3, True), (3, False), (5, True), (6, True)])
def test_long_texts_are_cut_and_counted(length, start, tmp_path):
    processor = adapted(["a b c", "a b", "a", ""], vocabulary=vocabulary_file(tmp_path), sequence_length=length, start=start)
    room = length - 1 - start
    cut = sum(count > room for count in (3, 2, 1, 0))
    said = f"0 of 6 tokens are unknown, the vocabulary has {len(GIVEN)}"
    assert processor.note == said + (f"; {cut} of 4 texts are longer than {room} tokens and are cut" if cut else "")
    pieces = [GIVEN.index(letter) for letter in "abc"]
    first = [GIVEN.index("[CLS]")] if start else []
    assert ids(processor, ["a b c"]) == [packed(pieces, first, GIVEN.index("[SEP]"), length)]


def test_a_run_needs_the_given_vocabulary_no_more(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "saved").mkdir()
    source = vocabulary_file(tmp_path / "source")
    processor = adapted(vocabulary=source, lowercase=False)
    processor.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "source")
    again = WordPiece(sequence_length=60, vocabulary=source)
    again.load(tmp_path / "saved")
    assert again.features == processor.features
    assert ids(again, TEXTS) == ids(processor, TEXTS)


def hugging_face_folder(folder: Path, lowercase: bool) -> str:
    vocabulary_file(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    return str(folder)


def keras_hub_folder(folder: Path, lowercase: bool) -> str:
    backbone = keras_hub.models.BertBackbone(len(GIVEN), 1, 1, 2, 2)
    tokenizer = keras_hub.models.BertTokenizer(GIVEN, lowercase=lowercase)
    for part in (backbone, tokenizer):
        part.save_to_preset(str(folder))
    return str(folder)


@pytest.mark.parametrize("write", [hugging_face_folder, keras_hub_folder])
@pytest.mark.parametrize("lowercase", [True, False])
def test_a_folder_says_whether_case_counts(write, lowercase, tmp_path):
    source = write(tmp_path, lowercase)
    processor = adapted(vocabulary=source)
    assert list(processor.vocabulary) == GIVEN
    expected = reference(GIVEN, ["A Red cab", "ÜBER"], lowercase)
    assert ids(processor, ["A Red cab", "ÜBER"]) == [packed(row, [3], 4) for row in expected]
    asked = adapted(vocabulary=source, lowercase=not lowercase)
    assert ids(asked, ["A Red"])[0][1:3] == reference(GIVEN, ["A Red"], not lowercase)[0][:2]


def test_lines_may_end_as_on_windows(tmp_path):
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(GIVEN).encode())
    assert list(adapted(vocabulary=str(tmp_path / "vocab.txt")).vocabulary) == GIVEN


def said(source: str) -> str:
    with pytest.raises(DataError) as error:
        adapted(vocabulary=source)
    return str(error.value)


def test_vocabularies_that_are_none_of_bert(tmp_path):
    source = vocabulary_file(tmp_path, ["[PAD]", "[UNK]", "a", "b"])
    assert said(source) == f"the vocabulary '{source}' has no [CLS], [SEP]. Give one of a BERT model."
    source = vocabulary_file(tmp_path, ["a", *GIVEN[6:], *GIVEN[:6]])
    assert said(source) == f"the id of [PAD] in the vocabulary '{source}' is {len(GIVEN) - 5}, expected 0."
    assert said("./nonesuch.txt") == (
        "the processor 'wordpiece' cannot read its vocabulary: there is no preset and no folder './nonesuch.txt'. "
        "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
    )
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\n\xff\n")
    assert said(source) == f"the vocabulary '{source}' is not UTF-8 text."


@pytest.mark.parametrize(("texts", "given"), [([], False), (["  ", b"\xff"], False), (["привет мир", "дом"], True)])
def test_a_vocabulary_that_knows_nothing_is_refused(texts, given, tmp_path):
    processor = WordPiece(vocabulary=vocabulary_file(tmp_path) if given else None)
    words = sum(len(text.split()) for text in texts) if given else 0
    with pytest.raises(DataError) as caught:
        processor.adapt(tf.data.Dataset.from_tensor_slices(tf.constant(texts, tf.string, shape=[len(texts)])))
    what = f"the vocabulary has none of the {words} words of the {len(texts)} training texts"
    assert str(caught.value) == f"{what}.\nExpected texts in UTF-8{' in the language of the vocabulary' if given else ''}."


def test_bytes_that_are_no_text_fail_their_own_row_alone():
    processor = adapted(["a b"], sequence_length=4)
    a, b = (processor.vocabulary.index(letter) for letter in "ab")
    features, fault, _ = processor(tf.constant([b"a", b"a\xff b", b"b"]))
    assert fault.numpy().tolist() == [b"", b"this is not UTF-8 text", b""]
    assert features.numpy().tolist() == [[START, a, END, PAD], [START, END, PAD, PAD], [START, b, END, PAD]]


@pytest.mark.slow
def test_the_same_eagerly_in_a_function_and_in_a_saved_model(tmp_path):
    processor = adapted(vocabulary_size=400)
    module = tf.Module()
    module.processor = processor
    module.read = tf.function(lambda raw: processor(raw).features, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, tmp_path)
    loaded = tf.saved_model.load(tmp_path)
    np.testing.assert_array_equal(module.read(tf.constant(TEXTS)), ids(processor, TEXTS))
    np.testing.assert_array_equal(loaded.read(tf.constant(TEXTS)), ids(processor, TEXTS))
