"""Conformance of the metrics."""

import numpy as np

from mmzoo.testing import MetricCase, conformance

UNIT = np.eye(4, dtype="float32")
NAMES = ["cat", "dog", "owl", "red panda"]
LEFT_OUT = {"caption_embedding": np.zeros(4, "float32"), "ok": False}


def embed(signature: str, texts: list[str]) -> dict[str, np.ndarray]:
    known = [{"caption_embedding": UNIT[NAMES.index(text)], "ok": True} if text in NAMES else LEFT_OUT for text in texts]
    return {name: np.stack([answer[name] for answer in known]) for name in LEFT_OUT}


def pairs(shift: int) -> list[dict[str, np.ndarray]]:
    return [
        {"candidate_embedding": UNIT[row], "query_embedding": UNIT[[row - shift] * captions]}
        for row, captions in enumerate((1, 2, 1, 3))
    ]


def named(shift: int) -> list[dict[str, object]]:
    return [{"candidate_embedding": UNIT[row], "label": [NAMES[row - shift]]} for row in range(4)]


test_conformance = conformance(
    MetricCase("recall", pairs(0), pairs(1)),
    MetricCase("recall", pairs(0), pairs(1), options={"candidate": "sound", "query": "caption"}, label="sounds"),
    MetricCase("zero_shot_accuracy", named(0), named(1), predict=embed),
    MetricCase(
        "zero_shot_accuracy",
        named(0),
        named(1),
        predict=embed,
        options={"top_k": 2, "templates": ["{}", "no {}"]},
        label="templates",
    ),
)
