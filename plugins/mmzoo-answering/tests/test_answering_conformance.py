"""What every head, loss and metric of answering must hold."""

import numpy as np

from mmzoo.testing import HeadCase, LossCase, MetricCase, conformance, features

INPUTS = {"image": features(8, 8, 3, dtype="uint8"), "kind": features(dtype="int32", vocabulary=6)}
LOSSES = ["cross_entropy", {"type": "cross_entropy", "label_smoothing": 0.1}]

LABELS = np.array([2, 0])
RIGHT = 9.0 * np.eye(4)[LABELS]
BEST = {"logits": RIGHT, "label": LABELS}
WORSE = {"logits": -RIGHT, "label": LABELS}

PERFECT = [{"answer": "cat", "references": ["cat", "kitten"]}, {"answer": "dog", "references": ["dog"]}]
WRONG = [row | {"answer": "Cat"} for row in PERFECT]
PERFECT_TOP = [{"label": ["cow", "cat", "dog"], "references": ["cat"]}, {"label": ["dog", "cow", "cat"], "references": ["dog"]}]
WRONG_TOP = [row | {"references": ["cats"]} for row in PERFECT_TOP]

test_conformance = conformance(
    HeadCase("classify", {"image": (4, 6)}, inputs=INPUTS, options={"target": "kind"}, losses=LOSSES),
    HeadCase(
        "classify",
        {"image": (1, 6)},
        inputs=INPUTS,
        options={"target": "kind", "dropout": 0.2, "top": 9},
        losses=LOSSES,
        label="pooled",
    ),
    LossCase("cross_entropy", BEST, WORSE, same=[{"logits": RIGHT + 3.0, "label": LABELS}]),
    LossCase("cross_entropy", BEST, WORSE, options={"label_smoothing": 0.1}, label="smoothed"),
    MetricCase("accuracy", PERFECT, WRONG),
    MetricCase("top_accuracy", PERFECT_TOP, WRONG_TOP, options={"top": 2}),
)
