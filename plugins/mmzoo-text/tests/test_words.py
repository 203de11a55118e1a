"""The words processor against `split_words`, which cuts in Python."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_text.words import Words

from mmzoo import END, PAD, UNKNOWN, DataError, split_words
from mmzoo.testing import HARD_TEXTS

FIRST = 4
"""The id of the most frequent word: PAD, UNKNOWN, START and END come before."""
TEXTS = [
    "A red square",
    "a well-known   man's hat, please!",
    "",
    "   ",
    "blue " * 9,
    "Fußgänger ÜBERQUEREN (die) Straße.",
    "ΟΔΟΣ: οδός",
    "été e\u0301te\u0301",
    "红色的方块，在左边。 好 ok 吗",
    "スカートを着た人々 and ひらがな",
    "สวัสดีครับ",
    "مربع أحمر",
    "می\u200cخواهم",
    "नमस्ते दुनिया",
    "3.5 C++ a_b 50% £3 -x- rock-n-roll 'quoted' don’t",
    "tabs\tand\nlines\r\nno\u00a0break\u3000wide\u200bnone\ufeff",
    "👩🏽\u200d🍳 cooks 🍕",
    "[start] a [unknown] [end]",
]


def joined(words: list[str]) -> str:
    """Joins words by blanks, except after characters that none follows."""
    scripts = ("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI", "IDEOGRAPHIC", "FULLWIDTH COMMA")
    tight = [unicodedata.name(word[0], "").startswith(scripts) for word in words]
    return "".join(word + ("" if close else " ") for word, close in zip(words, tight, strict=True)).strip()


def adapted(texts: list[str] = TEXTS, **options) -> Words:
    words = Words(**{"sequence_length": 40} | options)
    words.adapt(tf.data.Dataset.from_tensor_slices(texts))
    return words


def ids(words: Words, texts: list) -> np.ndarray:
    features, fault, _ = words(tf.constant(texts, tf.string, shape=[len(texts)]))
    assert not any(fault.numpy())
    return features.numpy()


def expected_ids(known: list[str], split: list[str], length: int) -> list[int]:
    row = [FIRST + known.index(word) if word in known else UNKNOWN for word in split[: length - 1]]
    return [*row, END, *[PAD] * (length - 1 - len(row))]


def by_count(texts: list[str]) -> list[tuple[str, int]]:
    counts = Counter(word for text in texts for word in split_words(text))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))


def test_ids_are_those_of_the_reference():
    known = [word for word, _ in by_count(TEXTS)]
    words = adapted()
    assert list(words.vocabulary[FIRST:]) == known
    assert ids(words, TEXTS).tolist() == [expected_ids(known, split_words(text), 40) for text in TEXTS]
    assert words.features == {"shape": [40], "dtype": "int32", "vocabulary": FIRST + len(known)}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("aZé9ßÜя-'’._ \t\u00a0\u200b\u200c红色スー。，ไ🍕م\u0301", max_size=12), min_size=1, max_size=8))
@pytest.mark.slow
def test_any_text_splits_as_the_reference(texts):
    texts = ["a", *texts]
    known = [word for word, _ in by_count(texts)]
    words = adapted(texts, sequence_length=16)
    assert list(words.vocabulary[FIRST:]) == known
    assert ids(words, texts).tolist() == [expected_ids(known, split_words(text), 16) for text in texts]


def test_decoding_gives_the_text_normalised():
    words = adapted()
    answers = [answer.decode() for answer in words.decode(ids(words, TEXTS)).numpy()]
    assert answers == [joined(split_words(text)) for text in TEXTS]
    assert answers[1] == "a well-known man's hat , please !"
    assert answers[8] == "红色的方块，在左边。好ok 吗"
    assert ids(words, answers).tolist() == ids(words, TEXTS).tolist()


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_what_is_decoded_has_the_words_of_the_text(unit, capfd):
    texts = list(HARD_TEXTS.values())
    words = adapted(texts, unit=unit, sequence_length=120)
    decomposed = [unicodedata.normalize("NFD", text) for text in texts]
    np.testing.assert_array_equal(ids(words, decomposed), ids(words, texts))
    answers = [answer.decode() for answer in words.decode(ids(words, decomposed)).numpy()]
    assert [split_words(answer) for answer in answers] == [split_words(text) for text in texts]
    assert "out of memory" not in capfd.readouterr().err  # of RE2, which is slow then


def test_characters():
    words = adapted(["A b\u0301 👩🏽\u200d🍳  5"], unit="characters", sequence_length=9)
    pieces = words.tokens(ids(words, ["B\u0301 👩🏽\u200d🍳a"])).numpy()[0, :5]
    assert [piece.decode() for piece in pieces] == ["b\u0301", " ", "👩🏽\u200d🍳", "a", ""]


def test_pieces_are_the_words_one_by_one():
    words = adapted(sequence_length=5)
    assert words.tokens(ids(words, ["a red hat", "nonesuch"])).numpy().tolist() == [
        [b"a", b"red", b"hat", b"", b""],
        [b"[unknown]", b"", b"", b"", b""],
    ]


def test_nothing_is_said_after_the_end():
    words = adapted(["a b"])
    assert words.decode(tf.constant([[4, END, 5, 5], [5, 4, PAD, PAD], [END, 4, 4, 4]])).numpy().tolist() == [b"a", b"b a", b""]


@pytest.mark.parametrize(
    ("options", "known"),
    [
        ({}, ["b", "c", "a", "d"]),
        ({"min_count": 2}, ["b", "c"]),
        ({"max_tokens": 1}, ["b"]),
        ({"min_count": 2, "max_tokens": 3}, ["b", "c"]),
    ],
)
def test_rare_words_are_unknown(options, known):
    words = adapted(["c b b", "d c b", "a"], sequence_length=5, **options)
    assert list(words.vocabulary[FIRST:]) == known
    unknown = sum(word not in known for word in "cbbdcba")
    assert words.note == f"{unknown} of 7 words are unknown, the vocabulary has {len(known)}"
    assert ids(words, ["a b c x"]).tolist() == [expected_ids(known, ["a", "b", "c", "x"], 5)]


@pytest.mark.parametrize(
    ("texts", "found", "advice"),
    [
        (["a red hat", "two cups", "the sea"], "none of the 7 words of the 3 training texts", "Set a smaller `min_count`."),
        (["", " ", b"\xff"], "none of the 0 words of the 3 training texts", "Expected texts in UTF-8."),
    ],
)
def test_an_empty_vocabulary_is_refused(texts, found, advice):
    with pytest.raises(DataError) as caught:
        adapted(texts, min_count=2)
    assert str(caught.value) == f"the vocabulary would be empty: {found} occurs 2 times.\n{advice}"


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_long_texts_are_cut_and_counted(length):
    words = adapted(["a b c", "a b", "a", ""], sequence_length=length)
    cut = sum(count > length - 1 for count in (3, 2, 1, 0))
    said = "0 of 6 words are unknown, the vocabulary has 3"
    assert words.note == said + (f"; {cut} of 4 texts are longer than {length - 1} words and are cut" if cut else "")
    assert ids(words, ["a b c"]).tolist() == [expected_ids(["a", "b", "c"], ["a", "b", "c"], length)]


def test_the_note_is_that_of_the_last_learning():
    words = adapted(["a b c"], sequence_length=3)
    words.adapt(tf.data.Dataset.from_tensor_slices(["a b"]))
    assert words.note == "0 of 2 words are unknown, the vocabulary has 2"


def test_the_order_of_the_data_does_not_matter():
    assert adapted(TEXTS[::-1]).vocabulary == adapted().vocabulary


def test_saved_and_loaded(tmp_path):
    words = adapted()
    words.save(tmp_path)
    loaded = Words(sequence_length=40)
    loaded.load(tmp_path)
    assert loaded.vocabulary == words.vocabulary
    np.testing.assert_array_equal(ids(loaded, TEXTS), ids(words, TEXTS))
    characters = adapted(unit="characters")
    characters.save(tmp_path)
    loaded.load(tmp_path)
    assert loaded.vocabulary == characters.vocabulary


def test_nothing_learned_saved_and_loaded(tmp_path):
    Words(sequence_length=3).save(tmp_path)
    words = Words(sequence_length=3)
    words.load(tmp_path)
    assert words.features["vocabulary"] == FIRST
    assert ids(words, ["a"]).tolist() == [[UNKNOWN, END, PAD]]


@pytest.mark.parametrize("unit", ["words", "characters"])
def test_the_same_eagerly_in_a_pipeline_and_in_a_function(unit):
    words = adapted(TEXTS[:9], unit=unit)
    eager = ids(words, TEXTS)
    traced = tf.function(words, input_signature=[tf.TensorSpec([None], tf.string)])
    (piped,) = list(tf.data.Dataset.from_tensor_slices(TEXTS).batch(len(TEXTS)).map(words))
    np.testing.assert_array_equal(traced(tf.constant(TEXTS)).features, eager)
    np.testing.assert_array_equal(piped.features, eager)
    assert eager.min() >= 0
    assert eager.max() < words.features["vocabulary"]
    assert traced(tf.constant([], tf.string)).features.shape == (0, 40)


def test_bytes_that_are_no_text_fail_their_own_row_alone():
    words = adapted(["a b"], sequence_length=4)
    features, fault, _ = words(tf.constant([b"a", b"a\xff b", b"\xed\xa0\x80", b"b"]))
    assert fault.numpy().tolist() == [b"", b"this is not UTF-8 text", b"this is not UTF-8 text", b""]
    assert features.numpy().tolist() == [[4, END, PAD, PAD], [END, PAD, PAD, PAD], [END, PAD, PAD, PAD], [5, END, PAD, PAD]]


def test_a_text_of_ten_thousand_words_is_cut_and_leaves_the_others_as_they_are():
    processor = adapted(["what moves first ?"], sequence_length=5)
    long = " ".join(["what moves"] * 5_000)
    ids, fault, _ = processor(tf.constant([long, "what moves"]))
    what, moves = (processor.vocabulary.index(word) for word in ("what", "moves"))
    assert ids.numpy().tolist() == [[what, moves, what, moves, END], [what, moves, END, PAD, PAD]]
    assert not any(fault.numpy())
