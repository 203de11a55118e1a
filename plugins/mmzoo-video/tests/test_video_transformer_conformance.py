"""What every encoder of frames must hold: the video transformer."""

import pytest

from mmzoo.testing import EncoderCase, conformance, features

pytestmark = pytest.mark.slow

FRAMES = features(4, 8, 12, 3, dtype="uint8", mask=[4])
TINY = {"patch": 4, "dim": 8, "depth": 1, "heads": 2}

test_conformance = conformance(
    EncoderCase("video_transformer", FRAMES, options=TINY | {"tokens": "all"}, label="divided"),
    EncoderCase(
        "video_transformer",
        FRAMES,
        options=TINY | {"depth": 2, "attention": "joint", "tubelet": 2, "tokens": "frames", "dropout": 0.1, "depth_drop": 0.2},
        label="joint",
    ),
    EncoderCase(
        "video_transformer",
        FRAMES,
        options=TINY | {"attention": "factorised", "tubelet": 2, "temporal_depth": 1},
        label="factorised",
    ),
)
