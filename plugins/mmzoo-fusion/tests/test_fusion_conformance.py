"""What every fusion of this plugin must hold."""

import pytest

from mmzoo.testing import FusionCase, conformance

pytestmark = pytest.mark.slow

PAIR = {"image": (9, 7), "caption": (5, 6)}
THREE = {"video": (6, 7), "sound": (1, 3), "caption": (5, 6)}
SMALL = {"dim": 4, "heads": 2, "depth": 1}

test_conformance = conformance(
    FusionCase("early", THREE, options=SMALL | {"tokens": "class"}),
    FusionCase("late", THREE, options={"dim": 4, "dropout": 0.5}),
    FusionCase("concat", THREE, options={"dim": 4, "mlp": 5, "dropout": 0.5}),
    FusionCase("gated", PAIR, options={"dim": 4}),
    FusionCase("cross_attention", THREE, options=SMALL | {"query": "caption"}),
    FusionCase("hybrid", PAIR, options=SMALL | {"dropout": 0.1}),
    FusionCase("bottleneck", PAIR, options=SMALL | {"depth": 2, "tokens": "class", "bottlenecks": 2}),
    FusionCase("film", THREE, options={"dim": 8, "condition": "sound", "depth": 1}),
)
