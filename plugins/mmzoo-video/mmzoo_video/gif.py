"""Animated GIFs -> sampled frames as PNG, composed as a browser shows them, with graph ops.

TensorFlow's decoder ignores a frame's disposal method: it always draws over the previous frame. It also keeps all frames in
memory. So this module parses the blocks itself, decodes the colour indices of one frame at a time with TensorFlow, and draws
on one canvas.

Source: GIF89a specification, CompuServe 1990.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

PIXELS = 64_000_000
"""The most pixels that all frames of an animation may have together."""
CANVAS = 16_000_000
"""The most pixels of one frame. Drawing takes about 20 bytes for each, in every clip that is read at the same time."""
BYTES = 16_000_000
"""The most bytes of an animation. Parsing takes 16 times as much memory."""
BLOCKS = 20_000
"""The most blocks that are parsed. A frame has one or two."""
TOO_LARGE = f"the animation's frames have more than {PIXELS // 10**6} million pixels"
TOO_WIDE = f"a frame of the animation has more than {CANVAS // 10**6} million pixels"
TOO_LONG = f"the animation takes more than {BYTES // 10**6} MB"
TOO_MANY = f"the animation has more than {BLOCKS:,} blocks"
NOT_A_GIF = "this is not a GIF"
DAMAGED = "the animation's data is damaged"
EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
CONTROL = 0xF9
"""Graphic control extension: the transparent colour and the disposal method of the next frame."""
CLEARED, RESTORED = 2, 3
"""Disposal methods: the frame's area is cleared, or restored to what it was, before the next frame is drawn. Else it stays."""
NO_CONTROL = [-1, 0]
"""No transparent colour; the frame stays."""
OPAQUE = -(1 << 24)
"""An alpha of 255: the upper byte of a 32-bit number."""
IDENTITY = bytes(level for colour in range(256) for level in (colour,) * 3)
"""Colour table with which the decoder returns colour indices."""

Sample = Callable[[tf.Tensor], tf.Tensor]
"""Number of frames of a clip -> the numbers of the sampled frames, in order, padded with -1."""


class Frame(NamedTuple):
    """One or several frames: the first byte, the end, the transparent colour or -1, and the disposal method of each."""

    start: tf.Tensor
    end: tf.Tensor
    transparent: tf.Tensor
    disposal: tf.Tensor


