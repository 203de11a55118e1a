"""Metrics of answers against counts by hand and by ranks."""

import re

import numpy as np
import pytest
from mmzoo_answering.accuracy import Accuracy, TopAccuracy

from mmzoo import DataError


def test_accuracy_counts_exact_answers():
    metric = Accuracy()
    for answer, references in [("yes", ["yes"]), ("Yes", ["yes"]), ("2", ["two", "2"]), ("", ["no"])]:
        metric.update(answer, references)
    assert metric.result() == {"accuracy": 0.5}


@pytest.mark.parametrize("top", [1, 2, 5])
def test_top_accuracy_is_the_share_of_ranks_below_top(top):
    rng = np.random.default_rng(0)
    orders, wanted = np.argsort(rng.normal(size=(50, 6)), axis=1), rng.integers(0, 6, 50)
    metric = TopAccuracy(top=top)
    for order, label in zip(orders, wanted, strict=True):
        metric.update([str(one) for one in order], [str(label)])
    ranks = np.argmax(orders == wanted[:, None], axis=1)
    assert metric.result() == {f"top_{top}": pytest.approx(np.mean(ranks < top))}


def test_a_label_that_cannot_be_answered_is_wrong():
    metric = TopAccuracy(top=2)
    metric.update(["a", "b"], ["never seen"])
    assert metric.result() == {"top_2": 0.0}


def test_fewer_answers_than_the_metric_looks_at():
    text = (
        "the metric 'top_accuracy' looks at 5 answers, the model gives 3. "
        "Give the head `top: 5`, or, if there are no more labels, the metric `top: 3`."
    )
    with pytest.raises(DataError, match="^" + re.escape(text) + "$"):
        TopAccuracy().update(["a", "b", "c"], ["a"])
