"""Conformance of the fusion and the head."""

import pytest

from mmzoo.testing import FusionCase, HeadCase, conformance, features

pytestmark = pytest.mark.slow

PAIR = {"image": (9, 8), "caption": (5, 8)}
INPUTS = {"image": features(8, 8, 3, dtype="uint8"), "caption": features(5, dtype="int32", vocabulary=12)}


def head(label: str = "", losses: tuple[object, ...] = ("info_nce",), **options: object) -> HeadCase:
    return HeadCase("match", PAIR, inputs=INPUTS, losses=losses, options=options, label=label)


test_conformance = conformance(
    FusionCase("project", {"image": (9, 7), "caption": (5, 6)}, options={"dim": 4}),
    FusionCase(
        "project", {"image": (9, 7), "sound": (1, 3), "caption": (5, 6)}, options={"dim": 4, "use_bias": True}, label="three"
    ),
    head(losses=("info_nce", "sigmoid", "triplet")),
    head("gallery", gallery="test", top_k=3),
    head("large", gallery={"type": "tfds", "name": "coco_captions"}, key="id", top_k=100),
    head("siglip", losses=("sigmoid",), temperature=0.1, bias=-10.0),
    head("fixed", temperature=0.1, learned=False),
)
