"""A store of decoded clips: each clip is decoded once and its frames are kept on disk for all builds. Imports no TensorFlow."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.ipc  # not loaded with pyarrow

from mmzoo import DataError, Screen
from mmzoo_datasets.clips import ClipError, PassingError, find_frames, read_frames

FORMAT = 3
"""Version of the stored format; part of the name of every file."""


class Clip(NamedTuple):
    """The source and the stored frames of a clip.

    Args:
        files: The files to read the frames from.
        kept: The file with the stored frames; empty if the clip's files cannot be found or read now.
        fault: Why they cannot be found or read; empty otherwise.
    """

    files: Sequence[Path]
    kept: str
    fault: str = ""


Clips = dict[tuple[str, ...], Clip]
"""Paths of a clip -> clip."""


def data_folder() -> Path:
    """Returns the data folder of TFDS."""
    from tensorflow_datasets.core.constants import DATA_DIR  # slow to import, and seldom needed

    return Path(DATA_DIR).expanduser()


class ClipStore:
    """Stores the frames of clips in a folder, one file per clip.

    The name of the file is a hash of the paths, sizes and modification times of the clip's own files.

    Args:
        folder: Folder of the stored frames.
        frames: Largest number of frames of a clip.
        side: Largest length of a frame's shorter side in pixels; larger frames are resized.
    """

    def __init__(self, folder: Path, frames: int, side: int):
        self.folder, self.frames, self.side = folder, frames, side

    def find(self, paths: Sequence[str]) -> Clip:
        """Finds the files of a clip and the name of its stored frames, without reading either."""
        try:
            files = find_frames([Path(path) for path in paths], self.frames)
            facts = [(str(file), (status := file.stat()).st_size, status.st_mtime_ns) for file in files]
        except ClipError as error:
            return Clip([], "", str(error))
        except FileNotFoundError as error:
            return Clip([], "", f"there is no file {error.filename}")
        except (OSError, ValueError) as error:  # ValueError: a path that no file can have
            return Clip([], "", f"the file {paths[0]} cannot be read: {getattr(error, 'strerror', None) or error}")
        name = blake2b(repr((FORMAT, self.frames, self.side, facts)).encode(), digest_size=16).hexdigest()
        return Clip(files, str(self.folder / f"{name}.clip"))

    def missing(self, clips: Clips) -> Clips:
        """Returns the clips whose frames are not stored yet.

        Raises:
            DataError: The folder cannot be read.
        """
        try:
            return {key: clip for key, clip in clips.items() if clip.kept and not Path(clip.kept).exists()}
        except OSError as error:
            raise self._failed(error) from error

    def keep(self, clips: Clips) -> Clips:
        """Decodes clips and stores their frames, with a progress bar. For a damaged clip, stores the reason instead.

        Returns:
            The clips. For one that cannot be read now, nothing is stored, and `fault` has the reason.

        Raises:
            DataError: The frames cannot be stored, or a package for decoding is missing.
        """
        pool = ThreadPoolExecutor(os.cpu_count())  # decoders release the GIL
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
            values = [b"", *read_frames(clip.files, self.frames, self.side)]  # the reason of a fault, then the frames
        except PassingError as error:
            return Clip([], "", str(error))
        except ClipError as error:
            values = [str(error).encode(errors="backslashreplace")]
        part = Path(f"{clip.kept}.{uuid4().hex}")
        try:
            batch = pa.record_batch([pa.array(values, pa.large_binary())], ["values"])
            with pa.ipc.new_file(part, batch.schema) as file:
                file.write(batch)
            part.replace(clip.kept)
        finally:
            part.unlink(missing_ok=True)  # if writing failed
        return clip


def read_kept(kept: str) -> tuple[list[bytes], str]:
    """Reads the stored frames of a clip, and the reason if there are none. `kept` may be empty: a clip without frames."""
    if not kept:
        return [], ""
    try:
        (column,) = pa.ipc.open_file(Path(kept).read_bytes()).read_all().columns
        fault, *frames = column.to_pylist()
    except (OSError, ValueError, pa.ArrowException):
        return [], f"the file {kept}, which holds its frames, is gone or damaged; remove it and build again"
    return frames, fault.decode()
