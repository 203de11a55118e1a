"""Which of a clip's frames are looked at: a formula of its length alone, the same in training and serving."""

import tensorflow as tf


def chosen_places(lengths: tf.Tensor, frames: int, stride: int | None = None) -> tf.Tensor:
    """Chooses places in clips, in order, each once.

    Without a stride a clip of more frames is cut into `frames` equal segments, and of each the middle is taken, frame
    `floor((2 i + 1) length / (2 frames))` for i from 0; of a shorter one all are. With a stride, as many as the clip has, up to
    `frames`, lie in its middle and so far apart.

    Args:
        lengths: `(batch,)`, int32.
        frames: The most places of a clip.
        stride: From one place to the next.

    Returns:
        `(batch, frames)`, int32; -1 behind the last one.
    """
    length, number = lengths[:, None], tf.range(frames)
    if stride is None:
        count = length
        places = tf.where(length > frames, (2 * number + 1) * length // (2 * frames), number)
    else:
        count = tf.minimum(frames, (length - 1) // stride + 1)
        places = (length - 1 - (count - 1) * stride) // 2 + number * stride
    return tf.where(number < count, places, -1)
