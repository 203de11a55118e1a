"""Hostile raw values for `hostile.py`: damaged and lying pictures and GIFs, texts that are hard or no texts."""

import io
import random
import struct
import zlib
from typing import Any


def picture(draw: random.Random, size: int = 24) -> Any:
    from PIL import Image

    return Image.frombytes("RGB", (2, 2), draw.randbytes(12)).resize((size, size))


def saved(image: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def animated(draw: random.Random, **options: Any) -> bytes:
    first, *others = [picture(draw) for _ in range(5)]
    return saved(first, "GIF", save_all=True, append_images=others, duration=50, **options)


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    """Returns a PNG whose header may say anything; its check sums are right."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def interlaced(draw: random.Random, side: int = 24) -> bytes:
    """Returns a PNG in Adam7, which Pillow reads and does not write."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:
        for _ in range(top, side, down):
            rows += b"\0" + draw.randbytes(3 * len(range(left, side, across)))
    return png(side, side, rows, interlaced=1)


def encoded_pictures(draw: random.Random) -> list[bytes]:
    """Returns pictures of many forms, all good or at least well-meant."""
    from PIL import Image

    image, exif = picture(draw), Image.Exif()
    exif[0x0112] = 6
    deep = Image.frombytes("I;16", (24, 24), draw.randbytes(2 * 24 * 24))
    found = [saved(image, form) for form in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")]
    found += [saved(image.convert(mode), "PNG") for mode in ("P", "L", "LA", "RGBA", "1")] + [
        saved(deep, "PNG"),
        interlaced(draw),
    ]
    found += [saved(image, "JPEG", progressive=True), saved(image, "JPEG", exif=exif), saved(image.convert("CMYK"), "JPEG")]
    found += [saved(image.convert("L"), "JPEG"), saved(image.convert("P"), "BMP"), saved(image.convert("1"), "BMP")]
    return [*found, animated(draw), saved(image.convert("RGBA"), "BMP")]


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Returns encoded bytes with one kind of damage."""
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.randrange(1, 64))
    changed = bytearray(data)
    kind = draw.randrange(6)
    if kind == 0:
        return data[:start]
    if kind == 1:  # in the header more often than not
        for _ in range(draw.randrange(1, 20)):
            changed[draw.randrange(draw.choice((len(data), min(len(data), 64))))] ^= 1 << draw.randrange(8)
    elif kind == 2:
        changed[start:end] = draw.randbytes(end - start)
    elif kind == 3:
        del changed[start:end]
    elif kind == 4:
        changed[start:start] = changed[start:end] * draw.randrange(1, 9)
    else:
        changed[start:end] = draw.choice((b"\0", b"\xff", b"\x7f")) * (end - start)
    return bytes(changed)


def lying(draw: random.Random, pictures: list[bytes]) -> bytes:
    """Returns a picture whose header claims another size than it has, often a huge one."""
    wide, high = (draw.choice((0, 1, 25, 7999, 8000, 2**14, 2**16 - 1, 2**27, 2**31 - 1, 2**32 - 1)) for _ in "wh")
    data = draw.choice(pictures)
    if data.startswith(b"\x89PNG"):
        rows = draw.randbytes(draw.randrange(2_000))
        return png(wide, high, rows, draw.choice((1, 2, 4, 8, 16)), draw.choice((0, 2, 3, 4, 6)), draw.randrange(2))
    if data.startswith(b"\xff\xd8"):
        marker = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        return data[: marker + 5] + struct.pack(">HH", high & 0xFFFF, wide & 0xFFFF) + data[marker + 9 :]
    if data.startswith(b"GIF"):
        size, frame = struct.pack("<HH", wide & 0xFFFF, high & 0xFFFF), data.find(b",", 13)
        return data[: frame + 5] + size + data[frame + 9 :] if draw.random() < 0.5 else data[:6] + size + data[10:]
    return data[:18] + struct.pack("<II", wide, high) + data[26:] if data.startswith(b"BM") else damaged(draw, data)


HEADS = (
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0",
    b"GIF89a",
    b"BM",
    b"RIFF\0\0\0\0WEBP",
    b"II*\0",
)


class Hostile:
    """Makes hostile raw values."""

    def __init__(self, seed: int):
        self.draw = random.Random(seed)
        self.pictures = encoded_pictures(self.draw)
        self.gifs = [animated(self.draw), animated(self.draw, disposal=2, transparency=0), animated(self.draw, loop=0)]
        self.bomb = png(8000, 8000, bytes(8000 * 1001), depth=1, colour=0)

    def picture(self, seeds: list[bytes] | None = None) -> bytes:
        draw, seeds = self.draw, seeds or self.pictures
        chance = draw.random()
        if chance < 0.6:
            data = draw.choice(seeds)
            for _ in range(draw.randrange(1, 4)):
                data = damaged(draw, data) if data else data
            return data
        if chance < 0.85:
            return lying(draw, seeds)
        if chance < 0.97:
            return draw.choice(HEADS) + draw.randbytes(draw.randrange(300))
        if chance < 0.98:
            return draw.choice(HEADS) + draw.randbytes(1_000_000)
        return draw.choice(
            (b"", b"\0", self.text().encode("utf-8", "replace"), b"".join(seeds[:2]), self.bomb if chance > 0.998 else b" ")
        )

    def gif(self) -> bytes:
        return self.picture(self.gifs if self.draw.random() < 0.9 else None)

    def text(self) -> str:
        draw = self.draw
        blocks = (
            (0x20, 0x7F),
            (0xA0, 0x500),
            (0x590, 0x780),
            (0x900, 0xE80),
            (0x4E00, 0x4F00),
            (0x1F300, 0x1FB00),
            (0x20, 0x10FFFF),
        )
        low, high = draw.choice(blocks)
        letters = [chr(draw.randrange(low, high)) for _ in range(draw.randrange(60))]
        marks = (
            "\u200d",
            "\u202e",
            "\u200f",
            "\u0301",
            "\ufe0f",
            "\U0001f3fd",
            "\0",
            "\ufeff",
            "\u2028",
            " ",
            "\n",
            "\ud800",
            "\udc00",
        )
        return "".join(letter + (draw.choice(marks) if draw.random() < 0.3 else "") for letter in letters)

    def words(self) -> bytes:
        draw, chance = self.draw, self.draw.random()
        data = self.text().encode("utf-8", "surrogatepass")
        if chance < 0.5:
            return data
        if chance < 0.75:
            return damaged(draw, data) if data else data
        if chance < 0.9:
            return draw.randbytes(draw.randrange(200))
        if chance < 0.98:
            return draw.choice(
                (b"", b"\0", b" " * 99, b"a\0b", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"%s%n")
            )
        once = draw.choice(("a", "a ", "é", "e\u0301", "\u0301", "👩\u200d", "\u202eא", "1.", "'", "\0", "界", " ")).encode()
        return once * (100_000 // len(once.decode()))
