"""Metrics of answers against counts by hand and by ranks."""

import itertools
import re
from unicodedata import normalize

import numpy as np
import pytest
from mmzoo_answering.accuracy import Accuracy, TopAccuracy
from mmzoo_answering.vqa_accuracy import VqaAccuracy, agreement, plain_answer

from mmzoo import DataError, split_words
from mmzoo.testing import HARD_TEXTS


def test_accuracy_counts_exact_answers():
    metric = Accuracy()
    for answer, references in [("yes", ["yes"]), ("Yes", ["yes"]), ("2", ["two", "2"]), ("", ["no"])]:
        metric.update(answer, references)
    assert metric.result()["accuracy"] == 0.5


def test_a_right_answer_is_right_however_it_is_put_together():
    metric = VqaAccuracy()
    for text in HARD_TEXTS.values():
        metric.update(" ".join(split_words(text)), [normalize("NFD", text)])
    assert metric.result()["vqa_accuracy"] == 1


def test_unicode_forms_of_an_answer_are_one_answer():
    composed, decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    accuracy, top = Accuracy(known_labels=frozenset([composed])), TopAccuracy(top_k=1)
    accuracy.update(composed, [decomposed])
    top.update([composed], [decomposed])
    assert (accuracy.result()["accuracy"], accuracy.result()["unknown"], top.result()["top_1"]) == (1, 0, 1)


@pytest.mark.parametrize("top", [1, 2, 5])
def test_top_accuracy_is_the_share_of_ranks_below_top(top):
    rng = np.random.default_rng(0)
    orders, wanted = np.argsort(rng.normal(size=(50, 6)), axis=1), rng.integers(0, 6, 50)
    metric = TopAccuracy(top_k=top)
    for order, label in zip(orders, wanted, strict=True):
        metric.update([str(one) for one in order], [str(label)])
    ranks = np.argmax(orders == wanted[:, None], axis=1)
    assert metric.result()[f"top_{top}"] == pytest.approx(np.mean(ranks < top))


def test_a_label_that_cannot_be_answered_is_wrong():
    metric = TopAccuracy(top_k=2)
    metric.update(["a", "b"], ["never seen"])
    assert metric.result() == {"top_2": 0.0, "top_2_low": 0.0, "top_2_high": 0.0}


def test_examples_that_no_label_can_answer_are_counted():
    metric = Accuracy(known_labels=frozenset("abc"))
    assert metric.result()["unknown"] == 0
    for references in [["never seen"], ["b"], ["never seen", "c"], ["neither", "nor"], ["A"]]:
        metric.update("a", references)
    assert metric.result()["unknown"] == 3 / 5


def test_fewer_answers_than_the_metric_looks_at():
    text = (
        "the metric 'top_accuracy' needs 5 answers, the model returns 3. "
        "Give the head `top_k: 5`, or, if there are no more labels, the metric `top_k: 3`."
    )
    with pytest.raises(DataError, match="^" + re.escape(text) + "$"):
        TopAccuracy().update(["a", "b", "c"], ["a"])


# By kind


def updated(metric, rows):
    for row in rows:
        metric.update(*row)
    return metric.result()


def test_kinds_stand_beside_the_mean_over_all_examples():
    rows = [("1", ["1"], ["count"])] * 3 + [("2", ["1"], ["count"])] + [("left", ["up"], ["direction"])] * 6
    found = updated(Accuracy(), rows)
    assert {name: value for name, value in found.items() if not name.endswith(("_low", "_high"))} == {
        "accuracy": 0.3,  # and not the mean of the kinds, 0.375
        "accuracy[count]": 0.75,
        "accuracy[direction]": 0.0,
    }
    assert list(found)[:4] == ["accuracy", "accuracy_low", "accuracy_high", "accuracy[count]"]


