"""A clip (video, animation or folder of pictures) -> evenly spread frames as encoded pictures. Imports no TensorFlow."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmzoo import DataError, natural_key

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Suffixes of the files in a folder that are frames."""
LIMIT = 64_000_000
"""Largest number of pixels of a frame."""
UNCHANGED = {"JPEG": ("L", "RGB"), "PNG": ("L", "RGB", "RGBA")}
"""Formats and modes of pictures whose bytes are returned unchanged if they are small enough."""
QUALITY = 90
"""JPEG quality of encoded frames."""
AV_OPTIONS = {
    "format_whitelist": "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,ogg",
    "protocol_whitelist": "file",
}
"""What FFmpeg may read: no playlists, which name other files, and nothing from a network."""
COMPLETE = 0.9
"""Smallest share of the announced frames in a complete video; some encoders also announce frames that are dropped or hidden."""


class ClipError(Exception):
    """A clip cannot be read; the message is the reason."""


class PassingError(ClipError):
    """A clip cannot be read now, for a reason outside the clip, such as permissions or too little memory."""


def find_frames(paths: Sequence[Path], frames: int) -> list[Path]:
    """Finds the files of a clip; pictures are evenly spread over it, in the natural order of the names in a folder.

    Args:
        paths: A folder, or files.
        frames: Largest number of files to return.

    Raises:
        ClipError: A folder has no pictures.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            names = [file.name for file in path.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")]
            if not names:
                raise ClipError(f"the folder {path} holds no picture ({', '.join(PICTURES)})")
            found += [path / name for name in sorted(names, key=natural_key)]
        else:
            found.append(path)
    return [found[place] for place in spread(len(found), frames)]


def read_frames(files: Sequence[Path], frames: int, side: int) -> list[bytes]:
    """Reads evenly spread frames of a clip, as JPEG, or as PNG if a frame has transparency.

    Args:
        files: One video, animation or picture, or the pictures that are its frames.
        frames: Largest number of frames.
        side: Largest length of a frame's shorter side in pixels; larger frames are resized. The bytes of a smaller JPEG or PNG
            file are returned unchanged.

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
    except Exception as error:  # decoders raise any exception
        raise _fault(f"the file {files[0]} cannot be read", error) from error
    if kind in (None, "MPEG"):  # Pillow identifies an MPEG stream, but cannot decode it
        return list(_read_video(files[0], frames, side))
    still = count == 1 or kind == "MPO"  # the other pictures of an MPO file are previews, or the view of the other eye
    return [_read_picture(files[0], side)] if still else list(_read_animation(files[0], frames, side))


def spread(count: int, most: int) -> list[int]:
    """Returns at most `most` evenly spread places: the middles of equal segments, `floor((2 i + 1) count / (2 most))`."""
    return [(2 * i + 1) * count // (2 * most) for i in range(most)] if count > most else list(range(count))


def _read_picture(file: Path, side: int) -> bytes:
    try:
        with Image.open(file) as picture:
            if min(picture.size) <= side and picture.mode in UNCHANGED.get(picture.format or "", ()):
                return file.read_bytes()
            _check_size(file, *picture.size)
            picture.draft("RGB", (side, side))
            return _encode(picture, side)
    except ClipError:
        raise
    except UnidentifiedImageError as error:
        raise ClipError(f"the file {file} is not a picture") from error
    except Exception as error:  # decoders raise any exception
        raise _fault(f"the file {file} cannot be read", error) from error


def _read_animation(file: Path, frames: int, side: int) -> Iterator[bytes]:
    """Reads the frames of an animated picture as Pillow composes them.

    Areas that a GIF clears are transparent, as in a browser, if the GIF declares a transparent colour. Otherwise Pillow fills
    them with the background colour of the GIF.
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
    except Exception as error:  # decoders raise any exception
        raise _fault(f"frame {place + 1} of the file {file} cannot be decoded", error) from error


def _read_video(file: Path, frames: int, side: int) -> Iterator[bytes]:
    """Reads frames of a video; decodes all frames up to the last one needed, because most depend on earlier ones."""
    av, done = _import_av(file), 0
    try:
        count = _count_frames(av, file)
        wanted = spread(count, frames)
        with av.open(str(file), options=AV_OPTIONS) as container:
            for frame in container.decode(video=0):
                if done in wanted:
                    picture = frame.to_image(**_resized(frame.width, frame.height, side))
                    yield _encode(picture.rotate(frame.rotation, expand=True), side)
                done += 1
                if done > wanted[-1]:
                    return
    except ClipError:
        raise
    except Exception as error:  # decoders raise any exception
        raise _fault(f"frame {done + 1} of the file {file} cannot be decoded", error) from error
    if done < COMPLETE * count:
        raise ClipError(f"only {done} of the {count} frames of the file {file} can be decoded")


def _count_frames(av: Any, file: Path) -> int:
    """Counts the visible frames, without decoding them."""
    try:
        container = av.open(str(file), options=AV_OPTIONS)
    except av.FFmpegError as error:
        raise _fault(f"the file {file} is neither a picture nor a video", error) from error
    with container:
        if not container.streams.video:
            raise ClipError(f"the file {file} holds no video")
        stream = container.streams.video[0]
        _check_size(file, stream.width, stream.height)
        hidden = [packet.is_discard for packet in container.demux(stream) if packet.size > 0]
        if len(hidden) < max(COMPLETE * stream.frames, 1):
            raise ClipError(f"the file {file} breaks off after {len(hidden)} of {stream.frames or 'its'} frames")
    return hidden.count(False)


def _import_av(file: Path) -> Any:
    try:
        import av
    except ImportError as error:
        what = f"the file {file} is not a picture, and decoding videos needs PyAV: {error}"
        raise DataError(f"{what}.\nRun pip install 'mmzoo-datasets[video]'.") from error
    return av


def _encode(picture: Image.Image, side: int) -> bytes:
    if picture.mode in ("I", "F"):
        raise ValueError(f"its mode is {picture.mode}, expected 8 or 16 bits a sample")
    if picture.mode.startswith("I;16"):  # Pillow would clip values above 255
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    size = _resized(*picture.size, side)
    target = io.BytesIO()
    picture = picture.resize((size["width"], size["height"]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    picture.save(target, "PNG") if picture.mode == "RGBA" else picture.save(target, "JPEG", quality=QUALITY)
    return target.getvalue()


def _resized(width: int, height: int, side: int) -> dict[str, int]:
    """Returns the size with a shorter side of at most `side`."""
    scale = min(1.0, side / min(width, height))
    return {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}


def _check_size(file: Path, width: int, height: int) -> None:
    if width * height > LIMIT:
        raise ClipError(f"the file {file} has frames of {width} x {height}, more than {LIMIT // 10**6} million pixels")


def _fault(what: str, error: Exception) -> ClipError:
    """Makes the error for what failed, with the reason. An error with an `errno` comes from the system, not from the clip."""
    passing = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None)
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return (PassingError if passing else ClipError)(f"{what}: {reason}")
