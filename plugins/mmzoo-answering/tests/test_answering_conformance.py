"""What every head, loss and metric of answering must hold."""

import numpy as np
import pytest

from mmzoo.testing import HeadCase, LossCase, MetricCase, conformance, features

pytestmark = pytest.mark.slow

KIND = features(dtype="int32", vocabulary=6) | {"labels": list("abcdef"), "counts": [9, 5, 3, 3, 2, 1]}
INPUTS = {"image": features(8, 8, 3, dtype="uint8"), "kind": KIND}
LOSSES = ["cross_entropy", {"type": "cross_entropy", "label_smoothing": 0.1}, "focal"]

LABELS = np.array([2, 0])
RIGHT = 9.0 * np.eye(4)[LABELS]
BEST = {"logits": RIGHT, "label": LABELS}
WORSE = {"logits": -RIGHT, "label": LABELS}
SOFT = {"logits": RIGHT, "label": np.array([[0.0, 0.1, 0.9, 0.0], [0.8, 0.0, 0.1, 0.0]])}
WEIGHED = {"class_weight": np.array([0.5, 2.0])}

PERFECT = [{"answer": "cat", "references": ["cat", "kitten"]}, {"answer": "dog", "references": ["dog"]}]
WRONG = [row | {"answer": "Cat"} for row in PERFECT]
KINDS = [row | {"kind": [kind]} for row, kind in zip(PERFECT, ["pet", "guard"], strict=True)]
PERFECT_TOP = [{"label": ["cow", "cat", "dog"], "references": ["cat"]}, {"label": ["dog", "cow", "cat"], "references": ["dog"]}]
WRONG_TOP = [row | {"references": ["cats"]} for row in PERFECT_TOP]

test_conformance = conformance(
    HeadCase("classify", {"image": (4, 6)}, inputs=INPUTS, options={"target": "kind"}, losses=LOSSES),
    HeadCase(
        "classify",
        {"image": (1, 6)},
        inputs=INPUTS,
        options={"target": "kind", "dropout": 0.2, "top_k": 9},
        losses=LOSSES,
        label="pooled",
    ),
    HeadCase(
        "classify",
        {"image": (4, 6), "question": (3, 5), "joint": (1, 7)},
        inputs=INPUTS,
        options={"target": "kind", "class_weights": "balanced"},
        losses=LOSSES,
        label="late",
    ),
    LossCase("cross_entropy", BEST, WORSE, same=[{"logits": RIGHT + 3.0, "label": LABELS}]),
    LossCase("cross_entropy", BEST, WORSE, options={"label_smoothing": 0.1}, label="smoothed"),
    LossCase("cross_entropy", SOFT, SOFT | {"logits": -RIGHT}, label="shares"),
    LossCase("focal", BEST, WORSE, same=[{"logits": RIGHT + 3.0, "label": LABELS}]),
    LossCase("focal", SOFT | WEIGHED, SOFT | WEIGHED | {"logits": -RIGHT}, options={"gamma": 0.5}, label="shares"),
    MetricCase("accuracy", PERFECT, WRONG),
    MetricCase("accuracy", PERFECT, WRONG, known_labels=frozenset({"cat", "dog"}), label="labels"),
    MetricCase("top_accuracy", PERFECT_TOP, WRONG_TOP, options={"top_k": 2}),
    MetricCase("vqa_accuracy", PERFECT, [row | {"answer": "cow"} for row in PERFECT]),
    MetricCase(
        "accuracy",
        KINDS,
        [row | {"answer": "cow"} for row in KINDS],
        label="kinds",
        skip={"empty": "without examples there are no kinds"},
    ),
)