def test_a_kind_has_the_interval_of_its_own_examples():
    rows = [("a", ["a"] if index % 3 else ["b"], ["x"] if index < 60 else ["y"]) for index in range(300)]
    found = updated(Accuracy(), rows)
    alone = updated(Accuracy(), rows[:60])
    assert [found[f"accuracy[x]{part}"] for part in ("_low", "_high")] == [alone["accuracy_low"], alone["accuracy_high"]]
    assert found["accuracy[x]_low"] < found["accuracy_low"] < 2 / 3 < found["accuracy_high"] < found["accuracy[x]_high"]


@pytest.mark.parametrize(("share", "count"), [(0.3, 100), (0.9, 500)])
def test_the_interval_is_that_of_a_binomial_share(share, count):
    found = updated(Accuracy(), [("a", ["a"] if index < share * count else ["b"]) for index in range(count)])
    draws = np.random.default_rng(1).binomial(count, share, 100_000) / count
    bounds = [found["accuracy_low"], found["accuracy_high"]]
    np.testing.assert_allclose(bounds, np.percentile(draws, [2.5, 97.5]), atol=0.012)


@pytest.mark.parametrize(("metric", "answer"), [(TopAccuracy(top_k=1), ["a", "b"]), (VqaAccuracy(), "a")])
def test_every_metric_knows_kinds(metric, answer):
    found = updated(metric, [(answer, ["a"], ["x"]), (answer, ["b"], ["y", "z"]), (answer, ["b"], None)])
    (name,) = [key for key in found if key.endswith("_low") and "[" not in key]
    name = name.removesuffix("_low")
    assert [found[name], found[f"{name}[x]"], found[f"{name}[y]"], found[f"{name}[z]"]] == [pytest.approx(1 / 3), 1, 0, 0]


def test_one_recipe_may_score_by_all_metrics():
    rows = [("a", ["a"], ["x"]), ("b", ["a"], ["y"])]
    found = [updated(Accuracy(known_labels=frozenset("ab")), rows), updated(VqaAccuracy(), rows)]
    found += [updated(TopAccuracy(top_k=top), [([answer, "c"], *more) for answer, *more in rows]) for top in (1, 2)]
    assert len(set().union(*found)) == sum(map(len, found))


# Agreement with people


@pytest.mark.parametrize("people", [4, 7, 10])
def test_agreement_is_the_mean_over_those_who_are_left_out(people):
    for same in range(people + 1):
        answers = ["yes"] * same + ["no"] * (people - same)
        others = list(itertools.combinations(answers, people - 1))
        assert len(others) == people
        assert agreement(same, people) == pytest.approx(np.mean([min(1, one.count("yes") / 3) for one in others]))


def test_agreement_of_ten_as_published():
    assert [agreement(same, 10) for same in range(6)] == pytest.approx([0, 0.3, 0.6, 0.9, 1, 1])


@pytest.mark.parametrize(("same", "people", "wanted"), [(0, 0, 0), (1, 1, 1), (0, 1, 0), (2, 2, 1), (1, 2, 0.5), (3, 3, 1)])
def test_agreement_of_few(same, people, wanted):
    assert agreement(same, people) == wanted


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The Two dogs!", "2 dogs"),
        ("an apple", "apple"),
        ("none", "0"),
        ("Don't know.", "dont know"),
        ("1,000", "1000"),
        ("2.5 m", "2.5 m"),
        ("T-shirt", "t shirt"),
        ('"red", (and) blue?', "red and blue"),
        ("St. Paul", "st paul"),
        ("a.m.", "am"),
        ("ten thousand", "10 thousand"),
        ("theatre", "theatre"),
        ("rot und gr\u00fcn", "rot und gr\u00fcn"),
    ],
)
def test_plain_answers(text, plain):
    assert plain_answer(text) == plain


def test_vqa_accuracy_is_the_mean_of_agreements():
    first = ["two"] * 3 + ["2"] + ["three"] * 6
    rows = [("2", first), ("The cat", ["cat", "cats", "a cat"] + ["dog"] * 7), ("cow", ["dog"] * 10)]
    found = updated(VqaAccuracy(), rows)
    assert found["vqa_accuracy"] == pytest.approx((1 + 0.6 + 0) / 3)
    assert found["vqa_accuracy_low"] <= found["vqa_accuracy"] <= found["vqa_accuracy_high"]
