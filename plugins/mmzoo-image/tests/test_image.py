"""The image processor against Pillow: decoding, and pictures that cannot be read."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from encoded_pictures import GRAY, JPEG, PNG, RGB, RGBA, pixels, reader, save, scene
from mmzoo_image.image import Image
from PIL import Image as Pillow

pytestmark = pytest.mark.slow

DAMAGED = b"the picture's data is damaged"
UNKNOWN = b"this is not a JPEG, PNG, GIF or BMP picture"
LARGE = b"the picture claims more than 64,000,000 pixels"


def on_white(data: bytes) -> np.ndarray:
    picture = Pillow.open(io.BytesIO(data)).convert("RGBA")
    white = Pillow.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return np.asarray(white.convert("RGB"))


# Decoding


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(JPEG, id="jpeg"),
        pytest.param(save(RGB, "JPEG", quality=50, subsampling=2), id="jpeg 4:2:0"),
        pytest.param(save(RGB, "JPEG", progressive=True), id="jpeg progressive"),
        pytest.param(save(GRAY, "JPEG"), id="jpeg gray"),
        pytest.param(save(RGB.convert("CMYK"), "JPEG"), id="jpeg cmyk"),
        pytest.param(PNG, id="png"),
        pytest.param(save(GRAY, "PNG"), id="png gray"),
        pytest.param(save(RGB.convert("1"), "PNG"), id="png 1 bit"),
        pytest.param(save(RGB.quantize(4), "PNG"), id="png palette of 2 bits"),
        pytest.param(save(RGB.quantize(16), "PNG"), id="png palette of 4 bits"),
        pytest.param(save(RGB.quantize(200), "PNG"), id="png palette of 8 bits"),
        pytest.param(save(RGB, "GIF"), id="gif"),
        pytest.param(save(RGB, "GIF", save_all=True, append_images=[Pillow.new("RGB", (40, 40))]), id="gif animated"),
        pytest.param(save(RGB, "BMP"), id="bmp"),
        pytest.param(save(GRAY, "BMP"), id="bmp gray"),
        pytest.param(save(RGB.quantize(16), "BMP"), id="bmp palette of 16"),
        pytest.param(save(RGB.quantize(256), "BMP"), id="bmp palette of 256"),
    ],
)
def test_equals_pillow(data):
    expected = np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(pixels(data, size=40), expected)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(save(RGBA, "PNG"), id="rgba"),
        pytest.param(save(RGBA.convert("LA"), "PNG"), id="gray and alpha"),
        pytest.param(save(RGB.quantize(16), "PNG", transparency=3), id="palette of 4 bits"),
        pytest.param(save(RGB.quantize(200), "PNG", transparency=bytes(range(200))), id="palette with an alpha each"),
        pytest.param(save(RGB.convert("1"), "PNG", transparency=0), id="1 bit"),
        pytest.param(save(GRAY, "PNG", transparency=int(np.asarray(GRAY)[0, 0])), id="gray"),
    ],
)
def test_transparent_png_lies_on_white(data):
    assert Pillow.open(io.BytesIO(data)).convert("RGBA").getextrema()[3][0] < 255
    difference = pixels(data, size=40).astype(int) - on_white(data)
    assert np.abs(difference).max() <= 1  # Pillow rounds once more


def test_png_of_16_bits_keeps_the_upper_byte():
    levels = np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40
    expected = np.repeat((levels >> 8)[..., None], 3, axis=-1)
    np.testing.assert_array_equal(pixels(save(Pillow.fromarray(levels), "PNG"), size=40), expected)


def test_transparent_parts_of_a_gif_are_black():
    picture = Pillow.new("P", (40, 40))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.paste(1, (0, 0, 20, 40))
    found = pixels(save(picture, "GIF", transparency=0), size=40)
    assert (found[:, :20] == [0, 255, 0]).all()
    assert (found[:, 20:] == 0).all()


def test_bmp_of_32_bits_and_one_that_runs_downwards():
    np.testing.assert_array_equal(pixels(save(RGBA, "BMP"), size=40), scene(channels=4)[..., :3])
    upwards = save(RGB, "BMP")
    head, body = upwards[:54], np.frombuffer(upwards[54:], np.uint8).reshape(40, 120)
    downwards = head[:22] + struct.pack("<i", -40) + head[26:] + body[::-1].tobytes()
    np.testing.assert_array_equal(pixels(downwards, size=40), scene())


# What cannot be read


def claimed_png(width: int, height: int) -> bytes:
    """Makes a sound PNG header of any size, with the data of one pixel."""
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(4))),
        (b"IEND", b""),
    ]
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def claimed_jpeg(width: int, height: int) -> bytes:
    start = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:start] + struct.pack(">HH", height, width) + JPEG[start + 4 :]


FAULTY = [
    pytest.param(b"", b"there is no data", id="empty"),
    pytest.param(b"\x00", UNKNOWN, id="one byte"),
    pytest.param("a text, ünïcode".encode(), UNKNOWN, id="text"),
    pytest.param(save(RGB, "WEBP"), UNKNOWN, id="webp"),
    pytest.param(save(RGB, "TIFF"), UNKNOWN, id="tiff"),
    pytest.param(PNG[:8], DAMAGED, id="png without a header"),
    pytest.param(PNG[: len(PNG) // 2], DAMAGED, id="png cut"),
    pytest.param(JPEG[:4], DAMAGED, id="jpeg without a header"),
    pytest.param(JPEG[: len(JPEG) // 2], DAMAGED, id="jpeg cut"),
    pytest.param(save(RGB, "GIF")[:300], DAMAGED, id="gif cut"),
    pytest.param(save(RGB, "BMP")[:300], DAMAGED, id="bmp cut"),
    pytest.param(PNG[:60] + bytes(60) + PNG[120:], DAMAGED, id="png overwritten"),
    pytest.param(save(RGB.convert("1"), "BMP"), b"a BMP picture must have 8, 24 or 32 bits per pixel", id="bmp of 1 bit"),
    pytest.param(claimed_png(8001, 8000), LARGE, id="png bomb"),
    pytest.param(claimed_png(2**31 - 1, 2**31 - 1), LARGE, id="png bomb whose area overflows"),
    pytest.param(claimed_png(8000, 8000), DAMAGED, id="png just small enough"),
    pytest.param(claimed_jpeg(65500, 65500), LARGE, id="jpeg bomb"),
    pytest.param(b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(30), LARGE, id="gif bomb"),
    pytest.param(save(RGB, "BMP")[:18] + struct.pack("<ii", 2**30, -(2**30)) + save(RGB, "BMP")[26:], LARGE, id="bmp bomb"),
]


@pytest.mark.parametrize(("data", "reason"), FAULTY)
def test_a_picture_that_cannot_be_read_fails_its_own_row_alone(data, reason):
    features, fault, _ = reader(40)(tf.constant([PNG, data, JPEG]))
    assert fault.numpy().tolist() == [b"", reason, b""]
    np.testing.assert_array_equal(features[0], scene())
    np.testing.assert_array_equal(features[1], np.full((40, 40, 3), 255))
    np.testing.assert_array_equal(features[2], np.asarray(Pillow.open(io.BytesIO(JPEG))))


def test_random_bytes_behind_each_magic_number_are_faults():
    random = np.random.default_rng(3)
    magic = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM"]
    raw = [magic[index % 4] + random.bytes(index) for index in range(120)]
    features, fault, _ = reader(40)(tf.constant(raw))
    assert all(fault.numpy())
    assert (features.numpy() == 255).all()


# Batches


@pytest.mark.parametrize("rows", [[], [PNG], [b"x"], [b"", b"x"]])
def test_batches_of_none_of_one_and_of_faults_alone(rows):
    features, fault, _ = reader(40)(tf.constant(rows, tf.string, shape=[len(rows)]))
    assert features.shape == (len(rows), 40, 40, 3)
    assert features.dtype == tf.uint8
    assert [not reason for reason in fault.numpy()] == [row == PNG for row in rows]


def test_among_many_pictures_those_that_fail_take_no_other_with_them():
    several = [PNG, JPEG, save(RGB, "GIF"), save(RGB, "BMP"), JPEG, JPEG]
    raw = (several * 60)[:300]
    raw[7], raw[150], raw[151], raw[299] = JPEG[:-60], PNG[:60], b"x", claimed_jpeg(65500, 65500)
    features, fault, _ = reader(40)(tf.constant(raw))
    assert {row: reason for row, reason in enumerate(fault.numpy().tolist()) if reason} == {
        7: DAMAGED, 150: DAMAGED, 151: UNKNOWN, 299: LARGE
    }  # fmt: skip
    alone, _, _ = reader(40)(tf.constant(several))
    for row in set(range(300)) - {7, 150, 151, 299}:
        np.testing.assert_array_equal(features[row], alone[row % 6])


def test_among_many_jpegs_that_need_no_resizing_those_that_do_are_resized():
    other = save(Pillow.fromarray(scene(56, 48)), "JPEG")
    features, fault, _ = reader(40)(tf.constant([JPEG, other, JPEG, JPEG] * 64))
    assert not any(fault.numpy())
    for row, data in enumerate([JPEG, other, JPEG, JPEG] * 64):
        np.testing.assert_array_equal(features[row], pixels(data, size=40))


def test_the_same_eagerly_in_a_pipeline_and_in_a_function():
    image = Image(size=40)
    raw = [PNG, JPEG, b"x", save(RGB, "GIF"), b"", save(GRAY, "BMP")]
    eager = image(tf.constant(raw))
    traced = reader(40)(tf.constant(raw))
    (piped,) = list(tf.data.Dataset.from_tensor_slices(raw).batch(6).map(tf.autograph.experimental.do_not_convert(image)))
    for found in (traced, piped):
        np.testing.assert_array_equal(found.features, eager.features)
        np.testing.assert_array_equal(found.fault, eager.fault)


def test_decode_writes_png():
    values = np.stack([scene(12, 12), 255 - scene(12, 12)]).astype(np.float32)
    values[0, 0, 0] = [-3.0, 300.0, 99.5]
    first, second = Image(size=12).decode(tf.constant(values)).numpy()
    assert np.asarray(Pillow.open(io.BytesIO(first)))[0, 0].tolist() == [0, 255, 100]
    np.testing.assert_array_equal(np.asarray(Pillow.open(io.BytesIO(second))), 255 - scene(12, 12))


def test_a_picture_comes_from_a_file():
    assert Image.from_file
    assert Image(size=12).features == {"shape": [12, 12, 3], "dtype": "uint8", "vocabulary": None}
