"""Encoded pictures -> pixels, row by row: a picture that cannot be read fails its own row alone."""

from typing import Any, Literal

import tensorflow as tf

from mmzoo import Features, Positive, Processed, Processor

LIMIT = 64_000_000
"""The most pixels that a picture may claim; an RGBA picture of that size takes 256 MB."""


class Image(Processor):
    """Decodes JPEG, PNG, GIF and BMP pictures into square RGB pixels.

    Gives `(batch, size, size, 3)`, uint8, 0 to 255. What is transparent becomes white. Of an animation the first frame
    counts. The orientation that a camera notes in EXIF is not applied, in training nor in serving. JPEG is decoded with the
    exact integer transform and resizing is bilinear with antialiasing, both as Pillow does.

    A picture whose header claims more than 64 million pixels is not decoded; neither it nor damaged data fails the batch:
    the row is white and has a fault.

    Args:
        size: Height and width of the result in pixels.
        fit: `pad` keeps the whole picture and fills up with white, `crop` keeps the middle square, `stretch` bends it.
    """

    from_file = True

    def __init__(self, *, size: Positive = 224, fit: Literal["pad", "crop", "stretch"] = "pad"):
        super().__init__(name="image")
        self.size, self.fit = size, fit

    @property
    def features(self) -> Features:
        return Features(shape=[self.size, self.size, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        fault = tf.map_fn(_header_fault, raw)
        rows, pixels = self._decodable(raw, fault)
        count = tf.size(raw, out_type=tf.int64)
        white = tf.fill([count, self.size, self.size, 3], tf.constant(255, tf.uint8))
        decoded = tf.scatter_nd(rows[:, None], tf.ones_like(rows, tf.bool), [count])
        damaged = tf.constant("the picture's data is damaged")
        fault = tf.where((fault == "") & ~decoded, damaged, fault)
        return Processed(tf.tensor_scatter_nd_update(white, rows[:, None], pixels), fault)

    def decode(self, values: tf.Tensor) -> tf.Tensor:
        """Encodes pixels `(batch, height, width, 3)`, 0 to 255, as PNG bytes `(batch,)`."""
        pixels = tf.cast(tf.round(tf.clip_by_value(tf.cast(values, tf.float32), 0, 255)), tf.uint8)
        return tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)

    def _decodable(self, raw: tf.Tensor, fault: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Gives the row numbers `(rows,)` and pixels of the pictures that decode.

        A decoder's error cannot be caught in a graph, but a tf.data pipeline inside the graph can leave its element out.
        """
        count = tf.size(raw, out_type=tf.int64)
        sound = tf.where(fault == "")[:, 0]
        rows = tf.data.Dataset.from_tensor_slices((sound, tf.gather(raw, sound)))
        pictures = rows.map(lambda row, data: (row, self._read(data)), num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        # A batch is never empty, so one row that stands for none is added and taken away again.
        none = (count, tf.zeros([self.size, self.size, 3], tf.uint8))
        rows, pixels = pictures.concatenate(tf.data.Dataset.from_tensors(none)).batch(count + 1).get_single_element()
        return rows[:-1], pixels[:-1]

    def _read(self, data: tf.Tensor) -> tf.Tensor:
        png = tf.strings.substr(data, 0, 4) == b"\x89PNG"
        jpeg = tf.strings.substr(data, 0, 2) == b"\xff\xd8"
        picture = tf.case(
            [(png, lambda: _on_white(data)), (jpeg, lambda: _jpeg(data))],
            default=lambda: tf.cast(tf.io.decode_image(data, channels=3, expand_animations=False), tf.float32),
        )
        picture = self._square(tf.ensure_shape(picture, [None, None, 3]))
        return tf.cast(tf.round(tf.clip_by_value(picture, 0, 255)), tf.uint8)

    def _square(self, picture: tf.Tensor) -> tf.Tensor:
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
        return tf.image.resize(picture, tf.stack([height, width]), antialias=True)


def _on_white(data: tf.Tensor) -> tf.Tensor:
    picture = tf.cast(tf.io.decode_png(data, channels=4), tf.float32)
    alpha = picture[..., 3:] / 255
    return picture[..., :3] * alpha + 255 * (1 - alpha)


def _jpeg(data: tf.Tensor) -> tf.Tensor:
    shape = tf.io.extract_jpeg_shape(data)
    too_large = tf.debugging.assert_less_equal(
        tf.cast(shape[0], tf.int64) * tf.cast(shape[1], tf.int64), tf.constant(LIMIT, tf.int64)
    )
    with tf.control_dependencies([too_large]):
        return tf.cast(tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)


def _header_fault(data: tf.Tensor) -> tf.Tensor:
    """Reads the first bytes of a picture: what keeps it from being decoded, empty if nothing does."""
    png = (tf.strings.substr(data, 0, 8) == b"\x89PNG\r\n\x1a\n") & (tf.strings.length(data) >= 24)
    gif = (tf.strings.substr(data, 0, 4) == b"GIF8") & (tf.strings.length(data) >= 10)
    bmp = (tf.strings.substr(data, 0, 2) == b"BM") & (tf.strings.length(data) >= 26)
    jpeg = tf.strings.substr(data, 0, 3) == b"\xff\xd8\xff"
    pixels = tf.case(
        [(png, lambda: _area(data, 16, 4, big=True)), (gif, lambda: _area(data, 6, 2)), (bmp, lambda: _area(data, 18, 4))],
        default=lambda: tf.constant(0, tf.int64),
    )
    return tf.case(
        [
            (tf.strings.length(data) == 0, lambda: tf.constant("there is no data")),
            (~(png | gif | bmp | jpeg), lambda: tf.constant("this is no JPEG, PNG, GIF or BMP picture")),
            (pixels > LIMIT, lambda: tf.constant(f"the picture claims more than {LIMIT // 10**6} million pixels")),
        ],
        default=lambda: tf.constant(""),
    )


def _area(data: tf.Tensor, start: int, size: int, big: bool = False) -> tf.Tensor:
    """Multiplies the two unsigned numbers of `size` bytes each that stand side by side at `start`."""
    numbers = tf.reshape(tf.cast(tf.io.decode_raw(tf.strings.substr(data, start, 2 * size), tf.uint8), tf.int64), [2, size])
    powers = [256**i for i in range(size)]
    sides = tf.reduce_sum(numbers * tf.constant(powers[::-1] if big else powers, tf.int64), axis=1)
    # Two sides of 32 bits overflow 64 bits; anything beyond the limit is the same to the caller.
    return tf.reduce_prod(tf.minimum(sides, LIMIT + 1))
