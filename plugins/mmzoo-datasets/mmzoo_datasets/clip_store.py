"""Frames of clips, kept on this machine: a clip is decoded once, whatever builds are made of it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import tensorflow as tf

from mmzoo import DataError, Screen
from mmzoo_datasets.clips import ClipError, PassingError, find_frames, read_frames

FORMAT = 2
"""Changes where what is kept of a clip changes."""


class Clip(NamedTuple):
    """Where a clip's frames are kept.

    Args:
        files: What they are read from.
        kept: The file that holds them; empty if the clip's files cannot be found or read now.
        fault: Why not.
    """

    files: Sequence[Path]
    kept: str
    fault: str = ""


Clips = dict[tuple[str, ...], Clip]
"""Clips by their paths."""


class ClipStore:
    """Keeps frames of clips in a folder, a file for each clip, named by paths, sizes and times of the clip's own files.

    Args:
        folder: Where they are kept.
        frames: The most frames of a clip.
        side: Pixels to which a longer shorter side is reduced.
    """

    def __init__(self, folder: Path, frames: int, side: int):
        self.folder, self.frames, self.side = folder, frames, side

    def find(self, paths: Sequence[str]) -> Clip:
        """Finds a clip's files and the place of its frames; reads none."""
        try:
            files = find_frames([Path(path) for path in paths], self.frames)
            facts = [(str(file), (known := file.stat()).st_size, known.st_mtime_ns) for file in files]
        except ClipError as error:
            return Clip([], "", str(error))
        except FileNotFoundError as error:
            return Clip([], "", f"there is no file {error.filename}")
        except (OSError, ValueError) as error:  # of a path that no file can have, ValueError
            return Clip([], "", f"the file {paths[0]} cannot be read: {getattr(error, 'strerror', None) or error}")
        name = blake2b(repr((FORMAT, self.frames, self.side, facts)).encode(), digest_size=16).hexdigest()
        return Clip(files, str(self.folder / f"{name}.clip"))

    def lacking(self, clips: Clips) -> Clips:
        """Gives the clips whose frames are not kept yet.

        Raises:
            DataError: The folder in which they are kept cannot be looked into.
        """
        try:
            return {key: clip for key, clip in clips.items() if clip.kept and not Path(clip.kept).exists()}
        except OSError as error:
            raise self._failed(error) from error

    def keep(self, clips: Clips) -> Clips:
        """Decodes clips and keeps their frames, or what is wrong with a clip; shows how many are done and the time left.

        Returns:
            The clips; of one that cannot be read now nothing is kept, and it says why.

        Raises:
            DataError: They cannot be kept, or a package to decode them is missing.
        """
        pool = ThreadPoolExecutor(os.cpu_count())  # decoders leave Python's lock
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            done = Screen().track(pool.map(self._keep, clips.values()), "decode clips", len(clips))
            return dict(zip(clips, done, strict=True))
        except OSError as error:
            raise self._failed(error) from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _failed(self, error: OSError) -> DataError:
        return DataError(f"the frames cannot be kept in {self.folder}: {error.strerror or error}.")

    def _keep(self, clip: Clip) -> Clip:
        try:
            found = [b"", *read_frames(clip.files, self.frames, self.side)]
        except PassingError as error:
            return Clip([], "", str(error))
        except ClipError as error:
            found = [str(error).encode(errors="backslashreplace")]
        part = Path(f"{clip.kept}.{uuid4().hex}")
        try:
            part.write_bytes(tf.io.serialize_tensor(tf.constant(found)).numpy())
            part.replace(clip.kept)
        finally:
            part.unlink(missing_ok=True)  # where writing failed
        return clip


def read_kept(kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads the frames of a clip, `(values,)`, from the file that holds them, and why there are none; of no file none."""
    # An op's error cannot be caught in a graph, but a pipeline in the graph can leave its element out.
    read = tf.data.Dataset.from_tensors(kept).map(lambda path: tf.io.parse_tensor(tf.io.read_file(path), tf.string))
    gone = tf.strings.join(["the file ", kept, ", which holds its frames, is gone or damaged; remove it and build again"])
    none = tf.data.Dataset.from_tensors(tf.where(kept == "", "", gone)[None])
    found = read.ignore_errors().concatenate(none).take(1).get_single_element()
    found = tf.ensure_shape(found, [None])
    return found[1:], found[0]
