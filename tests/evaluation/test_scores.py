"""Scores are laid out for people as the file says them."""

from mmzoo.evaluation.scores import Scores, by_scorer, score_table

NUMBERS = {
    "model": {"recall": 0.5, "recall_low": 0.4, "recall_high": 0.6, "recall_chance": 0.01, "rank": 2.0, "sea_low": 1.0},
    "nearest": {"recall": 0.2, "recall_low": 0.1, "recall_high": 0.3, "recall_chance": 0.01, "rank": 9.0},
}


def test_the_file_gives_back_what_was_scored():
    flat = Scores("test", NUMBERS, [{}, {}], unreadable=1).flat()
    assert (flat["split"], flat["examples"], flat["unreadable"]) == ("test", 2, 1)
    assert flat["baseline.nearest.rank"] == 9.0
    assert by_scorer(flat) == NUMBERS


def test_intervals_and_chance_stand_beside_their_metric():
    numbers, spans = score_table(NUMBERS)
    assert numbers == {
        "model": {"recall": 0.5, "rank": 2.0, "sea_low": 1.0},  # no metric 'sea'
        "nearest": {"recall": 0.2, "rank": 9.0},
        "chance": {"recall": 0.01},
    }
    assert spans == {"recall": (0.4, 0.6)}


def test_without_them_nothing_changes():
    numbers = {"model": {"bleu": 0.5}, "nearest": {"bleu": 0.1}}
    assert score_table(numbers) == (numbers, {})
    assert score_table({}) == ({}, {})
