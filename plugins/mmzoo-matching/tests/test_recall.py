"""Recall against hand-written rankings, and against the same definitions in float64 on full score matrices."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmzoo_matching import ranking
from mmzoo_matching.recall import Recall

from mmzoo import DataError

WAYS = ("image_to_text", "text_to_image")


def recall(images, texts):
    metric = Recall()
    for image, text in zip(images, texts, strict=True):
        metric.update(candidate_embedding=image, query_embedding=text)
    return metric.result()


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def points(way, result):
    return [result[f"{way}_recall@{top}"] for top in (1, 5, 10)]


def counted(scores, right):
    """Ranks by sorting, in float64: returns recalls and the median rank. For score matrices without ties."""
    ranks = []
    for row, own in zip(scores, right, strict=True):
        order = np.argsort(-row)
        ranks.append(1 + min(np.flatnonzero(own[order])))
    return [np.mean(np.array(ranks) <= top) for top in (1, 5, 10)], np.median(ranks)


@pytest.mark.parametrize("captions", [None, 1, 5])
@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_recall_is_what_sorting_finds(captions, noise):
    rng = np.random.default_rng(3)
    images = unit(rng.normal(size=(40, 8)))
    own = images if captions is None else np.repeat(images[:, None], captions, axis=1)
    texts = unit(own + noise * rng.normal(size=own.shape))
    texts = texts if noise else own + 1e-3 * rng.normal(size=own.shape)
    result = recall(images, texts)
    scores = images @ texts.reshape(-1, 8).T
    right = np.repeat(np.eye(40, dtype=bool), captions or 1, axis=1)
    for way, table, mine in zip(WAYS, (scores, scores.T), (right, right.T), strict=True):
        expected, median = counted(table, mine)
        assert points(way, result) == pytest.approx(expected, abs=1e-12)
        assert result[f"{way}_median_rank"] == median
    assert result["rsum"] == pytest.approx(100 * sum(points(WAYS[0], result) + points(WAYS[1], result)))


def test_uneven_numbers_of_captions():
    """Three pictures; the second has three captions: one is nearest to it, two are nearest to the third picture."""
    one, two, three = np.eye(3)
    nearly = unit(np.array([0.0, 0.6, 0.8]))
    result = recall([one, two, three], [one[None], np.stack([two, nearly, nearly]), three[None]])
    assert result["image_to_text_recall@1"] == 1
    assert result["text_to_image_recall@1"] == pytest.approx(3 / 5)
    assert result["text_to_image_recall@5"] == 1
    assert result["text_to_image_median_rank"] == 1


def test_every_picture_may_have_several_vectors_too():
    frames = np.stack([np.eye(4)[:2], np.eye(4)[2:]])
    result = recall(frames, [np.eye(4)[1], np.eye(4)[2]])
    assert result["text_to_image_recall@1"] == 1
    assert result["image_to_text_recall@1"] == pytest.approx(0.75)  # the other frames look alike from both texts


@pytest.mark.parametrize("captions", [1, 3])
def test_a_model_that_embeds_all_alike_scores_as_chance(captions):
    one = unit(np.random.default_rng(0).normal(size=7))
    result = recall([one] * 12, [np.tile(one, (captions, 1))] * 12)
    for way in WAYS:
        for top in (1, 5, 10):
            assert result[f"{way}_recall@{top}"] == pytest.approx(result[f"{way}_recall@{top}_chance"], abs=1e-12)
    assert result["text_to_image_median_rank"] == pytest.approx(6.5)


def test_chance_is_the_hypergeometric_formula():
    rng = np.random.default_rng(1)
    result = recall(rng.normal(size=(8, 4)), rng.normal(size=(8, 5, 4)))
    for top in (1, 5, 10):
        missed = math.comb(35, top) / math.comb(40, top)
        assert result[f"image_to_text_recall@{top}_chance"] == pytest.approx(1 - missed, abs=1e-12)
        assert result[f"text_to_image_recall@{top}_chance"] == pytest.approx(min(1, top / 8), abs=1e-12)


def test_a_picture_that_occurs_twice_is_found_half_of_the_time():
    pictures = np.eye(3)[[0, 0, 1, 2]]
    result = recall(pictures, pictures)
    assert result["text_to_image_recall@1"] == result["image_to_text_recall@1"] == pytest.approx(0.75)
    assert result["text_to_image_recall@5"] == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(1, 3), st.integers(1, 6))
def test_ties_count_as_the_mean_over_all_orders(better, wrong, right, top):
    """Compares with the mean over every order of the tied entries."""
    found = ranking.Places(np.array([better]), np.array([wrong + right]), np.array([right]))
    orders = [order.index(True) for order in permutations([False] * wrong + [True] * right)]
    assert found.hits(top)[0] == pytest.approx(np.mean([better + place < top for place in orders]), abs=1e-12)
    assert found.ranks()[0] == pytest.approx(better + 1 + np.mean(orders), abs=1e-12)


@pytest.mark.parametrize("block", [1, 400, 1 << 20])
def test_blocks_of_any_size_give_the_same(block, monkeypatch):
    rng = np.random.default_rng(5)
    images, texts = unit(rng.normal(size=(30, 6))), unit(rng.normal(size=(30, 2, 6)))
    images[7] = images[3]
    whole = recall(images, texts)
    monkeypatch.setattr(ranking, "BLOCK", block)
    assert recall(images, texts) == whole


def test_bounds_hold_the_share_and_narrow_with_the_examples():
    """The normal approximation for a share p of n examples is p +- 1.96 sqrt(p (1 - p) / n)."""
    rng = np.random.default_rng(2)
    for number in (100, 900):
        images = unit(rng.normal(size=(number, 32)))
        result = recall(images, unit(images + 0.3 * rng.normal(size=images.shape)))
        share, low, high = (result[f"image_to_text_recall@1{part}"] for part in ("", "_low", "_high"))
        assert 0.1 < share < 0.9
        half = 1.96 * math.sqrt(share * (1 - share) / number)
        assert (low, high) == pytest.approx((share - half, share + half), abs=0.15 * half + 1 / number)


def test_captions_of_one_picture_are_drawn_together():
    """Ten captions that are all right or all wrong give no narrower interval than one."""
    rng = np.random.default_rng(4)
    images = unit(rng.normal(size=(60, 8)))
    texts = unit(images + 0.5 * rng.normal(size=images.shape))
    one, ten = recall(images, texts), recall(images, np.repeat(texts[:, None], 10, axis=1))
    for part in ("", "_low", "_high"):
        assert ten[f"text_to_image_recall@1{part}"] == pytest.approx(one[f"text_to_image_recall@1{part}"], abs=1e-9)


def test_a_picture_without_captions_is_missed_and_still_ranked():
    one, two = np.eye(2)
    result = recall([one, two], [one, np.zeros((0, 2))])
    assert result["image_to_text_recall@10"] == pytest.approx(0.5)
    assert result["text_to_image_recall@1_chance"] == pytest.approx(0.5)
    assert recall([one], [np.zeros((0, 2))])["rsum"] == 0


def test_the_numbers_are_named_by_the_words_of_the_recipe():
    sounds, plain = Recall(candidate="sound", query="caption"), Recall()
    for metric in (sounds, plain):
        metric.update(np.eye(2)[0], np.eye(2)[1])
    renamed = {name.replace("image", "sound").replace("text", "caption"): value for name, value in plain.result().items()}
    assert sounds.result() == renamed
    assert sounds.lower_is_better == ("sound_to_caption_median_rank", "caption_to_sound_median_rank")
    assert plain.lower_is_better == Recall.lower_is_better


def test_one_word_for_both_is_refused():
    with pytest.raises(DataError) as error:
        Recall(candidate="image", query="image")
    assert str(error.value) == "the metric 'recall' calls both candidates and queries 'image'; expected two words."


def test_one_example_is_found():
    assert recall([np.eye(2)[0]], [np.eye(2)[1]])["rsum"] == pytest.approx(600)


@pytest.mark.parametrize(
    ("image", "text", "message"),
    [
        (
            [1.0, math.nan],
            [1.0, 0.0],
            "the metric 'recall': 'candidate_embedding' must be a vector of finite numbers, or several, received [1.0, nan].",
        ),
        (
            [1.0, 0.0],
            ["a red square"],
            "the metric 'recall': 'query_embedding' must be a vector of finite numbers, or several, received ['a red square'].",
        ),
        (
            [1.0, 0.0],
            [1.0],
            "the metric 'recall' compares vectors of one dim, received 2 and 1. "
            "Name outputs in one space as 'candidate_embedding' and 'query_embedding'.",
        ),
    ],
)
def test_a_value_that_is_not_an_embedding_is_refused(image, text, message):
    with pytest.raises(DataError) as error:
        Recall().update(image, text)
    assert str(error.value) == message
