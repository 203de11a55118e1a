"""What the processors and encoders of frames must hold."""

import io

import numpy as np
import pytest
from PIL import Image

from mmzoo.testing import EncoderCase, ProcessorCase, conformance, features

pytestmark = pytest.mark.slow


def picture(kind: str, seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def encoded(kind: str, seed: int, size: tuple[int, int] = (8, 8)) -> bytes:
    target = io.BytesIO()
    picture(kind, seed, size).save(target, format=kind)
    return target.getvalue()


def animation(count: int) -> bytes:
    target = io.BytesIO()
    first, *rest = (picture("GIF", seed, (6, 9)).quantize(16) for seed in range(count))
    first.save(target, format="GIF", save_all=True, append_images=rest)
    return target.getvalue()


PICTURE = {"type": "image", "size": 8}
CLIPS = [
    [encoded("JPEG", 1), encoded("PNG", 2, (4, 9))],
    [encoded("PNG", seed) for seed in range(7)],
    [encoded("PNG", 5), b"", encoded("GIF", 3)],
]
BAD = [[], [b"", b""], [encoded("PNG", 1), b"no picture"], [encoded("JPEG", 1)[:200]]]
GIF = animation(5)

FRAMES = features(3, 8, 8, 3, dtype="uint8", mask=[3])
ENCODER = {"type": "resnet", "blocks": [1], "stem": 3}

test_conformance = conformance(
    ProcessorCase("frames", CLIPS, options={"picture": PICTURE, "frames": 3}, bad=BAD, label="lists"),
    ProcessorCase(
        "frames",
        [GIF, animation(2)],
        options={"picture": PICTURE, "frames": 3, "stride": 2, "animated": True},
        bad=[b"", encoded("PNG", 1), GIF[:200], GIF[:-1]],
        label="animations",
    ),
    ProcessorCase("vectors", [[1.0, 2.0], [0.5, 0.0]], options={"dim": 2}, bad=[[], [0.0], [np.nan, 1.0]], label="one"),
    ProcessorCase("vectors", [[1.0, 2.0], [0.0, 0.0, 3.0, 0.0]], options={"dim": 2, "time": 3}, bad=[[]], label="several"),
    EncoderCase("frame_mean", FRAMES, options={"encoder": ENCODER}, label="mean"),
    EncoderCase("frame_mean", FRAMES, options={"encoder": ENCODER | {"dropout": 0.2}, "tokens": "frames"}, label="frames"),
    EncoderCase("features", features(5, 6, mask=[5]), options={"dim": 4, "dropout": 0.2}, label="several"),
    EncoderCase("features", features(6), options={"dim": 4}, label="one"),
)
