"""The encoded frames of a clip -> some of them as pixels, spread over the clip, the same in training and serving."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import tensorflow as tf

from mmzoo import FeatureSpec, MmzooError, PositiveInt, Processed, Processor, ProcessorPart
from mmzoo_video.gif import read_gifs
from mmzoo_video.sampling import chosen_places

NO_FRAME = "there is no frame"


class Frames(Processor):
    """Decodes some of a clip's frames, evenly spread over it, each as a picture.

    Gives what `picture` gives of each frame, `(batch, frames, ...)`, and a mask `(batch, frames)` of the frames that are there.
    A clip of more frames is cut into `frames` equal segments, and the middle frame of each is looked at; the others are not
    decoded. A shorter clip is filled up with zeros, which are masked.

    A raw value is a list of encoded pictures of any sizes. An empty one is a missing frame, and masked; the clip ends with the
    last one that is not. A frame that cannot be read fails its own clip alone.

    Args:
        picture: What reads one frame, such as `{type: image, size: 64}`.
        frames: How many frames are looked at.
        stride: Looks at frames so far from each other, in the middle of the clip; 1 for neighbours. If not given, they are
            spread over the whole clip.
        animated: A raw value is an animated GIF, not a list. Its frames are those that a browser shows; what is transparent in
            them is so in a PNG for `picture`. One whose frames have more than 64 million pixels in all is not decoded.
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
            what = f"frames: option picture: expected a processor of encoded pictures, '{self.picture.name}' is none."
            raise MmzooError(f"{what}\nGive one such as {{type: image, size: 64}}.")
        self.frames, self.stride = frames, stride
        if animated:
            self.raw = tf.TensorSpec((), tf.string)

    @property
    def features(self) -> FeatureSpec:
        known = self.picture.features
        return known | {"shape": [self.frames, *known["shape"]], "mask": [self.frames]}

    def __call__(self, raw: tf.Tensor) -> Processed:
        encoded, places, fault = self._seen(raw)
        there = encoded != ""
        at, shape = tf.where(there), tf.shape(encoded, tf.int64)
        done = self.picture(tf.boolean_mask(encoded, there))
        features = tf.scatter_nd(at, done.features, tf.concat([shape, self.picture.features["shape"]], axis=0))
        fault = tf.where(fault == "", _first(tf.scatter_nd(at, done.fault, shape), places), fault)
        # What is damaged is not absent, so that its fault is not passed over.
        there |= (fault != "")[:, None]
        return Processed(features, tf.where(tf.reduce_any(there, axis=1), fault, NO_FRAME), there)

    def adapt(self, values: tf.data.Dataset) -> None:
        frames = values.map(lambda clip: self._seen(clip[None])[0][0]).unbatch()
        self.picture.adapt(frames.filter(lambda frame: frame != ""))

    def save(self, folder: Path) -> None:
        self.picture.save(folder)

    def load(self, folder: Path) -> None:
        self.picture.load(folder)

    def _seen(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Gives the frames that are looked at `(batch, frames)`, encoded, their places, and why a clip cannot be read."""
        if len(raw.shape) == 1:
            return read_gifs(raw, self._places, self.frames)
        raw = tf.pad(raw, [[0, 0], [0, 1]], constant_values="")  # the frame that stands for none
        none = tf.shape(raw)[1] - 1
        places = self._places(tf.reduce_max(tf.where(raw == "", 0, tf.range(1, none + 2)), axis=1))
        return tf.gather(raw, tf.where(places < 0, none, places), batch_dims=1), places, tf.fill(tf.shape(raw)[:1], "")

    def _places(self, lengths: tf.Tensor) -> tf.Tensor:
        return chosen_places(lengths, self.frames, self.stride)


def _reads_picture(processor: Processor) -> bool:
    """Tells whether a processor reads one picture; one with a mask of its own, as of frames, would lose it here."""
    if not processor.from_file or processor.raw != tf.TensorSpec((), tf.string):
        return False
    return processor.features["vocabulary"] is None and "mask" not in processor.features


def _first(faults: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Gives the fault of each clip's first faulty frame, `(batch,)`; frames are counted from 1."""
    said = tf.strings.join(["frame ", tf.strings.as_string(places + 1), ": ", faults])
    first = tf.argmax(faults != "", axis=1)
    return tf.gather(tf.where(faults == "", "", said), first, batch_dims=1)
