"""Clips of every kind: which frames are read of them, how they look, and what is said of those that cannot be read."""

import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from mmzoo_datasets import clips
from mmzoo_datasets.clips import ClipError, find_frames, read_frames, spread
from PIL import Image

from mmzoo import DataError


def grey(level: int, size: tuple[int, int] = (16, 16)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


def write_video(path: Path, levels: list[int], codec: str = "mpeg4", size: tuple[int, int] = (32, 32)) -> Path:
    """Writes a video whose frames are grey, each of its own level."""
    return write_pictures(path, [grey(level, size) for level in levels], codec)


def write_pictures(path: Path, pictures: list[Image.Image], codec: str = "mpeg4", change=lambda packets: packets) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "10", "bf": "0", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = *pictures[0].size, "yuv420p"
        packets = [packet for picture in pictures for packet in stream.encode(av.VideoFrame.from_image(picture))]
        container.mux(change([*packets, *stream.encode()]))
    return path


def write_gif(path: Path, levels: list[int]) -> Path:
    first, *rest = map(grey, levels)
    first.save(path, save_all=True, append_images=rest)
    return path


def opened(found: list[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(one)) for one in found]


def levels_of(found: list[bytes]) -> list[float]:
    return [float(np.asarray(one.convert("L")).mean()) for one in opened(found)]


LEVELS = list(range(0, 250, 25))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("c.mp4", "mpeg4"),
        ("c.avi", "mpeg4"),
        ("c.mov", "mpeg4"),
        ("c.mkv", "mpeg4"),
        ("c.webm", "libvpx"),
        ("C", "mpeg4"),
        ("c.m1v", "mpeg1video"),
    ],
)
def test_frames_of_a_video_are_spread_over_it(tmp_path, name, codec):
    path = write_video(tmp_path / (name if "." in name else "c.mp4"), LEVELS, codec).rename(tmp_path / name)
    found = read_frames([path], 4, 256)
    assert [one.format for one in opened(found)] == ["JPEG"] * 4
    np.testing.assert_allclose(levels_of(found), [LEVELS[place] for place in (1, 3, 6, 8)], atol=8)
    np.testing.assert_allclose(levels_of(read_frames([path], 10, 256)), LEVELS, atol=8)


def test_frames_of_an_animation_are_composed(tmp_path):
    path = write_gif(tmp_path / "a.gif", LEVELS)
    found = read_frames([path], 32, 256)
    np.testing.assert_allclose(levels_of(found), LEVELS, atol=2)


def test_transparency_of_an_animation_is_kept(tmp_path):
    pictures = [Image.new("RGBA", (8, 8), (255, 0, 0, alpha)) for alpha in (0, 255)]
    pictures[0].putpixel((0, 0), (255, 0, 0, 255))
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], disposal=2)
    first = opened(read_frames([tmp_path / "a.gif"], 2, 256))[0]
    assert (first.format, first.getpixel((0, 0))[3], first.getpixel((3, 3))[3]) == ("PNG", 255, 0)


def test_a_folder_is_in_natural_order(tmp_path):
    names = ["f10.png", "f2.png", "f1.PNG", "f2.png3.png", "10.png", "9.png"]
    for name in [*names, ".hidden.png", "notes.txt"]:
        grey(0).save(tmp_path / name, "PNG")
    assert [path.name for path in find_frames([tmp_path], 9)] == [
        "9.png",
        "10.png",
        "f1.PNG",
        "f2.png",
        "f2.png3.png",
        "f10.png",
    ]
    assert [path.name for path in find_frames([tmp_path], 2)] == ["10.png", "f2.png3.png"]


@pytest.mark.parametrize("count", [1, 4, 5, 99])
def test_places_are_the_middles_of_equal_segments(count):
    middles = np.unique(np.floor((np.arange(4) + 0.5) * count / 4)) if count > 4 else np.arange(count)
    assert spread(count, 4) == middles.tolist()


def test_small_pictures_are_given_as_they_are_and_large_ones_reduced(tmp_path):
    grey(10, (20, 10)).save(tmp_path / "1.jpg")
    grey(20, (40, 20)).save(tmp_path / "2.png")
    grey(30, (12, 40)).save(tmp_path / "3.bmp")
    found = read_frames(find_frames([tmp_path], 8), 8, 10)
    assert found[0] == (tmp_path / "1.jpg").read_bytes()
    assert [one.size for one in opened(found)] == [(20, 10), (20, 10), (10, 33)]
    np.testing.assert_allclose(levels_of(found), [10, 20, 30], atol=2)


def test_a_video_is_reduced_to_its_shorter_side(tmp_path):
    path = write_video(tmp_path / "a.mp4", [0, 100], size=(64, 32))
    assert [one.size for one in opened(read_frames([path], 8, 16))] == [(32, 16)] * 2


def test_a_video_is_turned_as_it_says(tmp_path):
    upright = Image.new("RGB", (32, 64))
    upright.paste((255, 255, 255), (0, 0, 32, 32))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv420p"
        stream.set_display_rotation(-90)  # clockwise, as it is shown
        container.mux(stream.encode(av.VideoFrame.from_image(upright.rotate(90, expand=True))))
        container.mux(stream.encode())
    [found] = opened(read_frames([tmp_path / "a.mp4"], 1, 256))
    np.testing.assert_allclose(np.asarray(found, np.float32), np.asarray(upright), atol=16)


