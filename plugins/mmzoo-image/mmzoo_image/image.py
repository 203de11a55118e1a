"""Encoded pictures -> pixels. A picture that cannot be decoded is a fault of its own row only."""

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from mmzoo import FeatureSpec, MmzooError, PositiveInt, Processed, Processor
from mmzoo_image.decoders import RATIOS, read_bmp, read_gif, read_jpeg, read_png, upright
from mmzoo_image.fitting import Fit, Interpolation, Square
from mmzoo_image.headers import BMP, DAMAGED, JPEG, PNG, header_faults, orientations, starts, too_large

TOGETHER, PARTS = 32, 64
"""Pictures are decoded in parallel parts of up to `TOGETHER`. Parts are smaller where there would be fewer than `PARTS`."""
GAP = 3
"""A JPEG is decoded at a reduced size if that is at least this many times the size asked for."""


class Image(Processor):
    """Decodes JPEG, PNG, GIF and BMP pictures into square RGB pixels.

    Returns `(batch, size, size, 3)`, uint8, 0 to 255. Transparent pixels become white; in a GIF they become black. Only the
    first frame of an animation is read. A JPEG is turned upright as its EXIF orientation says; with damaged EXIF it is left as
    it is stored. JPEG is decoded with the exact integer DCT, at an eighth, a quarter or half of its size if that is still three
    times the size asked for. Resizing is antialiased. Both are as in Pillow.

    A picture whose header claims more than `max_pixels` is not decoded. Such a picture, or damaged data, does not fail the
    batch: its row is white and has a fault.

    Args:
        size: Height and width of the result in pixels.
        fit: How a picture becomes square. `pad` keeps the aspect ratio and pads with white, `crop` keeps the central square,
            `stretch` changes the aspect ratio. `resize_crop` resizes the shorter side to `shorter_side` and then keeps the
            central square, as CLIP's preprocessing and that of ImageNet's classifiers do.
        shorter_side: For `resize_crop`: the shorter side before the central square is cut out, at least `size`, which is the
            default. ImageNet's 87.5 % are 256 for a `size` of 224.
        interpolation: `bilinear`, or `bicubic` (Keys 1981, a = -0.5).
        max_pixels: The most pixels that a header may claim. A PNG of 64 million takes about 330 MB while it is decoded.
    """

    modality = "image"
    from_file = True

    def __init__(
        self,
        *,
        size: PositiveInt = 224,
        fit: Fit = "pad",
        shorter_side: PositiveInt | None = None,
        interpolation: Interpolation = "bilinear",
        max_pixels: PositiveInt = 64_000_000,
    ):
        super().__init__(name="image")
        if shorter_side is not None and (fit != "resize_crop" or shorter_side < size):
            what = f"image: option shorter_side: {shorter_side} does not go with size: {size} and fit: {fit}."
            raise MmzooError(f"{what}\nIt belongs to fit: resize_crop and is at least size. Change it, or leave it out.")
        self.size, self.max_pixels = size, max_pixels
        self.square = Square(size, fit, shorter_side or size, interpolation)
        # Traced once for all graphs that hold the processor. A partial hides it from tf.Module, which would save it by itself.
        self._read_part = partial(tf.function(self._read_all, autograph=False))
        self._fit = partial(tf.function(self.square, autograph=False))

    @property
    def features(self) -> FeatureSpec:
        return FeatureSpec(shape=[self.size, self.size, 3], dtype="uint8", vocabulary=None)

    def __call__(self, raw: tf.Tensor) -> Processed:
        fault = header_faults(raw, self.max_pixels)
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
        data = tf.gather(raw, rows)
        parts = tf.data.Dataset.from_tensor_slices((rows, data, orientations(data))).batch(together)
        pictures = parts.map(lambda rows, *part: (rows, *self._read_part(*part)), num_parallel_calls=tf.data.AUTOTUNE)
        # tf.data makes no empty batch, so a dummy row is added and removed again.
        dummy = (tf.constant(-1, tf.int64), tf.zeros([self.size, self.size, 3], tf.uint8), "")
        pictures = pictures.ignore_errors().unbatch().concatenate(tf.data.Dataset.from_tensors(dummy))
        rows, pixels, faults = pictures.batch(tf.size(rows, out_type=tf.int64) + 1).get_single_element()
        return rows[:-1], pixels[:-1], faults[:-1]

    def _read_all(self, data: tf.Tensor, turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        signature = (tf.TensorSpec([self.size, self.size, 3], tf.uint8), tf.TensorSpec([], tf.string))

        def each(decode: Callable[..., tuple[tf.Tensor, tf.Tensor]]) -> Callable[[], tuple[tf.Tensor, tf.Tensor]]:
            # One at a time: parts run in parallel already, and each picture takes memory.
            read = partial(tf.map_fn, fn_output_signature=signature, parallel_iterations=1)
            return lambda: read(lambda picture: decode(*picture), (data, turned))

        # Checked once for the whole part: the branches not taken cost as much time as decoding a small picture.
        jpegs = tf.reduce_all(starts(data, JPEG))
        ready = tf.cond(jpegs, lambda: self._is_ready(data[0]) & tf.reduce_all(turned == 1), lambda: False)
        return tf.case([(ready, each(self._read_ready)), (jpegs, each(self._read_jpeg))], default=each(self._read))

    def _is_ready(self, jpeg: tf.Tensor) -> tf.Tensor:
        allowed = self.square.shorter_side == self.size and self.size**2 <= self.max_pixels
        return allowed & tf.reduce_all(tf.io.extract_jpeg_shape(jpeg)[:2] == self.size)

    def _read_ready(self, data: tf.Tensor, _turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes an upright JPEG that already has the right size; fails for any other size."""
        picture = read_jpeg(tf.where(self._is_ready(data), data, ""))
        return tf.ensure_shape(picture, [self.size, self.size, 3]), tf.constant("")

    def _read_jpeg(self, data: tf.Tensor, turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a JPEG of any size; returns a white picture and a fault if it is too large."""
        sides = tf.io.extract_jpeg_shape(data)[:2]

        def read() -> tf.Tensor:
            shrinks = self.square.shrinks(sides)
            number = tf.reduce_sum(tf.cast(shrinks >= [GAP * ratio for ratio in RATIOS[1:]], tf.int32))
            picture = tf.switch_case(number, [partial(read_jpeg, data, ratio) for ratio in RATIOS])
            upright_sides = tf.where(turned > 4, sides[::-1], sides)
            return self._fit(upright(picture, turned), upright_sides, tf.gather(RATIOS, number))

        large = tf.reduce_prod(tf.cast(sides, tf.float64)) > self.max_pixels
        white = tf.fill([self.size, self.size, 3], tf.constant(255, tf.uint8))
        return tf.cond(large, lambda: white, read), tf.where(large, too_large(self.max_pixels), "")

    def _read(self, data: tf.Tensor, turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def whole(read: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[], tuple[tf.Tensor, tf.Tensor]]:
            def fitted() -> tuple[tf.Tensor, tf.Tensor]:
                picture = read(data)
                return self._fit(picture, tf.shape(picture)[:2], tf.constant(1)), tf.constant("")

            return fitted

        kinds = [(JPEG, lambda: self._read_jpeg(data, turned)), (PNG, whole(read_png)), (BMP, whole(read_bmp))]
        return tf.case([(starts(data, magic), read) for magic, read in kinds], default=whole(read_gif))
