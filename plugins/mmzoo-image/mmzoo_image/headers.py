"""What the first bytes of an encoded picture say: its format, its size and which way up it is."""

import tensorflow as tf

DAMAGED = "the picture's data is damaged"
JPEG, PNG, BMP = b"\xff\xd8", b"\x89PNG", b"BM"
BMP_HEADERS = (40, 52, 56, 64, 108, 124)
"""Sizes of the BMP headers that have the sides as 32 bits."""
BGR = b"\0\0\xff\0\0\xff\0\0\xff\0\0\0"
"""The bit fields of a BMP picture whose bytes are blue, green, red and a spare one."""
EXIF = int.from_bytes(b"Exif\0\0")
ORIENTATION = 0x0112
SEGMENTS, ENTRIES = 64, 64
"""The most segments of a JPEG, and the most entries of an EXIF directory, among which an orientation is looked for."""


def starts(raw: tf.Tensor, magic: bytes) -> tf.Tensor:
    """Returns whether each string begins with `magic`."""
    return tf.strings.substr(raw, 0, len(magic)) == magic


def numbers(raw: tf.Tensor, start: int | tf.Tensor, size: int, *, big: bool = False) -> tf.Tensor:
    """Reads an unsigned number of each string, int64; bytes beyond the string's end count as 0.

    Args:
        raw: Strings of any shape.
        start: Where the number starts, the same for all strings or one for each.
        size: Number of bytes, at most 7.
        big: Whether the first byte is the most significant one.
    """
    digits = _bytes(raw, start, size)
    places = [256**place for place in range(size)]
    return tf.reduce_sum(digits * tf.constant(places[::-1] if big else places, tf.int64), axis=-1)


def _bytes(raw: tf.Tensor, start: int | tf.Tensor, size: int) -> tf.Tensor:
    """Reads bytes of strings `(...)` as int64 `(..., size)`; those beyond a string's end are 0."""
    length = tf.strings.length(raw)
    first = tf.minimum(tf.cast(start, tf.int64), tf.cast(length, tf.int64))  # `substr` refuses a start beyond the end
    found = tf.strings.substr(raw, first, tf.fill(tf.shape(raw), tf.constant(size, tf.int64)))
    return tf.cast(tf.io.decode_raw(found, tf.uint8, fixed_length=size), tf.int64)


