"""A clip -> some of its frames as encoded pictures: of a video, an animation, a folder. Light: no TensorFlow."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmzoo import DataError, natural_key

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Suffixes of the files that are frames, in a folder."""
LIMIT = 64_000_000
"""The most pixels of a frame."""
SERVED = {"JPEG": ("L", "RGB"), "PNG": ("L", "RGB", "RGBA")}
"""Formats and modes of pictures that are given as they are."""
QUALITY = 90
OPENED = {
    "format_whitelist": "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,ogg",
    "protocol_whitelist": "file",
}
"""What FFmpeg may read: no lists of other files, and nothing from a network."""
WHOLE = 0.9
"""The least share of the promised frames that a whole video has; some writers count frames that are left out or not shown."""


class ClipError(Exception):
    """A clip that cannot be read; says why."""


class PassingError(ClipError):
    """A clip that cannot be read now, for a reason outside it, such as permissions or too little memory; says why."""


def find_frames(paths: Sequence[Path], frames: int) -> list[Path]:
    """Finds the files of a clip: those of pictures are spread evenly over it, in the natural order of a folder's names.

    Args:
        paths: A folder, or files.
        frames: The most pictures that are taken.

    Raises:
        ClipError: There is no such file, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            names = [one.name for one in path.iterdir() if one.suffix.lower() in PICTURES and not one.name.startswith(".")]
            if not names:
                raise ClipError(f"the folder {path} holds no picture ({', '.join(PICTURES)})")
            found += [path / name for name in sorted(names, key=natural_key)]
        else:
            found.append(path)
    return [found[place] for place in spread(len(found), frames)]


def read_frames(files: Sequence[Path], frames: int, side: int) -> list[bytes]:
    """Reads frames of a clip, evenly spread over it, as JPEG, or PNG where something is transparent.

    Args:
        files: One video, animation or picture, or the pictures that are its frames.
        frames: The most that are read.
        side: Pixels to which a longer shorter side is reduced; a JPEG or PNG file that is small enough is given as it is.

    Raises:
        ClipError: A file is damaged, or neither a picture nor a video.
        DataError: PyAV is needed and not installed.
    """
    if len(files) > 1:
        return [_read_picture(file, side) for file in files]
    try:
        with Image.open(files[0]) as picture:
            kind, count = picture.format, getattr(picture, "n_frames", 1)
    except UnidentifiedImageError:
        kind, count = None, 0
    except Exception as error:  # decoders raise what they like
        raise _fault(f"the file {files[0]} cannot be read", error) from error
    if kind in (None, "MPEG"):  # Pillow knows a stream of MPEG, but does not decode it
        return list(_read_video(files[0], frames, side))
    still = count == 1 or kind == "MPO"  # a camera's further pictures are previews, or what the other eye sees
    return [_read_picture(files[0], side)] if still else list(_read_animation(files[0], frames, side))


def spread(count: int, most: int) -> list[int]:
    """Chooses places, of each of `most` equal segments the middle: `floor((2 i + 1) count / (2 most))`; all of fewer."""
    return [(2 * number + 1) * count // (2 * most) for number in range(most)] if count > most else list(range(count))


def _read_picture(file: Path, side: int) -> bytes:
    try:
        with Image.open(file) as picture:
            if min(picture.size) <= side and picture.mode in SERVED.get(picture.format or "", ()):
                return file.read_bytes()
            _check_size(file, *picture.size)
            picture.draft("RGB", (side, side))
            return _encode(picture, side)
    except ClipError:
        raise
    except UnidentifiedImageError as error:
        raise ClipError(f"the file {file} is no picture") from error
    except Exception as error:  # decoders raise what they like
        raise _fault(f"the file {file} cannot be read", error) from error


def _read_animation(file: Path, frames: int, side: int) -> Iterator[bytes]:
    """Reads an animated picture, its frames one by one as Pillow composes them.

    What a GIF clears is transparent, as a browser shows it, if the GIF names a transparent colour; if not, Pillow fills it with
    the GIF's background colour.
    """
    place = 0
    try:
        with Image.open(file) as picture:
            _check_size(file, *picture.size)
            for place in spread(getattr(picture, "n_frames", 1), frames):
                picture.seek(place)
                yield _encode(picture, side)
    except ClipError:
        raise
    except Exception as error:  # decoders raise what they like
        raise _fault(f"frame {place + 1} of the file {file} cannot be decoded", error) from error


def _read_video(file: Path, frames: int, side: int) -> Iterator[bytes]:
    """Reads a video; each frame up to the last that is wanted is decoded, as most are stored as changes."""
    av, done = _import_av(file), 0
    try:
        count = _count_frames(av, file)
        wanted = spread(count, frames)
        with av.open(str(file), options=OPENED) as container:
            for frame in container.decode(video=0):
                if done in wanted:
                    shown = frame.to_image(**_reduced(frame.width, frame.height, side))
                    yield _encode(shown.rotate(frame.rotation, expand=True), side)
                done += 1
                if done > wanted[-1]:
                    return
    except ClipError:
        raise
    except Exception as error:  # decoders raise what they like
        raise _fault(f"frame {done + 1} of the file {file} cannot be decoded", error) from error
    if done < WHOLE * count:
        raise ClipError(f"only {done} of the {count} frames of the file {file} can be decoded")


def _count_frames(av: Any, file: Path) -> int:
    """Counts the frames that are shown without decoding them."""
    try:
        container = av.open(str(file), options=OPENED)
    except av.FFmpegError as error:
        raise _fault(f"the file {file} is neither a picture nor a video", error) from error
    with container:
        if not container.streams.video:
            raise ClipError(f"the file {file} holds no video")
        stream = container.streams.video[0]
        _check_size(file, stream.width, stream.height)
        hidden = [packet.is_discard for packet in container.demux(stream) if packet.size > 0]
        if len(hidden) < max(WHOLE * stream.frames, 1):
            raise ClipError(f"the file {file} breaks off after {len(hidden)} of {stream.frames or 'its'} frames")
    return hidden.count(False)


def _import_av(file: Path) -> Any:
    try:
        import av
    except ImportError as error:
        what = f"the file {file} is no picture, and decoding videos needs PyAV: {error}"
        raise DataError(f"{what}.\nRun pip install 'mmzoo-datasets[video]'.") from error
    return av


def _encode(picture: Image.Image, side: int) -> bytes:
    if picture.mode in ("I", "F"):
        raise ValueError(f"its mode is {picture.mode}, expected 8 or 16 bits a sample")
    if picture.mode.startswith("I;16"):  # Pillow would cut off what is above 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    size = _reduced(*picture.size, side)
    target = io.BytesIO()
    picture = picture.resize((size["width"], size["height"]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    picture.save(target, "PNG") if picture.mode == "RGBA" else picture.save(target, "JPEG", quality=QUALITY)
    return target.getvalue()


def _reduced(width: int, height: int, side: int) -> dict[str, int]:
    """Gives the size at which the shorter side is `side`; what is smaller stays as it is."""
    scale = min(1.0, side / min(width, height))
    return {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}


def _check_size(file: Path, width: int, height: int) -> None:
    if width * height > LIMIT:
        raise ClipError(f"the file {file} has frames of {width} x {height}, more than {LIMIT // 10**6} million pixels")


def _fault(what: str, error: Exception) -> ClipError:
    """Says what failed and why; only an error that comes from the system has a number."""
    passing = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return (PassingError if passing else ClipError)(f"{what}: {reason}")
