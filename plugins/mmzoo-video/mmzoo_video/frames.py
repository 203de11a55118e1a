"""Encoded frames of a clip -> the pixels of sampled frames, the same in training and serving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import tensorflow as tf

from mmzoo import FeatureSpec, MmzooError, PositiveInt, Processed, Processor, ProcessorPart
from mmzoo_video.gif import read_gifs
from mmzoo_video.sampling import sample_frames

NO_FRAME = "there is no frame"


class Frames(Processor):
    """Samples frames of a clip, evenly spread over it, and decodes each as a picture.

    Returns the output of `picture` for each sampled frame, `(batch, frames, ...)`, and a mask `(batch, frames)`, True for
    present frames. A clip of more than `frames` frames is cut into `frames` equal segments, and the middle frame of each is
    sampled; the other frames are not decoded. A shorter clip is padded with zeros, which are masked.

    A raw value is a list of encoded pictures of any size. An empty one is a missing frame and is masked; empty ones at the end
    are padding. A frame that cannot be decoded is a fault of its own clip only.

    Args:
        picture: Processor that decodes one frame, such as `{type: image, size: 64}`.
        frames: Number of frames to sample.
        stride: Distance between sampled frames, which then lie around the middle of the clip; 1 means adjacent frames. By
            default they are spread over the whole clip.
        animated: Whether a raw value is an animated GIF instead of a list. Its frames are composed as a browser shows them, and
            `picture` gets them as PNG with transparency. A GIF with more than 64 million pixels in all
            frames, or 16 million in one, is not decoded.
    """

    raw = tf.TensorSpec((None,), tf.string)
    modality = "video"
    from_file = True

    def __init__(
        self, *, picture: ProcessorPart, frames: PositiveInt = 8, stride: PositiveInt | None = None, animated: bool = False
    ):
        super().__init__(name="frames")
        self.picture: Processor = cast(Callable[[], Any], picture)()
        if not _reads_picture(self.picture):
            what = f"frames: option picture: expected a processor of encoded pictures, '{self.picture.name}' is not one."
            raise MmzooError(f"{what}\nGive one such as {{type: image, size: 64}}.")
        self.frames, self.stride = frames, stride
        if animated:
            self.raw = tf.TensorSpec((), tf.string)

    @property
    def features(self) -> FeatureSpec:
        spec = self.picture.features
        return spec | {"shape": [self.frames, *spec["shape"]], "mask": [self.frames]}

    def __call__(self, raw: tf.Tensor) -> Processed:
        encoded, numbers, fault = self._sample(raw)
        present = encoded != ""
        where, shape = tf.where(present), tf.shape(encoded, tf.int64)
        decoded = self.picture(tf.boolean_mask(encoded, present))
        features = tf.scatter_nd(where, decoded.features, tf.concat([shape, self.picture.features["shape"]], axis=0))
        fault = tf.where(fault == "", _first_fault(tf.scatter_nd(where, decoded.fault, shape), numbers), fault)
        # A damaged clip counts as present: the fault of an absent one may be ignored.
        present |= (fault != "")[:, None]
        return Processed(features, tf.where(tf.reduce_any(present, axis=1), fault, NO_FRAME), present)

    def adapt(self, values: tf.data.Dataset) -> None:
        frames = values.map(lambda clip: self._sample(clip[None])[0][0]).unbatch()
        self.picture.adapt(frames.filter(lambda frame: frame != ""))

    def save(self, folder: Path) -> None:
        self.picture.save(folder)

    def load(self, folder: Path) -> None:
        self.picture.load(folder)

    def _sample(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the sampled frames `(batch, frames)`, encoded, their numbers in the clip, and the fault of each clip."""
        if len(raw.shape) == 1:
            return read_gifs(raw, self._numbers, self.frames)
        raw = tf.pad(raw, [[0, 0], [0, 1]], constant_values="")  # an empty frame, taken where no frame is sampled
        empty = tf.shape(raw)[1] - 1
        numbers = self._numbers(tf.reduce_max(tf.where(raw == "", 0, tf.range(1, empty + 2)), axis=1))
        return tf.gather(raw, tf.where(numbers < 0, empty, numbers), batch_dims=1), numbers, tf.fill(tf.shape(raw)[:1], "")

    def _numbers(self, lengths: tf.Tensor) -> tf.Tensor:
        return sample_frames(lengths, self.frames, self.stride)


def _reads_picture(processor: Processor) -> bool:
    """Returns whether a processor reads one encoded picture. One that returns a mask, as `frames` does, would lose it."""
    if not processor.from_file or processor.raw != tf.TensorSpec((), tf.string):
        return False
    return processor.features["vocabulary"] is None and "mask" not in processor.features


def _first_fault(faults: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns the fault of each clip's first faulty frame, `(batch,)`; frames are counted from 1."""
    messages = tf.strings.join(["frame ", tf.strings.as_string(numbers + 1), ": ", faults])
    first = tf.argmax(faults != "", axis=1)
    return tf.gather(tf.where(faults == "", "", messages), first, batch_dims=1)
