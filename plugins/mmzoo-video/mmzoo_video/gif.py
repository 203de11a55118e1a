"""Animated GIFs -> chosen frames as PNG, composed as a browser shows them, in graph ops.

TensorFlow's own decoder draws each frame over the one before it, whatever the animation says is to be done with that one, and
keeps all of them in memory. So the blocks are walked here, the decoder is asked for the colour numbers of one frame at a time,
and one canvas is painted.

Source: GIF89a specification, CompuServe 1990.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

PIXELS = 64_000_000
"""The most pixels that the frames of an animation may have in all."""
BYTES = 16_000_000
"""The most bytes that an animation may take; walking it takes 16 times as many."""
BLOCKS = 20_000
"""The most blocks that are walked; a frame takes one or two."""
TOO_LARGE = f"the animation's frames have more than {PIXELS // 10**6} million pixels"
TOO_LONG = f"the animation takes more than {BYTES // 10**6} MB"
TOO_MANY = f"the animation has more than {BLOCKS:,} blocks"
NO_GIF = "this is no GIF"
DAMAGED = "the animation's data is damaged"
EXTENSION, IMAGE, TRAILER = 0x21, 0x2C, 0x3B
CONTROL = 0xF9
"""Extension that says which colour of the next frame is transparent, and what becomes of that frame."""
CLEARED, RESTORED = 2, 3
"""The frame's place becomes transparent, or what it was, before the next one is drawn; else the frame stays."""
NO_CONTROL = [-1, 0]
"""Nothing is transparent, and the frame stays."""
OPAQUE = -(1 << 24)
"""The upper byte, 255, of a number of 32 bits."""
IDENTITY = bytes(level for colour in range(256) for level in (colour,) * 3)
"""Colours by which a decoder gives their numbers."""

Choose = Callable[[tf.Tensor], tf.Tensor]
"""Number of frames of a clip -> which are looked at, in order, -1 for none."""


class Frame(NamedTuple):
    """Of a frame, or of several: its first byte, its end, its transparent colour or -1, and what becomes of it."""

    start: tf.Tensor
    end: tf.Tensor
    transparent: tf.Tensor
    disposal: tf.Tensor


