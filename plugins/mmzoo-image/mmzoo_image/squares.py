"""A batch of encoded pictures -> squares of pixels, in parallel, whatever some of them hold."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import tensorflow as tf

from mmzoo_image.decoders import RATIOS, read_bmp, read_gif, read_jpeg, read_png, upright
from mmzoo_image.fitting import Square
from mmzoo_image.headers import BMP, DAMAGED, JPEG, PNG, header_faults, orientations, starts, too_large

TOGETHER, PARTS = 32, 64
"""Pictures are decoded in parallel parts of up to `TOGETHER`. Parts are smaller where there would be fewer than `PARTS`."""
GAP = 3
"""A JPEG is decoded at a reduced size if that is at least this many times the size asked for."""


@dataclass(frozen=True)
class Squares:
    """Decodes pictures and fits each into a square."""

    square: Square
    max_pixels: int

    def __call__(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the pixels `(batch, size, size, 3)`, uint8, and the faults `(batch,)` of encoded pictures `(batch,)`."""
        fault = header_faults(raw, self.max_pixels)
        rows, pixels, faults = self._decodable(raw, fault)
        count = tf.size(raw, out_type=tf.int64)
        white = tf.fill([count, self.square.size, self.square.size, 3], tf.constant(255, tf.uint8))
        fault = tf.where(fault == "", DAMAGED, fault)
        fault = tf.tensor_scatter_nd_update(fault, rows[:, None], faults)
        return tf.tensor_scatter_nd_update(white, rows[:, None], pixels), fault

    def _decodable(self, raw: tf.Tensor, fault: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the row numbers `(rows,)` of the pictures that decode, their pixels, and their faults.

        Decodes several pictures at a time, which is faster. Where a part fails, decodes each of its pictures alone.
        """
        sound, count = fault == "", tf.size(raw, out_type=tf.int64)
        together = tf.clip_by_value(count // PARTS, 1, TOGETHER)
        pictures = raw, orientations(raw)
        rows, pixels, faults = self._decoded(pictures, tf.where(sound)[:, 0], together)
        left = (together > 1) & tf.tensor_scatter_nd_update(sound, rows[:, None], tf.zeros_like(rows, tf.bool))

        def with_rest() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            alone = self._decoded(pictures, tf.where(left)[:, 0], tf.constant(1, tf.int64))
            return tf.concat([rows, alone[0]], 0), tf.concat([pixels, alone[1]], 0), tf.concat([faults, alone[2]], 0)

        # A second pipeline takes time even for no pictures.
        return tf.cond(tf.reduce_any(left), with_rest, lambda: (rows, pixels, faults))

    def _decoded(
        self, pictures: tuple[tf.Tensor, tf.Tensor], rows: tf.Tensor, together: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Decodes some rows of pictures (bytes, orientations) in parts of `together`; drops each part in which one fails.

        A graph cannot catch a decoder's error, but a tf.data pipeline inside the graph can drop the element that failed.
        """
        parts = tf.data.Dataset.from_tensor_slices((rows, *(tf.gather(one, rows) for one in pictures))).batch(together)
        squares = parts.map(_traced(self._read_part), num_parallel_calls=tf.data.AUTOTUNE)
        # tf.data makes no empty batch, so a dummy row is added and removed again.
        dummy = (tf.constant(-1, tf.int64), tf.zeros([self.square.size, self.square.size, 3], tf.uint8), "")
        squares = squares.ignore_errors().unbatch().concatenate(tf.data.Dataset.from_tensors(dummy))
        rows, pixels, faults = squares.batch(tf.size(rows, out_type=tf.int64) + 1).get_single_element()
        return rows[:-1], pixels[:-1], faults[:-1]

    def _read_part(self, rows: tf.Tensor, data: tf.Tensor, turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        signature = (tf.TensorSpec([self.square.size, self.square.size, 3], tf.uint8), tf.TensorSpec([], tf.string))
        # One at a time: parts run in parallel already, and each picture takes memory.
        each = partial(tf.map_fn, fn_output_signature=signature, parallel_iterations=1)
        # Checked once for the whole part: the branches not taken cost as much time as decoding a small picture.
        upright_jpegs = tf.reduce_all(starts(data, JPEG) & (turned == 1))
        ready = tf.cond(upright_jpegs, lambda: self._is_ready(data[0]), lambda: False)
        return rows, *tf.cond(
            ready, lambda: each(self._read_ready, data), lambda: each(lambda one: self._read(*one), (data, turned))
        )

    def _is_ready(self, jpeg: tf.Tensor) -> tf.Tensor:
        allowed = self.square.shorter_side == self.square.size and self.square.size**2 <= self.max_pixels
        return allowed & tf.reduce_all(tf.io.extract_jpeg_shape(jpeg)[:2] == self.square.size)

    def _read_ready(self, jpeg: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes an upright JPEG that already has the right size; fails for any other size."""
        picture = read_jpeg(tf.where(self._is_ready(jpeg), jpeg, ""))
        return tf.ensure_shape(picture, [self.square.size, self.square.size, 3]), tf.constant("")

    def _read(self, data: tf.Tensor, turned: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Decodes a picture of any kind and size; returns a white picture and a fault if it is a JPEG that is too large."""
        jpeg = starts(data, JPEG)
        stored = tf.cond(jpeg, lambda: tf.io.extract_jpeg_shape(data)[:2], lambda: tf.zeros([2], tf.int32))
        large = tf.reduce_prod(tf.cast(stored, tf.float64)) > self.max_pixels
        reduced = (self.square.shrinks(stored) >= [GAP * ratio for ratio in RATIOS[1:]]) & ~large
        number = tf.reduce_sum(tf.cast(reduced, tf.int32))
        jpegs = [partial(read_jpeg, data, ratio) for ratio in RATIOS]
        others = [(PNG, partial(read_png, data)), (BMP, partial(read_bmp, data)), (b"", partial(read_gif, data))]
        kind = tf.argmax([starts(data, magic) for magic, _ in others], output_type=tf.int32)
        blank = partial(tf.fill, [1, 1, 3], tf.constant(255, tf.uint8))
        branch = tf.where(jpeg, tf.where(large, 0, 1 + number), 1 + len(jpegs) + kind)
        stored_picture = tf.switch_case(branch, [blank, *jpegs, *(read for _, read in others)])
        picture = tf.cond(turned == 1, lambda: stored_picture, lambda: upright(stored_picture, turned))
        ratio = tf.gather(RATIOS, number)
        given = tf.where(ratio == 1, tf.shape(picture)[:2], tf.where(turned > 4, stored[::-1], stored))
        return self.square(picture, given, ratio), tf.where(large, too_large(self.max_pixels), "")


def read_squares(squares: Squares, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what `squares` gives for encoded pictures `(batch,)`, by a graph that a process traces once."""
    return _traced(squares, (tf.TensorSpec([None], tf.string),))(raw)


@cache
def _traced(function: Callable[..., Any], signature: tuple[tf.TensorSpec, ...] | None = None) -> Any:
    """Returns the graph function of a function, the same for all that ask: to trace a whole one takes a second."""
    return tf.function(function, signature, autograph=False)
