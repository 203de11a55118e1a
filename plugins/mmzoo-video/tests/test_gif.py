"""Animated GIFs against the frames that Pillow composes, and those that cannot be read."""

import io
import struct
import time
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from mmzoo_video import gif
from mmzoo_video.gif import read_gifs
from mmzoo_video.sampling import sample_frames
from PIL import Image

MOST = 6
TOO_WIDE = "a frame of the animation has more than 16 million pixels"
NO_GIF, DAMAGED = "this is not a GIF", "the animation's data is damaged"
TOO_LARGE, TOO_MANY = "the animation's frames have more than 64 million pixels", "the animation has more than 20,000 blocks"


@cache
def reader():
    def read(raw):
        return read_gifs(raw, lambda lengths: sample_frames(lengths, MOST), MOST)

    return tf.function(read, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)


def frames(data: bytes) -> list[np.ndarray]:
    """Reads the frames of one animation, which must be a good one, as RGBA."""
    pictures, places, fault = reader()(tf.constant([data]))
    assert fault.numpy().tolist() == [b""]
    found = [np.asarray(Image.open(io.BytesIO(one)).convert("RGBA")) for one in pictures.numpy()[0] if one]
    assert places.numpy()[0].tolist() == [*range(len(found)), *[-1] * (MOST - len(found))]
    return found


def composed(data: bytes) -> list[np.ndarray]:
    """Gives the frames as Pillow composes them, RGBA; of a transparent pixel only the transparency counts."""
    animation, found = Image.open(io.BytesIO(data)), []
    for number in range(animation.n_frames):
        animation.seek(number)
        found.append(np.asarray(animation.convert("RGBA")))
    return found


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one[..., 3], other[..., 3])
        np.testing.assert_array_equal(one * (one[..., 3:] > 0), other * (other[..., 3:] > 0))


def save(pictures: list[Image.Image], **options) -> bytes:
    target = io.BytesIO()
    pictures[0].save(target, format="GIF", save_all=True, append_images=pictures[1:], **options)
    return target.getvalue()


def noise(count: int, colours: int = 32, size: tuple[int, int] = (23, 17)) -> list[Image.Image]:
    rng = np.random.default_rng(colours)
    drawn = [rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8) for _ in range(count)]
    return [Image.fromarray(one).quantize(colours) for one in drawn]


def sprites(count: int = 4) -> list[Image.Image]:
    """Draws a square that moves over a transparent ground and leaves a hole in itself."""
    found = []
    for number in range(count):
        rgba = np.zeros((17, 23, 4), np.uint8)
        rgba[3 : 9 + number, 4 * number : 4 * number + 7] = [200, 20 * number, 50, 255]
        rgba[5:7, 4 * number + 2 : 4 * number + 4] = 0
        found.append(Image.fromarray(rgba, "RGBA"))
    return found


# Animations by the letter of the format: what Pillow's writer would never write


def lzw(colours: np.ndarray, bits: int) -> bytes:
    """Packs colour numbers without compressing them: a code that clears the table now and then keeps codes short."""
    clear, codes, width = 1 << bits, [], bits + 1
    for place, colour in enumerate(colours.ravel().tolist()):
        codes += [clear, colour] if place % ((1 << bits) - 2) == 0 else [colour]
    number = sum(code << (width * place) for place, code in enumerate([*codes, clear + 1]))
    return number.to_bytes((width * (len(codes) + 1) + 7) // 8, "little")


def pieces(data: bytes, size: int = 255) -> bytes:
    return b"".join(bytes([len(data[at : at + size])]) + data[at : at + size] for at in range(0, len(data), size)) + b"\0"


def image(left, top, colours, *, bits=3, own=b"", interlaced=False, size=255) -> bytes:
    flags = (0x80 | bits - 1 if own else 0) | (0x40 if interlaced else 0)
    height, width = colours.shape
    if interlaced:
        colours = np.concatenate([colours[0::8], colours[4::8], colours[2::4], colours[1::2]])
    place = struct.pack("<HHHHB", left, top, width, height, flags)
    return b"," + place + own + bytes([bits]) + pieces(lzw(colours, bits), size)


def control(disposal: int, transparent: int | None = None) -> bytes:
    return b"!\xf9\x04" + bytes([disposal << 2 | (transparent is not None), 0, 0, transparent or 0, 0])


def animation(*blocks: bytes, width: int = 9, height: int = 7, table: bytes = b"", version: bytes = b"GIF89a") -> bytes:
    flags = 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
    return version + struct.pack("<HHBBB", width, height, flags, 0, 0) + table + b"".join(blocks) + b";"


TABLE = bytes(np.random.default_rng(1).integers(0, 256, 24, dtype=np.uint8))
OWN = bytes(np.random.default_rng(2).integers(0, 256, 24, dtype=np.uint8))


def full(seed: int, height: int = 7, width: int = 9) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 8, (height, width))


