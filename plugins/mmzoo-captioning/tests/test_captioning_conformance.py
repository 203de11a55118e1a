"""What every head, loss and metric of captioning must hold."""

import numpy as np
import pytest

from mmzoo.testing import HeadCase, LossCase, MetricCase, conformance, features

pytestmark = pytest.mark.slow

INPUTS = {"image": features(8, 8, 3, dtype="uint8"), "caption": features(3, dtype="int32", vocabulary=9)}
OPTIONS = {"target": "caption", "units": 8, "beam": 2}
LOSSES = ["token_cross_entropy", {"type": "doubly_stochastic", "weight": 0.1}]

TOKENS = np.array([[4, 5, 3, 0], [6, 3, 0, 0]])
RIGHT = 9.0 * np.eye(8)[TOKENS]
PADDED = np.where(TOKENS[..., None] == 0, 5.0, RIGHT)
EVEN = np.full((2, 4, 3), 1 / 3)
ONE = np.tile(np.eye(3)[0], (2, 4, 1))

PERFECT = [
    {"answer": "a small red square on white", "references": ["a small red square on white", "a red square"]},
    {"answer": "two blue circles on a table", "references": ["two blue circles on a table"]},
]
WRONG = [{"answer": "nothing of it", "references": row["references"]} for row in PERFECT]

test_conformance = conformance(
    HeadCase("gru_captioner", {"image": (4, 6)}, inputs=INPUTS, options=OPTIONS, losses=LOSSES),
    HeadCase(
        "gru_captioner", {"image": (4, 6), "text": (3, 5)}, inputs=INPUTS, options=OPTIONS, losses=LOSSES, label="several"
    ),
    LossCase(
        "token_cross_entropy",
        best={"logits": RIGHT, "tokens": TOKENS},
        worse={"logits": -RIGHT, "tokens": TOKENS},
        same=[{"logits": PADDED, "tokens": TOKENS}],
    ),
    LossCase(
        "token_cross_entropy",
        options={"label_smoothing": 0.1},
        best={"logits": RIGHT, "tokens": TOKENS},
        worse={"logits": -RIGHT, "tokens": TOKENS},
        same=[{"logits": PADDED, "tokens": TOKENS}],
        label="smoothed",
    ),
    LossCase(
        "doubly_stochastic",
        best={"attention": EVEN, "tokens": [[4, 5, 3, 0], [6, 7, 3, 0]]},
        worse={"attention": ONE, "tokens": [[4, 5, 3, 0], [6, 7, 3, 0]]},
        same=[{"attention": np.concatenate([EVEN[:, :3], ONE[:, 3:]], axis=1), "tokens": [[4, 5, 3, 0], [6, 7, 3, 0]]}],
    ),
    *(MetricCase(name, PERFECT, WRONG) for name in ("bleu", "cider", "rouge_l", "exact_match")),
)