def read_gifs(raw: tf.Tensor, choose: Choose, frames: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Reads animations `(batch,)` row by row; an empty one has no frame and no fault.

    Args:
        raw: Encoded GIFs.
        choose: Which frames are wanted.
        frames: How many it gives.

    Returns:
        PNG pictures `(batch, frames)`, empty where there is none; their places in the animation; why a row cannot be read.
    """
    count = tf.size(raw, out_type=tf.int64)
    magic = tf.strings.substr(raw, 0, 6)
    fault = tf.where((magic == b"GIF87a") | (magic == b"GIF89a") | (raw == ""), "", NO_GIF)
    sound = tf.where((fault == "") & (raw != ""))[:, 0]
    rows = tf.data.Dataset.from_tensor_slices((sound, tf.gather(raw, sound)))
    # A decoder's error cannot be caught in a graph, but a tf.data pipeline inside the graph can leave its element out.
    read = rows.map(lambda row, data: (row, *_read(data, choose, frames)), num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
    # A batch is never empty, so one row that stands for none is added and taken away again.
    none = tf.data.Dataset.from_tensors((count, tf.fill([frames], ""), tf.zeros([frames], tf.int32), ""))
    places, pictures, numbers, wrong = (one[:-1] for one in read.concatenate(none).batch(count + 1).get_single_element())
    fault = tf.tensor_scatter_nd_update(fault, sound[:, None], tf.fill(tf.shape(sound), DAMAGED))
    shape = tf.stack([count, frames])
    return (
        tf.ensure_shape(tf.scatter_nd(places[:, None], pictures, shape), [None, frames]),
        tf.ensure_shape(tf.scatter_nd(places[:, None], numbers, shape), [None, frames]),
        tf.tensor_scatter_nd_update(fault, places[:, None], wrong),
    )


def _read(data: tf.Tensor, choose: Choose, frames: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    def read() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        numbers = tf.cast(tf.io.decode_raw(tf.strings.join([data, b"\0" * 8]), tf.uint8), tf.int32)
        found, fault = _walk(numbers)
        places = choose(tf.shape(found.start))[0]
        fault = tf.where(_pixels(numbers, found) > PIXELS, TOO_LARGE, fault)
        return tf.cond(fault == "", lambda: _paint(data, numbers, found, places), lambda: none[0]), places, fault

    none = tf.fill([frames], ""), tf.fill([frames], -1), tf.constant(TOO_LONG)
    return tf.cond(tf.strings.length(data) > BYTES, lambda: none, read)


def _walk(data: tf.Tensor) -> tuple[Frame, tf.Tensor]:
    """Finds the frames, and what keeps the walk from block to block from the animation's end, empty if nothing does."""
    ends = _ends(data)

    def step(at: Any, control: Any, found: Any) -> Any:
        return tf.cond(data[at] == IMAGE, lambda: image(at, control, found), lambda: extension(at, control, found))

    def image(at: Any, control: Any, found: Any) -> Any:
        end = ends[at + 11 + _table(data, at + 9)] + 1
        return end, tf.constant(NO_CONTROL), found.write(found.size(), tf.concat([[at, end], control], axis=0))

    def extension(at: Any, control: Any, found: Any) -> Any:
        flags = data[at + 3]
        said = tf.stack([tf.where(flags % 2 == 1, data[at + 6], -1), flags // 4 % 8])
        return ends[at + 2] + 1, tf.where(data[at + 1] == CONTROL, said, control), found

    def more(at: Any, *_: Any) -> Any:
        return (data[at] == IMAGE) | (data[at] == EXTENSION)

    found = tf.TensorArray(tf.int32, size=0, dynamic_size=True, element_shape=[4])
    state = 13 + _table(data, 10), tf.constant(NO_CONTROL), found
    end, _, found = tf.while_loop(more, step, state, maximum_iterations=BLOCKS)
    fault = tf.where(data[end] == TRAILER, "", tf.where(more(end), TOO_MANY, DAMAGED))
    return Frame(*tf.unstack(found.stack(), num=4, axis=1)), fault


def _ends(data: tf.Tensor) -> tf.Tensor:
    """Finds for each byte, were it the length of a piece of data, the empty piece that ends the pieces from there on."""
    last = tf.size(data) - 1
    here = tf.range(last + 1)

    def double(following: Any, _: Any) -> Any:
        further = tf.gather(following, following)
        return further, tf.reduce_any(further != following)

    following = tf.where(data == 0, here, tf.minimum(here + data + 1, last))
    return tf.while_loop(lambda _, moved: moved, double, (following, True))[0]


def _table(data: tf.Tensor, at: Any) -> tf.Tensor:
    """Gives the bytes of the table of colours that the flags at a place tell of."""
    return tf.where(data[at] >= 128, 3 * tf.bitwise.left_shift(2, data[at] % 8), 0)


def _two(data: tf.Tensor, at: Any) -> tf.Tensor:
    return tf.gather(data, at) + 256 * tf.gather(data, at + 1)


def _pixels(data: tf.Tensor, found: Frame) -> tf.Tensor:
    """Counts the pixels of all frames, each as large as the canvas or larger."""
    sides = [(found.start + 5, found.start + 7), (6, 8)]
    frames, canvas = (tf.cast(_two(data, width), tf.int64) * tf.cast(_two(data, height), tf.int64) for width, height in sides)
    return tf.reduce_sum(tf.maximum(frames, canvas))


def _paint(data: tf.Tensor, numbers: tf.Tensor, found: Frame, places: tf.Tensor) -> tf.Tensor:
    """Paints the frames up to the last that is wanted; gives those that are as PNG, `(frames,)`.

    A pixel is one number of 32 bits, its bytes red, green, blue and opaque; 0 is transparent.
    """
    shape = tf.stack([_two(numbers, 8), _two(numbers, 6)])

    def step(place: Any, canvas: Any, pictures: Any) -> Any:
        one = Frame(*(part[place] for part in found))
        drawn = _on_canvas(_colours(data, numbers, one), numbers, one, shape)
        shown = tf.where(drawn == 0, canvas, drawn)
        png = tf.cond(tf.reduce_any(places == place), lambda: _png(shown), lambda: "")
        after = tf.cond(one.disposal == CLEARED, lambda: _cleared(shown, numbers, one), lambda: shown)
        return place + 1, tf.where(one.disposal == RESTORED, canvas, after), tf.where(places == place, png, pictures)

    state = 0, tf.zeros(shape, tf.int32), tf.fill(tf.shape(places), "")
    return tf.while_loop(lambda place, *_: place <= tf.reduce_max(places), step, state, parallel_iterations=1)[2]


def _colours(data: tf.Tensor, numbers: tf.Tensor, one: Frame) -> tf.Tensor:
    """Decodes one frame as an animation of its own, `(height, width)`."""
    flags, own = numbers[one.start + 9], _table(numbers, one.start + 9)
    start, size = tf.where(own > 0, one.start + 10, 13), tf.where(own > 0, own, _table(numbers, 10))
    table = tf.reduce_sum(tf.reshape(numbers[start : start + size], [-1, 3]) * [1, 1 << 8, 1 << 16], axis=1) + OPAQUE
    table = tf.where(tf.range(size // 3) == one.transparent, 0, table)
    sides, interlaced = tf.strings.substr(data, one.start + 5, 4), tf.where(flags // 64 % 2 == 1, b"\x40", b"\0")
    pieces = tf.strings.substr(data, one.start + 10 + own, one.end - one.start - 10 - own)
    alone = [b"GIF89a", sides, b"\xf7\0\0", IDENTITY, b",\0\0\0\0", sides, interlaced, pieces, b";"]
    return tf.gather(table, tf.cast(tf.io.decode_gif(tf.strings.join(alone))[0, :, :, 0], tf.int32))


def _on_canvas(values: tf.Tensor, numbers: tf.Tensor, one: Frame, canvas: tf.Tensor) -> tf.Tensor:
    """Puts values in a frame's place on a canvas of zeros; what is beyond its edges is cut off."""
    corner = tf.minimum(tf.stack([_two(numbers, one.start + 3), _two(numbers, one.start + 1)]), canvas)
    values = values[: canvas[0] - corner[0], : canvas[1] - corner[1]]
    return tf.pad(values, tf.stack([corner, canvas - corner - tf.shape(values)], axis=1))


def _cleared(shown: tf.Tensor, numbers: tf.Tensor, one: Frame) -> tf.Tensor:
    place = tf.ones(tf.stack([_two(numbers, one.start + 7), _two(numbers, one.start + 5)]), tf.int32)
    return tf.where(_on_canvas(place, numbers, one, tf.shape(shown)) == 1, 0, shown)


def _png(shown: tf.Tensor) -> tf.Tensor:
    return tf.io.encode_png(tf.bitcast(shown, tf.uint8), compression=1)
