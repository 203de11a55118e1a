"""Frame sampling: which frames of a clip are used. It depends on the clip's length only, in training and serving alike."""

import tensorflow as tf


def sample_frames(lengths: tf.Tensor, frames: int, stride: int | None = None) -> tf.Tensor:
    """Samples frame indices of clips, in order, without repetition.

    Without `stride`, a clip of more than `frames` frames is cut into `frames` equal segments. The middle frame of each is
    taken: frame `floor((2 i + 1) length / (2 frames))`, for i from 0. All frames of a shorter clip are taken. With `stride`,
    every `stride`-th frame around the middle of the clip is taken, up to `frames` of them.

    Args:
        lengths: Number of frames of each clip, `(batch,)`, int32.
        frames: Maximum number of frames per clip.
        stride: Distance between two frames.

    Returns:
        Frame indices `(batch, frames)`, int32, padded with -1.
    """
    length, index = lengths[:, None], tf.range(frames)
    if stride is None:
        count = length
        numbers = tf.where(length > frames, (2 * index + 1) * length // (2 * frames), index)
    else:
        count = tf.minimum(frames, (length - 1) // stride + 1)
        numbers = (length - 1 - (count - 1) * stride) // 2 + index * stride
    return tf.where(index < count, numbers, -1)
