"""What every processor and encoder of pictures must hold."""

import io

import numpy as np
import pytest
from PIL import Image

from mmzoo.testing import EncoderCase, ProcessorCase, conformance, features

pytestmark = pytest.mark.slow


def picture(kind: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(len(kind) + sum(size))
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    target = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode).save(target, format=kind)
    return target.getvalue()


SQUARE = [picture("PNG"), picture("PNG", mode="RGBA"), picture("BMP"), picture("JPEG")]
OBLONG = [picture("PNG", (5, 12), "L"), picture("JPEG", (30, 7)), picture("GIF", (4, 9), "L")]
HUGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
BAD = [b"", b"no picture", picture("PNG")[:60], picture("JPEG")[:200], HUGE, picture("TIFF")]

PIXELS = features(12, 12, 3, dtype="uint8")
SMALL = {"blocks": [1], "stem": 3}
TINY = {"patch": 4, "dim": 8, "depth": 1, "heads": 2}

test_conformance = conformance(
    ProcessorCase("image", SQUARE + OBLONG, options={"size": 8}, bad=BAD),
    EncoderCase("resnet", PIXELS, options=SMALL, label="basic"),
    EncoderCase("resnet", PIXELS, options=SMALL | {"block": "bottleneck", "dropout": 0.2}, label="bottleneck"),
    EncoderCase("vit", PIXELS, options=TINY | {"dropout": 0.2}, label="class"),
    EncoderCase("vit", PIXELS, options=TINY | {"flavour": "clip", "tokens": "all"}, label="clip"),
    EncoderCase("efficientnet", PIXELS, options={"blocks": [1, 2], "width": 0.5}),
)
