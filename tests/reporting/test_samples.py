"""What is shown of the answers: who is right, which are chosen, what is mixed up."""

from types import SimpleNamespace

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mmzoo import FeatureSpec, Processed, Processor, Signature, no_faults
from mmzoo.evaluation.error_analysis import confusions, judge
from mmzoo.evaluation.scores import Scores
from mmzoo.reporting.samples import MIN_SAMPLES, choose


class Lower(Processor):
    """Text whose features are its first nine characters in lower case."""

    modality = "text"

    features = FeatureSpec(shape=[9], dtype="string", vocabulary=5)

    def __call__(self, raw):
        return Processed(tf.strings.substr(tf.strings.lower(raw), 0, 9), no_faults(raw))

    def decode(self, values):
        return values


class Silent(Processor):
    """Text that no answer can be made of."""

    modality = "text"


def judged(answers, references, processor=None):
    served = SimpleNamespace(
        answers={"say": Signature(answer=dict, answers={"said": "text"})},
        default="say",
        gallery=None,
        processors={"text": processor or Lower()},
    )
    rows = [
        {"row": str(index), "references": {"text": several}, "answers": {"model": {"said": answer, "ok": True}}}
        for index, (answer, several) in enumerate(zip(answers, references, strict=True))
    ]
    return judge(served, Scores("test", rows=rows))


def verdicts(*arguments) -> list[bool | None]:
    return [one.correct for one in judged(*arguments)]


def test_an_answer_is_right_if_it_is_a_reference_as_the_processor_reads_it():
    assert verdicts(["a dog", "a dog", "a dog"], [["A cat", "A DOG"], ["a cat"], []]) == [True, False, False]
    assert verdicts(["abcdefghi"], [["Abcdefghijkl"]]) == [True]


def test_what_a_search_finds_first_is_right_if_it_is_a_reference_as_the_data_has_it():
    served = SimpleNamespace(
        answers={"search": Signature(answer=dict, gallery="place")},
        default="search",
        gallery=SimpleNamespace(shows=("text",)),
        processors={"text": Lower()},
    )
    rows = [
        {"row": "0", "references": {"text": ["A Dog, running"]}, "answers": {"model": {"text": found, "ok": True}}}
        for found in (["A Dog, running", "A cat"], ["a dog, running", "A Dog, running"])
    ]
    assert [one.correct for one in judge(served, Scores("test", rows=rows))] == [True, False]


def test_a_processor_that_cannot_decode_is_taken_by_its_word():
    assert verdicts(["a dog", "a dog"], [["a dog"], ["A dog"]], Silent()) == [True, False]


def test_whole_numbers_are_compared():
    assert verdicts([3, 4], [[3], [3]]) == [True, False]


@pytest.mark.parametrize("answer", [1.5, b"\xff\xd8\xff", [1, 2]])
def test_right_and_wrong_have_no_meaning_for_what_is_no_text_or_whole_number(answer):
    assert verdicts([answer], [[answer]]) == [None]


def test_what_stands_in_place_of_what_is_counted():
    answers = ["man run", "man run", "man", "a man", "woman"]
    references = [["woman run"], ["woman run"], ["man hop"], ["man"], ["woman"]]
    assert confusions(judged(answers, references)) == [("woman", "man", 2), ("", "a", 1), ("hop", "", 1)]


def test_the_closest_reference_is_the_one_compared():
    assert confusions(judged(["red cat"], [["one dog", "red dog"]])) == [("dog", "cat", 1)]


def test_right_and_wrong_are_shown_in_their_proportion():
    chosen = choose([place % 4 == 0 for place in range(400)], 24)
    assert sum(place % 4 == 0 for place in chosen) == 6
    assert chosen == sorted(set(chosen))
    assert chosen[0] < 40
    assert chosen[-1] > 360


def test_a_rare_failure_is_shown():
    assert 77 in choose([place != 77 for place in range(1000)], 24)


@given(st.lists(st.sampled_from([True, False, None])), st.integers(1, 30))
def test_as_many_are_chosen_as_there_are_and_some_of_each_kind(right, most):
    chosen = choose(right, most)
    assert len(set(chosen)) == len(chosen) == min(most, len(right))
    for wrong in (True, False):
        there = sum((one is False) == wrong for one in right)
        assert sum((right[place] is False) == wrong for place in chosen) >= min(MIN_SAMPLES, there, len(chosen) // 2)
