"""What headers say: which way up a picture is, and whether it may be decoded."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from encoded_pictures import JPEG, PNG, RGB, RGBA, pixels, reader, reference, save, scene
from PIL import Image as Pillow
from PIL import ImageOps

pytestmark = pytest.mark.slow

ORDER = b"a BMP picture must be uncompressed, with the bytes blue, green, red of each pixel in this order"


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Puts a segment of EXIF behind a JPEG's first one."""
    end = 4 + int.from_bytes(data[4:6])
    return data[:end] + b"\xff\xe1" + struct.pack(">H", len(exif) + 8) + b"Exif\0\0" + exif + data[end:]


def directory(orientation: int, order: str, kind: int = 3, magic: int = 42, start: int = 8) -> bytes:
    """Makes EXIF with two entries, the orientation last."""
    value = struct.pack(f"{order}HH", orientation, 0) if kind == 3 else struct.pack(f"{order}I", orientation)
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", magic, start)
    entries = struct.pack(f"{order}HHHII", 2, 0x0100, 4, 1, 48) + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value
    return head + entries + bytes(4)


WIDE = save(Pillow.fromarray(scene(31, 47)), "JPEG", quality=90)


@pytest.mark.parametrize("order", "<>")
def test_a_picture_is_turned_as_exif_says(order):
    raw = [with_exif(WIDE, directory(orientation, order, kind)) for kind in (3, 4) for orientation in range(1, 9)]
    features, fault, _ = reader(61, fit="crop")(tf.constant([*raw, PNG]))  # a PNG among them takes the general way
    assert not any(fault.numpy())
    for data, alone, found in zip(raw, reader(61, fit="crop")(tf.constant(raw)).features, features, strict=False):
        upright = ImageOps.exif_transpose(Pillow.open(io.BytesIO(data)))
        np.testing.assert_array_equal(alone, found)
        assert np.abs(found.numpy().astype(int) - reference(upright, 61, "crop")).max() <= 1


def test_a_picture_that_needs_no_resizing_is_turned_too():
    data = with_exif(JPEG, directory(6, ">"))
    np.testing.assert_array_equal(pixels(data, size=40), np.asarray(ImageOps.exif_transpose(Pillow.open(io.BytesIO(data)))))


def test_damaged_exif_leaves_a_picture_as_it_is():
    good = directory(6, "<")
    damaged = [
        directory(9, "<"), directory(0, "<"), directory(65535, ">"), directory(6, "<", kind=2), directory(6, "<", magic=43),
        directory(6, ">", start=200), directory(6, "<", start=2**32 - 1), good[:2], good[:9], good[:30], b"", b"II",
    ]  # fmt: skip
    raw = [with_exif(JPEG, exif) for exif in damaged]
    long = with_exif(JPEG, good)
    at = long.index(b"\xff\xe1")
    raw += [long[: at + 2] + b"\0\x05" + long[at + 4 :], PNG + long]  # a segment that ends early; a picture of another format
    features, _, _ = reader(40)(tf.constant(raw))
    for found in features[:-2]:
        np.testing.assert_array_equal(found, np.asarray(Pillow.open(io.BytesIO(JPEG))))
    np.testing.assert_array_equal(features[-1], scene())


def test_a_picture_that_ends_in_the_name_of_its_exif_fails_alone():
    long = with_exif(JPEG, b"")
    cut = long[: long.index(b"Exif") + 4]  # bytes beyond the end count as 0, and so complete the name
    _, fault, _ = reader(40)(tf.constant([JPEG, cut, JPEG]))
    assert [bool(reason) for reason in fault.numpy()] == [False, True, False]


def bmp(bits: int, packing: int = 0, masks: tuple[int, ...] = (), header: int = 40) -> bytes:
    """Makes a BMP picture of 40 x 40 from that of Pillow, with other words in its header."""
    body = save(RGBA if bits == 32 else RGB, "BMP")[54:]
    head = struct.pack("<IiiHHIIiiII", header, 40, 40, 1, bits, packing, len(body), 0, 0, 0, 0)
    fields = struct.pack(f"<{len(masks)}I", *masks)
    return b"BM" + struct.pack("<III", 54 + len(fields) + len(body), 0, 54 + len(fields)) + head + fields + body


def test_bmp_with_bit_fields_in_the_usual_order():
    data = bmp(32, packing=3, masks=(0xFF0000, 0xFF00, 0xFF))
    np.testing.assert_array_equal(pixels(data, size=40), np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(bmp(24, packing=1), ORDER, id="bmp compressed"),
        pytest.param(bmp(32, packing=3, masks=(0xFF, 0xFF00, 0xFF0000)), ORDER, id="bmp with red first"),
        pytest.param(bmp(24, header=12), b"a BMP picture must not have a header of OS/2 1", id="bmp of OS/2"),
    ],
)
def test_bmp_that_would_be_read_wrongly_is_refused(data, reason):
    assert reader(40)(tf.constant([data])).fault.numpy().tolist() == [reason]


def test_the_limit_of_pixels_is_an_option():
    other = Pillow.fromarray(scene(39, 40))
    raw = [save(picture, kind) for picture in (RGB, other) for kind in ("PNG", "JPEG", "GIF", "BMP")]
    found = reader(40, max_pixels=1599)(tf.constant(raw)).fault.numpy().tolist()
    assert found == [b"the picture claims more than 1,599 pixels"] * 4 + [b""] * 4
    assert reader(40, max_pixels=1599)(tf.constant(raw[1:2])).fault.numpy().tolist() == found[1:2]