def header_faults(raw: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """Checks the headers of pictures `(batch,)`; returns each one's fault, empty if it may be decoded.

    The sides of a JPEG are not in a fixed place and not checked here.
    """
    png, gif, bmp = starts(raw, b"\x89PNG\r\n\x1a\n"), starts(raw, b"GIF8"), starts(raw, BMP)
    width, height = numbers(raw, 18, 4), numbers(raw, 22, 4)
    sides = tf.stack([width, tf.where(height >= 2**31, 2**32 - height, height)])  # the height of a BMP may be negative
    sides = tf.where(gif, tf.stack([numbers(raw, 6, 2), numbers(raw, 8, 2)]), sides)
    sides = tf.where(png, tf.stack([numbers(raw, 16, 4, big=True), numbers(raw, 20, 4, big=True)]), sides)
    area = tf.reduce_prod(tf.cast(sides, tf.float64), axis=0)
    fault = tf.where((png | gif | bmp) & (area > max_pixels), too_large(max_pixels), "")
    fault = tf.where(bmp, _bmp_faults(raw, fault), fault)
    fault = tf.where(png | gif | bmp | starts(raw, b"\xff\xd8\xff"), fault, "this is not a JPEG, PNG, GIF or BMP picture")
    return tf.where(tf.strings.length(raw) == 0, "there is no data", fault)


def too_large(max_pixels: int) -> str:
    """Returns the fault of a picture of more than `max_pixels` pixels."""
    return f"the picture claims more than {max_pixels:,} pixels"


def _bmp_faults(raw: tf.Tensor, fault: tf.Tensor) -> tf.Tensor:
    """Replaces the fault of each picture that the decoder would read wrongly if it is a BMP picture."""
    header, bits, packing = numbers(raw, 14, 4), numbers(raw, 28, 2), numbers(raw, 30, 4)
    plain = (packing == 0) | (packing == 3) & (bits == 32) & tf.reduce_all(_bytes(raw, 54, 12) == list(BGR), axis=1)
    fault = tf.where(
        plain, fault, "a BMP picture must be uncompressed, with the bytes blue, green, red of each pixel in this order"
    )
    fault = tf.where((bits == 8) | (bits == 24) | (bits == 32), fault, "a BMP picture must have 8, 24 or 32 bits per pixel")
    known = tf.reduce_any(header[:, None] == list(BMP_HEADERS), axis=1)
    return tf.where(known, fault, tf.where(header == 12, "a BMP picture must not have a header of OS/2 1", DAMAGED))


def orientations(raw: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of each picture `(batch,)`, 1 to 8.

    It is 1, upright, for all that is not a JPEG, and where EXIF is absent or damaged. EXIF is looked for in the segments before
    the first that is not for applications, where its standard puts it.

    Source: EXIF 2.32 (CIPA DC-008-2019), section 4.5.4 and table 4.
    """
    at = _exif_segment(raw)
    size = tf.maximum(numbers(raw, at + 2, 2, big=True) - 8, 0)
    whole = at + 10 <= tf.cast(tf.strings.length(raw), tf.int64)
    found = whole & (numbers(raw, at + 4, 6, big=True) == EXIF)
    exif = tf.strings.substr(raw, tf.where(found, at + 10, 0), tf.where(found, size, 0))
    big = starts(exif, b"MM\0*")
    start = _either(_bytes(exif, 4, 4), big)
    count = _either(_bytes(exif, start, 2), big)
    fields = tf.reshape(_bytes(exif, start + 2, 12 * ENTRIES), [-1, ENTRIES, 12])
    tag, kind = (_either(fields[..., first : first + 2], big[:, None]) for first in (0, 2))
    value = tf.where(kind == 4, _either(fields[..., 8:], big[:, None]), _either(fields[..., 8:10], big[:, None]))
    ours = (tag == ORIENTATION) & (tf.range(ENTRIES, dtype=tf.int64) < count[:, None]) & ((kind == 3) | (kind == 4))
    ours &= (value <= 8) & (big | starts(exif, b"II*\0"))[:, None]
    return tf.maximum(tf.reduce_max(tf.where(ours, value, 0), axis=1), 1)


def _either(digits: tf.Tensor, big: tf.Tensor) -> tf.Tensor:
    """Returns the number that bytes `(..., size)` are, in one order or the other."""
    places = tf.constant([256**place for place in range(digits.shape[-1])], tf.int64)
    return tf.where(big, tf.reduce_sum(digits * places[::-1], axis=-1), tf.reduce_sum(digits * places, axis=-1))


def _exif_segment(raw: tf.Tensor) -> tf.Tensor:
    """Returns where the EXIF segment of each JPEG begins; somewhere else if there is none."""

    def passing(at: tf.Tensor) -> tf.Tensor:
        marker = numbers(raw, at, 2, big=True)
        ours = (marker == 0xFFE1) & (numbers(raw, at + 4, 6, big=True) == EXIF)
        return ((marker >= 0xFFE0) & (marker <= 0xFFEF) | (marker == 0xFFFE)) & ~ours

    def step(at: tf.Tensor, going: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        at = tf.where(going, at + 2 + numbers(raw, at + 2, 2, big=True), at)
        return at, passing(at)

    first = tf.fill(tf.shape(raw), tf.constant(2, tf.int64))
    going = starts(raw, JPEG) & passing(first)
    return tf.while_loop(lambda _, going: tf.reduce_any(going), step, (first, going), maximum_iterations=SEGMENTS)[0]