def read_gifs(raw: tf.Tensor, sample: Sample, frames: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Reads animations `(batch,)`. An empty string has no frame and no fault.

    Args:
        raw: Encoded GIFs.
        sample: Chooses the frames to return.
        frames: Number of frames that `sample` returns.

    Returns:
        PNG pictures `(batch, frames)`, empty where there is no frame; their numbers in the animation; the fault of each row.
    """
    count = tf.size(raw, out_type=tf.int64)
    magic = tf.strings.substr(raw, 0, 6)
    fault = tf.where((magic == b"GIF87a") | (magic == b"GIF89a") | (raw == ""), "", NOT_A_GIF)
    sound = tf.where((fault == "") & (raw != ""))[:, 0]
    rows = tf.data.Dataset.from_tensor_slices((sound, tf.gather(raw, sound)))
    # A graph cannot catch a decoder's error, but a tf.data pipeline inside the graph can drop the element that failed.
    read = rows.map(lambda row, data: (row, *_read(data, sample, frames)), num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
    # tf.data makes no empty batch, so a dummy row is added and removed again.
    dummy = tf.data.Dataset.from_tensors((count, tf.fill([frames], ""), tf.zeros([frames], tf.int32), ""))
    done, pictures, numbers, faults = (part[:-1] for part in read.concatenate(dummy).batch(count + 1).get_single_element())
    fault = tf.tensor_scatter_nd_update(fault, sound[:, None], tf.fill(tf.shape(sound), DAMAGED))
    shape = tf.stack([count, frames])
    return (
        tf.ensure_shape(tf.scatter_nd(done[:, None], pictures, shape), [None, frames]),
        tf.ensure_shape(tf.scatter_nd(done[:, None], numbers, shape), [None, frames]),
        tf.tensor_scatter_nd_update(fault, done[:, None], faults),
    )


def _read(data: tf.Tensor, sample: Sample, frames: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    def read() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        numeric = tf.cast(tf.io.decode_raw(tf.strings.join([data, b"\0" * 8]), tf.uint8), tf.int32)
        found, fault = _parse(numeric)
        numbers = sample(tf.shape(found.start))[0]
        areas = _areas(numeric, found)
        fault = tf.where(tf.reduce_sum(areas[1:]) > PIXELS, TOO_LARGE, fault)
        fault = tf.where(tf.reduce_any(areas > CANVAS), TOO_WIDE, fault)
        return tf.cond(fault == "", lambda: _draw(data, numeric, found, numbers), lambda: none[0]), numbers, fault

    none = tf.fill([frames], ""), tf.fill([frames], -1), tf.constant(TOO_LONG)
    return tf.cond(tf.strings.length(data) > BYTES, lambda: none, read)


def _parse(data: tf.Tensor) -> tuple[Frame, tf.Tensor]:
    """Parses the blocks; returns the frames and a fault, empty if the end of the animation was reached."""
    ends = _ends(data)

    def step(at: Any, control: Any, found: Any) -> Any:
        return tf.cond(data[at] == IMAGE, lambda: image(at, control, found), lambda: extension(at, control, found))

    def image(at: Any, control: Any, found: Any) -> Any:
        end = ends[at + 11 + _table_bytes(data, at + 9)] + 1
        return end, tf.constant(NO_CONTROL), found.write(found.size(), tf.concat([[at, end], control], axis=0))

    def extension(at: Any, control: Any, found: Any) -> Any:
        flags = data[at + 3]
        new = tf.stack([tf.where(flags % 2 == 1, data[at + 6], -1), flags // 4 % 8])
        return ends[at + 2] + 1, tf.where(data[at + 1] == CONTROL, new, control), found

    def more(at: Any, *_: Any) -> Any:
        return (data[at] == IMAGE) | (data[at] == EXTENSION)

    found = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[4])
    state = 13 + _table_bytes(data, 10), tf.constant(NO_CONTROL), found
    end, _, found = tf.while_loop(more, step, state, maximum_iterations=BLOCKS)
    fault = tf.where(data[end] == TRAILER, "", tf.where(more(end), TOO_MANY, DAMAGED))
    return Frame(*tf.unstack(found.stack(), num=4, axis=1)), fault


def _ends(data: tf.Tensor) -> tf.Tensor:
    """Returns, for each byte taken as the length of a first sub-block, where the empty sub-block that ends the chain is."""
    last = tf.size(data) - 1
    position = tf.range(last + 1)

    def double(following: Any, _: Any) -> Any:
        further = tf.gather(following, following)
        return further, tf.reduce_any(further != following)

    following = tf.where(data == 0, position, tf.minimum(position + data + 1, last))
    return tf.while_loop(lambda _, moved: moved, double, (following, True))[0]


def _table_bytes(data: tf.Tensor, at: Any) -> tf.Tensor:
    """Returns the size in bytes of the colour table that the flags at `at` announce; 0 for none."""
    return tf.where(data[at] >= 128, 3 * tf.bitwise.left_shift(2, data[at] % 8), 0)


def _uint16(data: tf.Tensor, at: Any) -> tf.Tensor:
    return tf.gather(data, at) + 256 * tf.gather(data, at + 1)


def _areas(data: tf.Tensor, found: Frame) -> tf.Tensor:
    """Counts the pixels of the canvas, which may have no frame, and of each frame, at least as many as the canvas has."""

    def area(at: Any) -> tf.Tensor:
        return tf.cast(_uint16(data, at), tf.int64) * tf.cast(_uint16(data, at + 2), tf.int64)

    return tf.maximum(tf.concat([[0], area(found.start + 5)], axis=0), area(6))


def _draw(data: tf.Tensor, numeric: tf.Tensor, found: Frame, sampled: tf.Tensor) -> tf.Tensor:
    """Draws the frames up to the last sampled one; returns the sampled ones as PNG, `(frames,)`.

    A pixel is a 32-bit number, its bytes red, green, blue and alpha; 0 is transparent.
    """
    shape = tf.stack([_uint16(numeric, 8), _uint16(numeric, 6)])

    def step(number: Any, canvas: Any, pictures: Any) -> Any:
        frame = Frame(*(part[number] for part in found))
        drawn = _on_canvas(_colours(data, numeric, frame), numeric, frame, shape)
        shown = tf.where(drawn == 0, canvas, drawn)
        png = tf.cond(tf.reduce_any(sampled == number), lambda: _png(shown), lambda: "")
        after = tf.cond(frame.disposal == CLEARED, lambda: _cleared(shown, numeric, frame), lambda: shown)
        return number + 1, tf.where(frame.disposal == RESTORED, canvas, after), tf.where(sampled == number, png, pictures)

    state = 0, tf.zeros(shape, tf.int32), tf.fill(tf.shape(sampled), "")
    return tf.while_loop(lambda number, *_: number <= tf.reduce_max(sampled), step, state, parallel_iterations=1)[2]


def _colours(data: tf.Tensor, numeric: tf.Tensor, frame: Frame) -> tf.Tensor:
    """Decodes one frame, as a GIF of one frame, to colours `(height, width)`."""
    flags, own = numeric[frame.start + 9], _table_bytes(numeric, frame.start + 9)
    start, size = tf.where(own > 0, frame.start + 10, 13), tf.where(own > 0, own, _table_bytes(numeric, 10))
    table = tf.reduce_sum(tf.reshape(numeric[start : start + size], [-1, 3]) * [1, 1 << 8, 1 << 16], axis=1) + OPAQUE
    table = tf.where(tf.range(size // 3) == frame.transparent, 0, table)
    sides, interlaced = tf.strings.substr(data, frame.start + 5, 4), tf.where(flags // 64 % 2 == 1, b"\x40", b"\0")
    blocks = tf.strings.substr(data, frame.start + 10 + own, frame.end - frame.start - 10 - own)
    single = [b"GIF89a", sides, b"\xf7\0\0", IDENTITY, b",\0\0\0\0", sides, interlaced, blocks, b";"]
    return tf.gather(table, tf.cast(tf.io.decode_gif(tf.strings.join(single))[0, :, :, 0], tf.int32))


def _on_canvas(values: tf.Tensor, numeric: tf.Tensor, frame: Frame, canvas: tf.Tensor) -> tf.Tensor:
    """Places values in a frame's area on a canvas of zeros; cuts off what is outside the canvas."""
    corner = tf.minimum(tf.stack([_uint16(numeric, frame.start + 3), _uint16(numeric, frame.start + 1)]), canvas)
    values = values[: canvas[0] - corner[0], : canvas[1] - corner[1]]
    return tf.pad(values, tf.stack([corner, canvas - corner - tf.shape(values)], axis=1))


def _cleared(shown: tf.Tensor, numeric: tf.Tensor, frame: Frame) -> tf.Tensor:
    area = tf.ones(tf.stack([_uint16(numeric, frame.start + 7), _uint16(numeric, frame.start + 5)]), tf.int32)
    return tf.where(_on_canvas(area, numeric, frame, tf.shape(shown)) == 1, 0, shown)


def _png(shown: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(tf.bitcast(shown, tf.uint8), compression=1)