PART = full(3, 3, 4)
HAND_MADE = {
    "part of the canvas over what was": animation(image(0, 0, full(1)), image(2, 3, PART), image(4, 1, PART), table=TABLE),
    "a first frame that does not fill the canvas": animation(control(0, 1), image(2, 3, PART), table=TABLE),
    "the frame's own colours": animation(image(0, 0, full(1)), image(1, 2, PART, own=OWN), image(5, 0, PART), table=TABLE),
    "no common colours": animation(image(0, 0, full(1), own=OWN), image(1, 2, PART, own=TABLE)),
    "interlaced": animation(image(0, 0, full(4), interlaced=True), table=TABLE),
    "small pieces": animation(image(0, 0, full(5), size=3), image(1, 1, PART, size=1), table=TABLE),
    "other extensions": animation(
        b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0", b"!\xfe" + pieces(b"a, comment; of!" * 40), image(0, 0, full(1)), table=TABLE
    ),
    "cleared": animation(
        control(2, 7), image(0, 0, full(1)), control(2, 7), image(2, 3, PART), control(1, 7), image(4, 1, PART), table=TABLE
    ),
    "restored": animation(
        control(1, 7), image(0, 0, full(1)), control(3, 7), image(2, 3, PART), control(1, 7), image(4, 1, PART), table=TABLE
    ),
    "the older version": animation(image(0, 0, full(1)), table=TABLE, version=b"GIF87a"),
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_blocks_of_the_format_are_composed_as_pillow_does(name):
    same(frames(HAND_MADE[name]), composed(HAND_MADE[name]))


@pytest.mark.parametrize("colours", [2, 3, 32, 256])
def test_pictures_of_all_palettes_equal_pillow(colours):
    data = save(noise(4, colours), duration=40)
    same(frames(data), composed(data))


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_what_becomes_of_a_frame_before_the_next_one(disposal):
    data = save(sprites(), disposal=disposal, duration=40)
    same(frames(data), composed(data))


def test_a_still_picture_is_an_animation_of_one_frame():
    data = save(noise(1))
    same(frames(data), composed(data))


def test_a_frame_beyond_the_edges_is_cut_off():
    corner = image(7, 5, PART)
    shown = frames(animation(image(0, 0, full(1)), corner, image(50, 60, PART), table=TABLE))
    palette = np.frombuffer(TABLE, np.uint8).reshape(8, 3)
    np.testing.assert_array_equal(shown[1][5:, 7:, :3], palette[PART[:2, :2]])
    np.testing.assert_array_equal(shown[1][:5, :, :3], palette[full(1)[:5]])
    np.testing.assert_array_equal(shown[2], shown[1])


def test_frames_in_the_middle_of_the_segments_of_a_long_animation():
    data = save(noise(40))
    pictures, places, fault = reader()(tf.constant([data]))
    assert fault.numpy().tolist() == [b""]
    assert places.numpy().tolist() == [[3, 10, 16, 23, 30, 36]]
    expected = composed(data)
    same([np.asarray(Image.open(io.BytesIO(one))) for one in pictures.numpy()[0]], [expected[k] for k in places.numpy()[0]])


# What cannot be read


GOOD = HAND_MADE["cleared"]
FIRST = len(animation(table=TABLE)) - 1
FAULTY = [
    pytest.param(b"x", NO_GIF, id="one byte"),
    pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(90), NO_GIF, id="png"),
    pytest.param(b"GIF88a" + GOOD[6:], NO_GIF, id="another version"),
    pytest.param(b"GIF89a", DAMAGED, id="no header"),
    pytest.param(GOOD[:-1], DAMAGED, id="no end"),
    pytest.param(GOOD[:-20], DAMAGED, id="cut"),
    pytest.param(GOOD[:FIRST], DAMAGED, id="cut behind the colours"),
    pytest.param(GOOD[:FIRST] + b"\0" + GOOD[FIRST:], DAMAGED, id="no block"),
    pytest.param(animation(image(0, 0, full(1))), DAMAGED, id="no colours"),
    pytest.param(animation(image(0, 0, full(1)), table=TABLE[:12]), DAMAGED, id="too few colours"),
    pytest.param(animation(b",\0\0\0\0\x09\0\x07\0\0\x03\x02\xff\xff\0", table=TABLE), DAMAGED, id="senseless codes"),
    pytest.param(animation(image(0, 0, full(1)), table=TABLE, width=9000, height=9000), TOO_WIDE, id="canvas bomb"),
    pytest.param(animation(width=9000, height=9000), TOO_WIDE, id="canvas bomb without frames"),
    pytest.param(animation(b",\0\0\0\0\xff\xff\xff\xff\0\x03\x01\0\0", table=TABLE), TOO_WIDE, id="frame bomb"),
    pytest.param(animation(image(0, 0, PART) * 1000, table=TABLE, width=260, height=260), TOO_LARGE, id="many frames"),
    pytest.param(animation(b"!\xfe\0" * gif.BLOCKS, image(0, 0, PART), table=TABLE), TOO_MANY, id="many blocks"),
    pytest.param(b"GIF89a" + bytes(16_000_000), "the animation takes more than 16 MB", id="many bytes"),
]


