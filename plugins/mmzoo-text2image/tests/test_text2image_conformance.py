"""Conformance of the losses and the metrics, and of what of the heads `test_whole_way.py` does not build."""

from typing import Any

import numpy as np
import pytest
from coloured_pictures import MANY, Judge, flat, speckled

from mmzoo import MASKED_LOGIT
from mmzoo.testing import HeadCase, LossCase, MetricCase, conformance, features

TEXT = {"caption": (5, 8)}
CAPTION = features(5, dtype="int32", vocabulary=12)
INPUTS = {"image": features(16, 16, 3, dtype="uint8"), "caption": CAPTION}
SMALL = {"width": 8, "discriminator_width": 4, "noise": 3, "condition": 4, "residuals": 1}

test_heads = pytest.mark.slow(
    conformance(
        HeadCase(
            "stackgan",
            TEXT,
            inputs=INPUTS,
            losses=["discriminator", "generator", "matching", "kl", "r1", "ma_gp"],
            options=SMALL | {"scales": [16], "gradients": True, "hard_mismatches": 1, "memory": 4, "scored": "sentence"},
        ),
        HeadCase(
            "attngan",
            TEXT,
            inputs=INPUTS,
            losses=["discriminator", "generator", "kl"],
            options=SMALL | {"scales": [8, 16], "mapping": 4, "compress": 4},
        ),
        HeadCase(
            "damsm",
            {"image": (9, 7), "caption": (5, 8)},
            inputs=INPUTS,
            losses=["damsm"],
            options={"dim": 4, "gallery": "test", "top_k": 3},
        ),
    )
)

HIGH, LOW = np.full((4, 2), 3.0), np.full((4, 2), -3.0)
TRUE = {"real": HIGH, "real_alone": HIGH, "generated": LOW, "generated_alone": LOW, "mismatched": np.full((4, 2, 2), -3.0)}
FALSE = {name: -value for name, value in TRUE.items()}
UNMATCHED = np.concatenate([TRUE["mismatched"][:, :, :1], np.full((4, 2, 1), MASKED_LOGIT)], axis=2)
NORMAL, AWAY = ({"mean": np.full((4, 3), value), "log_variance": np.full((4, 3), value)} for value in (0.0, 2.0))
EYE = np.eye(4)
PAIRED = {
    "regions": np.tile(EYE[:, None], (1, 3, 1)),
    "words": np.tile(EYE[:, None], (1, 2, 1)),
    "words_mask": np.array([[True, True]] * 3 + [[True, False]]),
    "candidate_embedding": EYE,
    "query_embedding": EYE,
}
WRONG = PAIRED | {name: np.roll(PAIRED[name], 1, axis=0) for name in ("words", "query_embedding")}
PADDED = PAIRED | {"words": np.where(PAIRED["words_mask"][..., None], PAIRED["words"], 7.0)}

test_losses = conformance(
    LossCase("discriminator", best=TRUE, worse=FALSE),
    LossCase("discriminator", best=TRUE, worse=FALSE, options={"form": "hinge", "average": False}, label="hinge"),
    LossCase("discriminator", best=TRUE | {"mismatched": UNMATCHED}, worse=FALSE, label="equal_texts"),
    LossCase("generator", best={"fooling": HIGH, "fooling_alone": HIGH}, worse={"fooling": LOW, "fooling_alone": LOW}),
    LossCase("generator", best={"fooling": HIGH}, worse={"fooling": LOW}, options={"form": "hinge"}, label="hinge"),
    LossCase(
        "matching",
        best={"fooling": HIGH, "fooling_mismatched": TRUE["mismatched"]},
        worse={"fooling": LOW, "fooling_mismatched": -TRUE["mismatched"]},
    ),
    LossCase("kl", best=NORMAL, worse=AWAY, extremes=[{"mean": np.full((4, 3), 1e4), "log_variance": np.full((4, 3), 50.0)}]),
    LossCase("r1", best={"picture_gradient": np.zeros(4)}, worse={"picture_gradient": np.ones(4)}),
    LossCase(
        "ma_gp",
        best={"picture_gradient": np.zeros(4), "text_gradient": np.zeros(4)},
        worse={"picture_gradient": np.ones(4), "text_gradient": np.ones(4)},
    ),
    LossCase("damsm", best=PAIRED, worse=WRONG, same=[PADDED]),
    LossCase(
        "damsm",
        best=PAIRED | {"id": np.array([1, 2, 1, 3])},
        worse=WRONG | {"id": np.array([1, 2, 1, 3])},
        options={"word_score": "soft_maximum"},
        label="ids",
    ),
)

JUDGE = {"clip": Judge()}
TRAINING = [{"image": [data], "caption": ["a picture"]} for data in MANY]
COLOURS = ("red", "green", "blue")


def drawn(colours: tuple[str, ...], *names: str) -> list[dict[str, Any]]:
    """Gives generated pictures in these colours for captions of red, green and blue, and what else a metric reads."""
    rows = zip(colours, COLOURS, strict=True)
    whole = [{"image_bytes": flat(one), "image": [flat(own)], "caption": [own], "target": [own]} for one, own in rows]
    return [{name: row[name] for name in names} for row in whole]


def judged(metric: str, *names: str, wrong: tuple[str, ...] = ("green", "blue", "red"), **options: Any) -> MetricCase:
    right, wrong_rows = (drawn(colours, "image_bytes", *names) for colours in (COLOURS, wrong))
    return MetricCase(metric, right, wrong_rows, needed=JUDGE, training=TRAINING, options={"judge": "clip"} | options)


def generate(signature: str, texts: list[str], seeds: np.ndarray) -> dict[str, list[bytes]]:
    """Draws one picture whatever the seed for the caption 'grey'."""
    return {"image_bytes": [speckled(0 if text == "grey" else int(seed)) for text, seed in zip(texts, seeds, strict=True)]}


test_metrics = conformance(
    judged("frechet_distance", "image", wrong=("white", "white", "red")),
    judged("kernel_distance", "image", wrong=("white", "white", "red")),
    judged("inception_score", wrong=("red", "red", "red"), splits=1),
    judged("r_precision", "image", "caption"),
    judged("read_back", "image", "target", name="colour"),
    MetricCase(
        "diversity",
        [{"image": [flat("red")], "caption": ["red"]}],
        [{"image": [flat("red")], "caption": ["grey"]}],
        predict=generate,
    ),
    MetricCase(
        "nearest_training",
        drawn(COLOURS, "image_bytes", "image"),
        [{"image_bytes": data, "image": [flat("red")]} for data in MANY[:3]],
        training=TRAINING,
    ),
)
