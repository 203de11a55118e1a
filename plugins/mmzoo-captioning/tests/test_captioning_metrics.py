"""Caption metrics: equal to pycocoevalcap on stored examples, and defined at the edges."""

import json
import math
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_captioning.bleu import Bleu
from mmzoo_captioning.cider import Cider
from mmzoo_captioning.exact_match import ExactMatch
from mmzoo_captioning.rouge_l import RougeL

from mmzoo import split_words
from mmzoo.testing import HARD_TEXTS

GROUPS = json.loads(Path(__file__).with_name("pycocoevalcap.json").read_text("utf-8"))["groups"]
METRICS = [Bleu, Cider, RougeL, ExactMatch]

texts = st.lists(st.sampled_from(["a", "dog", "dogs", "red", "?!"]), max_size=6).map(" ".join)
examples = st.lists(st.tuples(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=5)


def score(metric, *rows):
    scorer = metric()
    for answer, references in rows:
        scorer.update(answer=answer, references=references)
    return scorer.result()


def perfect(metric):
    return {Bleu: 100, Cider: 10, RougeL: 1, ExactMatch: 1}[metric]


@pytest.mark.parametrize("metric", [Bleu, Cider, RougeL])
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group["name"])
def test_equal_to_pycocoevalcap(metric, group):
    found = score(metric, *[(row["answer"], row["references"]) for row in group["examples"]])
    assert found == pytest.approx({name: group["expected"][name] for name in found}, rel=1e-7, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_perfect_answers_score_the_most(metric):
    rows = [("one red dog runs", ["One red dog runs."]), ("two big cats sleep here", ["Two big cats sleep here!"])]
    assert list(score(metric, *rows).values()) == pytest.approx([perfect(metric)] * (4 if metric is Bleu else 1))


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_decoded_scores_the_most(metric):
    texts = list(HARD_TEXTS.values())
    found = score(metric, *[(" ".join(split_words(text)), [normalize("NFD", text)]) for text in texts])
    assert found == pytest.approx(score(metric, *[(text, [text]) for text in texts]))
    assert metric is Cider or list(found.values()) == pytest.approx([perfect(metric)] * len(found))


@pytest.mark.parametrize("metric", METRICS)
@given(rows=examples)
@settings(max_examples=30, deadline=None)
def test_within_its_range_whatever_the_order(metric, rows):
    found = score(metric, *rows)
    assert all(0 <= number <= perfect(metric) * (1 + 1e-9) for number in found.values())
    reversed_references = [(answer, references[::-1]) for answer, references in rows[::-1]]
    assert score(metric, *reversed_references) == pytest.approx(found)


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_answered_scores_nothing(metric):
    assert set(metric().result().values()) == {0.0}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("answer", ["", "   ", "..."])
def test_empty_answers_score_nothing(metric, answer):
    assert set(score(metric, (answer, ["a dog runs"]), (answer, ["a cat", "two cats"])).values()) == {0.0}


@pytest.mark.parametrize("metric", METRICS)
def test_answers_to_empty_references_score_nothing(metric):
    assert set(score(metric, ("a dog runs", [""]), ("two cats", ["."])).values()) == {0.0}


@pytest.mark.parametrize(("metric", "expected"), [(Bleu, 0), (Cider, 0), (RougeL, 1), (ExactMatch, 1)])
def test_an_empty_answer_to_an_empty_reference(metric, expected):
    assert set(score(metric, ("", [""])).values()) == {expected}


def test_results_can_be_asked_for_on_the_way():
    scorer = ExactMatch()
    scorer.update(answer="a dog", references=["A dog."])
    assert scorer.result() == {"exact_match": 1}
    scorer.update(answer="a dog", references=["a cat", "two dogs"])
    assert scorer.result() == {"exact_match": 0.5}


def test_bleu_of_words_alone_has_no_pairs():
    assert score(Bleu, ("dog", ["a dog"]), ("cat", ["cat"])) == pytest.approx(
        {"bleu_1": 100 * math.exp(1 - 3 / 2), "bleu_2": 0, "bleu_3": 0, "bleu_4": 0}
    )


def test_single_example_has_no_cider():
    assert score(Cider, ("a red dog runs", ["a red dog runs"])) == {"cider": 0}


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("a well - known woman ' s hat", "A well-known woman's hat."),
        ("woman cook medium - dark skin tone", "woman cook: medium-dark skin tone"),
        ("at & t at 3 . 5 %", "AT&T at 3.5%"),
        ("日 本 語", "日本語。"),
        ("keycap *", "Keycap: *"),
    ],
)
def test_exact_match_forgives_case_punctuation_and_blanks_around_marks(answer, reference):
    assert score(ExactMatch, (answer, ["something else", reference])) == {"exact_match": 1}


@pytest.mark.parametrize(
    ("answer", "reference"), [("keycap *", "keycap #"), ("cat a", "a cat"), ("a cat cat", "a cat"), ("黑猫", "白猫")]
)
def test_exact_match_tells_other_words(answer, reference):
    assert score(ExactMatch, (answer, [reference])) == {"exact_match": 0}
