"""Which captions the report draws."""

from types import SimpleNamespace

import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mmzoo.contracts.dataset import ROW
from mmzoo.data.raw_split import RawSplit
from mmzoo.reporting.captions import CHAINS, LINKS, chains, far_pairs, questions, read_captions, spread

SHAPES = [f"a {size} {colour} {shape}" for size in ("large", "small") for colour in ("red", "blue") for shape in ("dot", "bar")]


def test_captions_of_scored_examples_are_read_without_empty_ones():
    texts = tf.ragged.constant([["a dog", "one dog"], ["a cat"], ["", " "], ["a cow"]])
    rows = [f"row {number}" for number in range(4)]
    data = SimpleNamespace(raw={"test": RawSplit.of(tf.data.Dataset.from_tensor_slices({"text": texts, ROW: rows}))})
    wanted = [{"row": row} for row in rows if row != "row 1"]
    assert read_captions(data, "test", "text", wanted) == [["a dog", "one dog"], ["a cow"]]


def test_chains_differ_in_one_word_and_show_new_words_first():
    found = chains(["an odd one", *SHAPES])
    assert sorted(sorted(words) for _, words, _ in found) == [["bar", "dot"], ["blue", "red"], ["large", "small"]]
    for before, words, after in found:
        assert all(" ".join((*before, word, *after)) in SHAPES for word in words)


def test_texts_that_differ_in_two_words_or_in_length_are_no_chain():
    assert chains(["a red dot", "a blue bar", "a red dot there", "a red dot"]) == []


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3).map(" ".join)))
def test_a_chain_is_short_and_has_no_word_twice(captions):
    found = chains(captions)
    assert len(found) <= CHAINS
    assert len({(before, after) for before, _, after in found}) == len(found)
    for before, words, after in found:
        assert 2 <= len(set(words)) == len(words) <= LINKS
        assert all(" ".join((*before, word, *after)) in captions for word in words)


def test_a_walk_goes_to_a_text_that_shares_few_words():
    captions = ["a red dot", "a red bar", "one blue star below", "a red ring"]
    assert far_pairs(captions, 1) == [("a red bar", "one blue star below")]
    assert far_pairs(["alone"], 2) == []


def test_walks_share_no_text():
    pairs = far_pairs(SHAPES, 3)
    assert len(pairs) == 3
    assert len({text for pair in pairs for text in pair}) == 6


def test_a_question_offers_the_true_text_and_three_others():
    asked = list(questions(SHAPES, 24))
    assert [true for true, _ in asked] == SHAPES
    assert all(true in options and len(set(options)) == 4 for true, options in asked)
    assert len({options.index(true) for true, options in asked}) > 1
    assert asked == list(questions(SHAPES, 24))
    assert list(questions(SHAPES[:3], 24)) == []


def test_items_are_spread_evenly():
    assert spread(list("abcdefgh"), 4) == list("bdfh")
    assert spread(["a"], 4) == ["a"]
    assert spread([], 4) == []
