"""Encoded pictures -> pixels. A picture that cannot be decoded is a fault of its own row only."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import tensorflow as tf

from mmzoo import FeatureSpec, PositiveInt, Processed, Processor

LIMIT = 64_000_000
"""The most pixels that a header may claim. An RGBA picture of that size takes 256 MB."""
TOO_LARGE = f"the picture claims more than {LIMIT // 10**6} million pixels"
DAMAGED = "the picture's data is damaged"
JPEG = b"\xff\xd8"
TOGETHER, PARTS = 32, 64
"""Pictures are decoded in parallel parts of up to `TOGETHER`. Parts are smaller where there would be fewer than `PARTS`."""
HEADER = 32
"""Number of leading bytes in which every format has the picture's size."""


class Image(Processor):
    """Decodes JPEG, PNG, GIF and BMP pictures into square RGB pixels.

    Returns `(batch, size, size, 3)`, uint8, 0 to 255. Transparent pixels become white; in a GIF they become black. Only the
    first frame of an animation is read. EXIF orientation is not applied, neither in training nor in serving. JPEG is decoded
    with the exact integer DCT, and resizing is bilinear with antialiasing, both as in Pillow.

    A picture whose header claims more than 64 million pixels is not decoded. Such a picture, or damaged data, does not fail the
    batch: its row is white and has a fault.

    Args:
        size: Height and width of the result in pixels.
        fit: How a picture becomes square. `pad` keeps the aspect ratio and pads with white, `crop` keeps the central square,
            `stretch` changes the aspect ratio.
    """

    modality = "image"
    from_file = True

    def __init__(self, *, size: PositiveInt = 224, fit: Literal["pad", "crop", "stretch"] = "pad"):
        super().__init__(name="image")
        self.size, self.fit = size, fit
        # Traced once for all graphs that hold the processor. A partial hides it from tf.Module, which would save it by itself.
        self._read_part = partial(tf.function(self._read_all, autograph=False))

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.size, self.size, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        fault = _header_faults(raw)
        rows, pixels, faults = self._decodable(raw, fault)
        count = tf.size(raw, out_type=tf.int64)
        white = tf.fill([count, self.size, self.size, 3], tf.constant(255, tf.uint8))
        fault = tf.where(fault == "", DAMAGED, fault)
        fault = tf.tensor_scatter_nd_update(fault, rows[:, None], faults)
        return Processed(tf.tensor_scatter_nd_update(white, rows[:, None], pixels), fault)

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        """Encodes pixels `(batch, height, width, 3)`, 0 to 255, as PNG bytes `(batch,)`."""
        pixels = tf.cast(tf.round(tf.clip_by_value(tf.cast(values, tf.float32), 0, 255)), tf.uint8)
        return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)

    def _decodable(self, raw: tf.Tensor, fault: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the row numbers `(rows,)` of the pictures that decode, their pixels, and their faults.

        Decodes several pictures at a time, which is faster. Where a part fails, decodes each of its pictures alone.
        """
        sound, count = fault == "", tf.size(raw, out_type=tf.int64)
        together = tf.clip_by_value(count // PARTS, 1, TOGETHER)
        rows, pixels, faults = self._decoded(raw, tf.where(sound)[:, 0], together)
        left = (together > 1) & tf.tensor_scatter_nd_update(sound, rows[:, None], tf.zeros_like(rows, tf.bool))

        def with_rest() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            alone = self._decoded(raw, tf.where(left)[:, 0], tf.constant(1, tf.int64))
            return tf.concat([rows, alone[0]], 0), tf.concat([pixels, alone[1]], 0), tf.concat([faults, alone[2]], 0)

        # A second pipeline takes time even for no pictures.
        return tf.cond(tf.reduce_any(left), with_rest, lambda: (rows, pixels, faults))

    def _decoded(self, raw: tf.Tensor, rows: tf.Tensor, together: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Decodes the pictures of some rows in parts of `together`; drops each part in which one fails.

        A graph cannot catch a decoder's error, but a tf.data pipeline inside the graph can drop the element that failed.
        """
        parts = tf.data.Dataset.from_tensor_slices((rows, tf.gather(raw, rows))).batch(together)
        pictures = parts.map(lambda rows, data: (rows, *self._read_part(data)), num_parallel_calls=tf.data.AUTOTUNE)
        # tf.data makes no empty batch, so a dummy row is added and removed again.
        dummy = (tf.constant(-1, tf.int64), tf.zeros([self.size, self.size, 3], tf.uint8), "")
        pictures = pictures.ignore_errors().unbatch().concatenate(tf.data.Dataset.from_tensors(dummy))
        rows, pixels, faults = pictures.batch(tf.size(rows, out_type=tf.int64) + 1).get_single_element()
        return rows[:-1], pixels[:-1], faults[:-1]

    def _read_all(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        signature = (tf.TensorSpec([self.size, self.size, 3], tf.uint8), tf.TensorSpec([], tf.string))

        def each(decode: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]) -> Callable[[], tuple[tf.Tensor, tf.Tensor]]:
            return lambda: tf.map_fn(decode, data, fn_output_signature=signature)

        # Checked once for the whole part: the branches not taken cost as much time as decoding a small picture.
        jpegs = tf.reduce_all(_starts(data, JPEG))
        ready = tf.cond(jpegs, lambda: self._is_ready(data[0]), lambda: tf.constant(False))
        return tf.case([(ready, each(self._read_ready)), (jpegs, each(self._read_jpeg))], default=each(self._read))

    def _is_ready(self, jpeg: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(tf.io.extract_jpeg_shape(jpeg)[:2] == self.size)

    def _read_ready(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a JPEG that already has the right size; fails for any other."""
        picture = _jpeg(tf.where(self._is_ready(data), data, ""))
        return tf.ensure_shape(picture, [self.size, self.size, 3]), tf.constant("")

    def _read_jpeg(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        picture, fault = _jpeg_in_limits(data)
        return self._square(picture), fault

    def _read(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def sound(read: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[], tuple[tf.Tensor, tf.Tensor]]:
            return lambda: (tf.cast(read(data), tf.float32), tf.constant(""))

        def jpeg() -> tuple[tf.Tensor, tf.Tensor]:
            picture, fault = _jpeg_in_limits(data)
            return tf.cast(picture, tf.float32), fault

        kinds = [(_starts(data, JPEG), jpeg), (_starts(data, b"\x89PNG"), sound(_png)), (_starts(data, b"BM"), sound(_bmp))]
        picture, fault = tf.case(kinds, default=sound(_gif))
        return self._square(picture), fault

    def _square(self, picture: tf.Tensor) -> tf.Tensor:
        """Resizes a picture `(height, width, 3)`, 0 to 255, to the square as `fit` says, and rounds."""
        picture = tf.ensure_shape(picture, [None, None, 3])
        ready = tf.reduce_all(tf.shape(picture)[:2] == self.size)
        square = tf.cond(ready, lambda: _rounded(picture), lambda: self._fitted(picture))
        return tf.ensure_shape(square, [self.size, self.size, 3])

    def _fitted(self, picture: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(picture)[0], tf.shape(picture)[1]
        if self.fit == "crop":
            side = tf.minimum(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            picture = picture[top : top + side, left : left + side]
        if self.fit != "pad":
            return tf.ensure_shape(self._resize(picture, self.size, self.size), [self.size, self.size, 3])
        scale = self.size / tf.maximum(height, width)
        sides = [tf.maximum(1, tf.cast(tf.round(tf.cast(s, scale.dtype) * scale), tf.int32)) for s in (height, width)]
        before = [(self.size - side) // 2 for side in sides]
        after = [self.size - side - first for side, first in zip(sides, before, strict=True)]
        margins = [*zip(before, after, strict=True), (0, 0)]
        padded = tf.pad(self._resize(picture, *sides), margins, constant_values=tf.constant(255, tf.uint8))
        return tf.ensure_shape(padded, [self.size, self.size, 3])

    def _resize(self, picture: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
        return _rounded(tf.image.resize(picture, tf.stack([height, width]), antialias=True))


def _png(data: tf.Tensor) -> tf.Tensor:
    picture = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
    alpha = picture[..., 3:]
    # For a PNG without alpha the decoder sets alpha to the largest sample value: 15 for 4 bits, say.
    bits = tf.cast(_numbers(data, 24, 1), tf.int32)
    opaque = (bits < 8) & tf.reduce_all(alpha == tf.cast(tf.bitwise.left_shift(1, bits) - 1, tf.float32))
    alpha = tf.where(opaque, 1.0, alpha / 255)
    return picture[..., :3] * alpha + 255 * (1 - alpha)


def _jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _jpeg_in_limits(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a JPEG; returns a white pixel and a fault if it is too large."""
    large = tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(data)[:2], tf.int64)) > LIMIT
    picture = tf.cond(large, lambda: tf.fill([1, 1, 3], tf.constant(255, tf.uint8)), lambda: _jpeg(data))
    return picture, tf.where(large, TOO_LARGE, "")


def _gif(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(data, channels=3, expand_animations=False)


def _bmp(data: tf.Tensor) -> tf.Tensor:
    decoded = tf.io.decode_bmp(data)
    # For 8 bits the decoder returns palette indices. The palette follows both headers: blue, green, red and a spare byte each.
    has_palette = _numbers(data, 28, 2) == 8
    pixels = tf.cond(has_palette, lambda: _palette_colours(data, decoded), lambda: decoded[..., :3])
    return tf.cast(pixels, tf.float32)


def _palette_colours(data: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    start, end = 14 + _numbers(data, 14, 4), _numbers(data, 10, 4)
    palette = tf.reshape(tf.io.decode_raw(tf.strings.substr(data, start, end - start), tf.uint8), [-1, 4])
    return tf.gather(palette[:, 2::-1], tf.cast(indices[..., 0], tf.int32))


def _rounded(picture: tf.Tensor) -> tf.Tensor:
    if picture.dtype == tf.uint8:
        return picture
    return tf.saturate_cast(tf.round(picture), tf.uint8)


def _starts(data: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(data, 0, len(magic)) == magic


def _header_faults(raw: tf.Tensor) -> tf.Tensor:
    """Checks the headers of pictures `(batch,)`; returns each one's fault, empty if it may be decoded."""
    png, gif, bmp = _starts(raw, b"\x89PNG\r\n\x1a\n"), _starts(raw, b"GIF8"), _starts(raw, b"BM")
    area = tf.where(bmp, _area(raw, 18, 4, signed=True), 0)
    area = tf.where(png, _area(raw, 16, 4, big=True), tf.where(gif, _area(raw, 6, 2), area))
    bits = _numbers(raw, 28, 2)
    fault = tf.where(bmp & (bits != 8) & (bits != 24) & (bits != 32), "a BMP picture must have 8, 24 or 32 bits per pixel", "")
    fault = tf.where(area > LIMIT, TOO_LARGE, fault)
    fault = tf.where(png | gif | bmp | _starts(raw, b"\xff\xd8\xff"), fault, "this is not a JPEG, PNG, GIF or BMP picture")
    return tf.where(tf.strings.length(raw) == 0, "there is no data", fault)


def _area(raw: tf.Tensor, start: int, size: int, *, big: bool = False, signed: bool = False) -> tf.Tensor:
    """Returns width times height: two adjacent numbers of `size` bytes each, from `start` on; a height may be signed."""
    width, height = _numbers(raw, start, size, big), _numbers(raw, start + size, size, big)
    if signed:
        height = tf.where(height >= 2**31, 2**32 - height, height)
    return tf.minimum(width, LIMIT + 1) * tf.minimum(height, LIMIT + 1)


def _numbers(raw: tf.Tensor, start: int, size: int, big: bool = False) -> tf.Tensor:
    """Reads an unsigned number of `size` bytes at `start` of each string; bytes beyond the string's end count as 0."""
    head = tf.strings.substr(tf.strings.join([tf.strings.substr(raw, 0, HEADER), b"\0" * HEADER]), start, size)
    places = [256**place for place in range(size)]
    digits = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)
    digits = tf.reshape(digits, tf.concat([tf.shape(raw), [size]], axis=0))  # decode_raw drops the digits of an empty batch
    return tf.reduce_sum(digits * tf.constant(places[::-1] if big else places, tf.int64), axis=-1)