def test_one_picture_is_a_clip_of_one_frame(tmp_path):
    grey(50).save(tmp_path / "a.png")
    assert read_frames([tmp_path / "a.png"], 8, 256) == [(tmp_path / "a.png").read_bytes()]


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_of_16_bits_the_upper_byte_is_kept(tmp_path, order):
    levels = np.repeat([[0x0000, 0x40FF, 0xC000, 0xFFFF]], 8, axis=0).repeat(8, axis=1).astype(order)
    Image.fromarray(levels).save(tmp_path / "a.tif")
    [found] = opened(read_frames([tmp_path / "a.tif"], 8, 256))
    np.testing.assert_allclose(np.asarray(found)[4, 4::8, 0], [0x00, 0x40, 0xC0, 0xFF], atol=3)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_what_has_no_known_white(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / "a.tif")
    with pytest.raises(ClipError) as caught:
        read_frames([tmp_path / "a.tif"], 8, 256)
    what = f"its mode is {mode}, expected 8 or 16 bits a sample"
    assert str(caught.value) == f"the file {tmp_path / 'a.tif'} cannot be read: {what}"


def test_of_a_photo_with_a_preview_the_photo_alone_is_a_frame(tmp_path):
    grey(50).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[grey(200)])
    np.testing.assert_allclose(levels_of(read_frames([tmp_path / "a.jpg"], 8, 256)), [50], atol=2)


def test_of_a_long_animation_few_frames_are_in_memory(tmp_path, monkeypatch):
    path = write_gif(tmp_path / "a.gif", [place % 250 for place in range(1000)])
    encoded = []
    monkeypatch.setattr(clips, "_encode", lambda picture, side: encoded.append(picture.tell()) or b"x")
    assert read_frames([path], 3, 256) == [b"x"] * 3
    assert encoded == [166, 500, 833]


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage(folder: Path, what: str) -> Path:
    path = folder / what
    if what == "text.mp4":
        path.write_text("this is no video\n" * 100)
    elif what == "empty.mp4":
        path.touch()
    elif what == "list.mp4":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
    elif what == "half.gif":
        half(write_gif(path, LEVELS))
    else:
        noise = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
        half(write_pictures(path, list(map(Image.fromarray, noise))))
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("text.mp4", "the file {} is neither a picture nor a video: Invalid "),
        ("empty.mp4", "the file {} is neither a picture nor a video: Invalid "),
        ("list.mp4", "the file {} is neither a picture nor a video: Invalid "),
        ("half.mp4", "the file {} is neither a picture nor a video: Invalid "),
        ("half.avi", "the file {} breaks off after "),
        ("half.gif", " of the file {} cannot be decoded: "),
    ],
)
def test_what_cannot_be_decoded(tmp_path, what, message):
    path = damage(tmp_path, what)
    with pytest.raises(ClipError) as caught:
        read_frames([path], 8, 256)
    assert message.format(path) in str(caught.value)


def test_frames_that_do_not_decode(tmp_path):
    path = write_pictures(tmp_path / "a.mkv", [grey(0, (32, 32))] * 20, "libx264", lambda packets: packets[1:])
    with pytest.raises(ClipError, match=f"^only 10 of the 19 frames of the file {path} can be decoded$"):
        read_frames([path], 8, 256)


def test_frames_that_a_video_does_not_show_are_not_counted(tmp_path):
    def begin_later(packets):
        for packet in packets:
            packet.pts, packet.dts = packet.pts - 5, packet.dts - 5
        return packets

    path = write_pictures(tmp_path / "a.mov", [grey(level, (32, 32)) for level in LEVELS], "libx264", begin_later)
    np.testing.assert_allclose(levels_of(read_frames([path], 2, 256)), [LEVELS[5 + place] for place in (1, 3)], atol=8)


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no such pixels"), "no such pixels"), (MemoryError(), "MemoryError")]
)
def test_frames_that_decode_to_no_picture(tmp_path, monkeypatch, error, reason):
    path = write_video(tmp_path / "a.mp4", LEVELS)

    def fail(picture, side):
        raise error

    monkeypatch.setattr(clips, "_encode", fail)
    with pytest.raises(ClipError, match=f"^frame 2 of the file {path} cannot be decoded: {reason}$"):
        read_frames([path], 4, 256)


def test_a_folder_with_something_that_is_no_picture(tmp_path):
    grey(0).save(tmp_path / "1.png")
    (tmp_path / "2.png").write_text("no picture")
    with pytest.raises(ClipError, match=f"^the file {tmp_path / '2.png'} is not a picture$"):
        read_frames(find_frames([tmp_path], 8), 8, 256)


def test_an_empty_folder(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ClipError, match=rf"^the folder {tmp_path} holds no picture \(.jpg, .*\)$"):
        find_frames([tmp_path], 8)


def test_sound_alone(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ClipError, match=r"holds no video$"):
        read_frames([tmp_path / "a.mp4"], 8, 256)


def test_frames_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "LIMIT", 255)
    path = write_gif(tmp_path / "a.gif", [0, 100])
    with pytest.raises(ClipError, match=r"has frames of 16 x 16, more than 0 million pixels$"):
        read_frames([path], 8, 256)


def test_without_pyav_the_build_stops(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_text("x")
    with pytest.raises(DataError) as caught:
        read_frames([tmp_path / "a.mp4"], 8, 256)
    assert str(caught.value) == (
        f"the file {tmp_path / 'a.mp4'} is not a picture, and decoding videos needs PyAV: "
        "import of av halted; None in sys.modules.\nRun pip install 'mmzoo-datasets[video]'."
    )
