"""Encoded pictures -> pixels, row by row: a picture that cannot be read fails its own row alone."""

from collections.abc import Callable
from typing import Any, Literal

import tensorflow as tf

from mmzoo import FeatureSpec, PositiveInt, Processed, Processor

LIMIT = 64_000_000
"""The most pixels that a picture may claim; an RGBA picture of that size takes 256 MB."""
TOO_LARGE = f"the picture claims more than {LIMIT // 10**6} million pixels"
DAMAGED = "the picture's data is damaged"
JPEG = b"\xff\xd8"
TOGETHER, PARTS = 32, 64
"""The most pictures that are decoded one after the other, if there are at least so many parts to decode beside each other."""
HEADER = 32
"""Bytes in which every format says how large a picture is."""


class Image(Processor):
    """Decodes JPEG, PNG, GIF and BMP pictures into square RGB pixels.

    Gives `(batch, size, size, 3)`, uint8, 0 to 255. What is transparent becomes white, but black in a GIF. Of an animation the
    first frame counts. The orientation that a camera notes in EXIF is not applied, in training nor in serving. JPEG is decoded
    with the exact integer transform and resizing is bilinear with antialiasing, both as Pillow does.

    A picture whose header claims more than 64 million pixels is not decoded; neither it nor damaged data fails the batch:
    the row is white and has a fault.

    Args:
        size: Height and width of the result in pixels.
        fit: `pad` keeps the whole picture and fills up with white, `crop` keeps the middle square, `stretch` bends it.
    """

    modality = "image"
    from_file = True

    def __init__(self, *, size: PositiveInt = 224, fit: Literal["pad", "crop", "stretch"] = "pad"):
        super().__init__(name="image")
        self.size, self.fit = size, fit

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
        """Gives the row numbers `(rows,)` of the pictures that decode, their pixels, and what is wrong with them all the same.

        Of many pictures some are decoded at a time, which is faster; where that fails, each is tried alone.
        """
        sound, count = fault == "", tf.size(raw, out_type=tf.int64)
        together = tf.clip_by_value(count // PARTS, 1, TOGETHER)
        read = tf.function(self._read_all, autograph=False)  # traced once for both
        rows, pixels, faults = self._decoded(read, raw, tf.where(sound)[:, 0], together)
        left = (together > 1) & tf.tensor_scatter_nd_update(sound, rows[:, None], tf.zeros_like(rows, tf.bool))
        alone = self._decoded(read, raw, tf.where(left)[:, 0], tf.constant(1, tf.int64))
        return tf.concat([rows, alone[0]], 0), tf.concat([pixels, alone[1]], 0), tf.concat([faults, alone[2]], 0)

    def _decoded(
        self, read: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], raw: tf.Tensor, rows: tf.Tensor, together: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Decodes the pictures of these rows, so many together; leaves out all of those among which one fails.

        A decoder's error cannot be caught in a graph, but a tf.data pipeline inside the graph can leave its element out.
        """
        parts = tf.data.Dataset.from_tensor_slices((rows, tf.gather(raw, rows))).batch(together)
        pictures = parts.map(lambda rows, data: (rows, *read(data)), num_parallel_calls=tf.data.AUTOTUNE)
        # A batch is never empty, so one row that stands for none is added and taken away again.
        none = (tf.constant(-1, tf.int64), tf.zeros([self.size, self.size, 3], tf.uint8), "")
        pictures = pictures.ignore_errors().unbatch().concatenate(tf.data.Dataset.from_tensors(none))
        rows, pixels, faults = pictures.batch(tf.size(rows, out_type=tf.int64) + 1).get_single_element()
        return rows[:-1], pixels[:-1], faults[:-1]

    def _read_all(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        read = (tf.TensorSpec([self.size, self.size, 3], tf.uint8), tf.TensorSpec([], tf.string))

        def each(one: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]) -> Callable[[], tuple[tf.Tensor, tf.Tensor]]:
            return lambda: tf.map_fn(one, data, fn_output_signature=read)

        # The branches that a picture does not take cost it as much time as a small one takes to decode.
        jpegs = tf.reduce_all(_starts(data, JPEG))
        ready = tf.cond(jpegs, lambda: self._is_ready(data[0]), lambda: tf.constant(False))
        return tf.case([(ready, each(self._read_ready)), (jpegs, each(self._read_jpeg))], default=each(self._read))

    def _is_ready(self, jpeg: tf.Tensor) -> tf.Tensor:
        return tf.reduce_all(tf.io.extract_jpeg_shape(jpeg)[:2] == self.size)

    def _read_ready(self, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a JPEG that has the size already; fails if it has not."""
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
        """Fits a picture `(height, width, 3)`, 0 to 255, into the square, and rounds."""
        picture = tf.ensure_shape(picture, [None, None, 3])
        ready = tf.reduce_all(tf.shape(picture)[:2] == self.size)
        square = tf.cond(ready, lambda: _rounded(picture), lambda: self._fitted(picture))
        return tf.ensure_shape(square, [self.size, self.size, 3])

    def _fitted(self, picture: tf.Tensor) -> tf.Tensor:
        height, width = tf.shape(picture)[0], tf.shape(picture)[1]
        if self.fit == "crop":
            side = tf.minimum(height, width)
            picture = tf.image.resize_with_crop_or_pad(picture, side, side)
        if self.fit != "pad":
            return tf.ensure_shape(self._resize(picture, self.size, self.size), [self.size, self.size, 3])
        scale = self.size / tf.maximum(height, width)
        sides = [tf.maximum(1, tf.cast(tf.round(tf.cast(s, scale.dtype) * scale), tf.int32)) for s in (height, width)]
        # Padding is black, so the picture is padded as its negative.
        padded = tf.image.resize_with_crop_or_pad(255 - self._resize(picture, *sides), self.size, self.size)
        return tf.ensure_shape(255 - padded, [self.size, self.size, 3])

    def _resize(self, picture: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
        return _rounded(tf.image.resize(picture, tf.stack([height, width]), antialias=True))


def _png(data: tf.Tensor) -> tf.Tensor:
    picture = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
    alpha = picture[..., 3:]
    # Without transparency the decoder fills alpha with 255, cut to as many bits as a sample has: to 15, say, for 4.
    bits = tf.cast(_numbers(data, 24, 1), tf.int32)
    opaque = (bits < 8) & tf.reduce_all(alpha == tf.cast(tf.bitwise.left_shift(1, bits) - 1, tf.float32))
    alpha = tf.where(opaque, 1.0, alpha / 255)
    return picture[..., :3] * alpha + 255 * (1 - alpha)


def _jpeg(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _jpeg_in_limits(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes a JPEG, or gives a white pixel and what is wrong with it."""
    large = tf.reduce_prod(tf.cast(tf.io.extract_jpeg_shape(data)[:2], tf.int64)) > LIMIT
    picture = tf.cond(large, lambda: tf.fill([1, 1, 3], tf.constant(255, tf.uint8)), lambda: _jpeg(data))
    return picture, tf.where(large, TOO_LARGE, "")


def _gif(data: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(data, channels=3, expand_animations=False)


def _bmp(data: tf.Tensor) -> tf.Tensor:
    decoded = tf.io.decode_bmp(data)
    # Of 8 bits, the decoder gives numbers in the palette: blue, green, red and a spare byte each, after both headers.
    return tf.cast(tf.cond(_numbers(data, 28, 2) == 8, lambda: _colours(data, decoded), lambda: decoded[..., :3]), tf.float32)


def _colours(data: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    start, end = 14 + _numbers(data, 14, 4), _numbers(data, 10, 4)
    palette = tf.reshape(tf.io.decode_raw(tf.strings.substr(data, start, end - start), tf.uint8), [-1, 4])
    return tf.gather(palette[:, 2::-1], tf.cast(numbers[..., 0], tf.int32))


def _rounded(picture: tf.Tensor) -> tf.Tensor:
    if picture.dtype == tf.uint8:
        return picture
    return tf.saturate_cast(tf.round(picture), tf.uint8)


def _starts(data: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.strings.substr(data, 0, len(magic)) == magic


def _header_faults(raw: tf.Tensor) -> tf.Tensor:
    """Reads the first bytes of pictures `(batch,)`: what keeps each from being decoded, empty if nothing does."""
    png, gif, bmp = _starts(raw, b"\x89PNG\r\n\x1a\n"), _starts(raw, b"GIF8"), _starts(raw, b"BM")
    area = tf.where(bmp, _area(raw, 18, 4, signed=True), 0)
    area = tf.where(png, _area(raw, 16, 4, big=True), tf.where(gif, _area(raw, 6, 2), area))
    bits = _numbers(raw, 28, 2)
    fault = tf.where(bmp & (bits != 8) & (bits != 24) & (bits != 32), "a BMP picture must have 8, 24 or 32 bits a pixel", "")
    fault = tf.where(area > LIMIT, TOO_LARGE, fault)
    fault = tf.where(png | gif | bmp | _starts(raw, b"\xff\xd8\xff"), fault, "this is no JPEG, PNG, GIF or BMP picture")
    return tf.where(tf.strings.length(raw) == 0, "there is no data", fault)


def _area(raw: tf.Tensor, start: int, size: int, *, big: bool = False, signed: bool = False) -> tf.Tensor:
    """Multiplies the two numbers of `size` bytes each that stand side by side at `start`; a height may be signed."""
    width, height = _numbers(raw, start, size, big), _numbers(raw, start + size, size, big)
    if signed:
        height = tf.where(height >= 2**31, 2**32 - height, height)
    return tf.minimum(width, LIMIT + 1) * tf.minimum(height, LIMIT + 1)


def _numbers(raw: tf.Tensor, start: int, size: int, big: bool = False) -> tf.Tensor:
    """Reads the unsigned number of `size` bytes at `start` of each string; what is beyond its end counts as 0."""
    head = tf.strings.substr(tf.strings.join([tf.strings.substr(raw, 0, HEADER), b"\0" * HEADER]), start, size)
    places = [256**place for place in range(size)]
    digits = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)
    digits = tf.reshape(digits, tf.concat([tf.shape(raw), [size]], axis=0))  # of no strings the op makes no digits
    return tf.reduce_sum(digits * tf.constant(places[::-1] if big else places, tf.int64), axis=-1)