@pytest.mark.parametrize(("data", "reason"), FAULTY)
def test_an_animation_that_cannot_be_read_fails_its_own_row_alone(data, reason):
    pictures, _, fault = reader()(tf.constant([GOOD, data, b"", GOOD]))
    assert fault.numpy().tolist() == [b"", reason.encode(), b"", b""]
    assert not any(pictures[1:3].numpy().ravel())
    for row in (0, 3):
        same([np.asarray(Image.open(io.BytesIO(one))) for one in pictures[row].numpy() if one], composed(GOOD))


def test_random_bytes_are_read_or_are_a_fault_and_end():
    rng = np.random.default_rng(5)
    blocks = GOOD[FIRST:]
    raw = []
    for _ in range(60):
        changed = bytearray(blocks)
        for at in rng.integers(0, len(blocks), 3):
            changed[at] = rng.integers(256)
        raw.append(GOOD[:FIRST] + bytes(changed))
    raw += [b"GIF89a" + rng.bytes(size) for size in range(60)]
    pictures, _, fault = reader()(tf.constant(raw))
    assert set(fault.numpy()) <= {b"", DAMAGED.encode(), TOO_WIDE.encode(), TOO_LARGE.encode()}
    assert sum(fault.numpy() == b"") < 60
    for row, reason in zip(pictures.numpy(), fault.numpy(), strict=True):
        assert not (reason and any(row))


def test_a_thousand_frames_are_read_in_the_time_of_their_pixels():
    data = animation(*[image(0, 0, PART) for _ in range(1000)], table=TABLE, width=40, height=40)
    reader()(tf.constant([GOOD]))
    begun = time.process_time()
    pictures, places, fault = reader()(tf.constant([data]))
    assert time.process_time() - begun < 20
    assert fault.numpy().tolist() == [b""]
    assert places.numpy()[0].tolist() == [83, 250, 416, 583, 750, 916]
    assert all(pictures.numpy()[0])


def test_no_animations():
    pictures, places, fault = reader()(tf.zeros([0], tf.string))
    assert (pictures.shape, places.shape, fault.shape) == ((0, MOST), (0, MOST), (0,))
