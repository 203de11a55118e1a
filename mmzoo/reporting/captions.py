"""Captions -> those that the report draws: spread evenly, chains that differ in one word, far pairs, and questions."""

from collections.abc import Iterator, Sequence

import numpy as np

from mmzoo.contracts.dataset import ROW
from mmzoo.contracts.raw import plain_values
from mmzoo.data.splits import Data
from mmzoo.evaluation.rows import Row

MAX_EXAMPLES = 5000
"""The most examples whose captions are searched."""
CHAINS, LINKS = 6, 5
"""The most chains of captions that differ in one word, and the most captions of one."""
OPTIONS = 4
"""Captions that a question offers."""

Chain = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""The words before the one that differs, that word in each caption, and the words after it."""


def read_captions(data: Data, split: str, name: str, rows: Sequence[Row]) -> list[list[str]]:
    """Reads the texts of an input, a list for each scored example of a split; without empty ones."""
    wanted = {row["row"] for row in rows[:MAX_EXAMPLES]}
    found = []
    for source, values in data.raw[split].examples(name).map(lambda example: (example[ROW], example[name])).as_numpy_iterator():
        if source.decode() in wanted:
            wanted.remove(source.decode())
            found.append([text for text in plain_values(values) if isinstance(text, str) and text.strip()])
        if not wanted:
            break
    return [texts for texts in found if texts]


def spread(items: Sequence[str], count: int) -> list[str]:
    """Returns up to `count` items, spaced evenly."""
    count = min(count, len(items))
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]


def chains(captions: Sequence[str]) -> list[Chain]:
    """Finds captions that differ in exactly one word; each chain is chosen for the words that no chain before it shows."""
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for text in dict.fromkeys(tuple(caption.split()) for caption in captions):
        for place, word in enumerate(text):
            places.setdefault((text[:place], text[place + 1 :]), []).append(word)
    left = {frame: words for frame, words in places.items() if len(words) > 1}
    found: list[Chain] = []
    shown: set[str] = set()
    while left and len(found) < CHAINS:
        (before, after), words = max(left.items(), key=lambda item: _news(item[1], shown))
        if found and not _news(words, shown):
            break
        chosen = sorted(words, key=lambda word: word in shown)[:LINKS]  # a stable sort: new words first
        shown.update(chosen)
        found.append((before, tuple(chosen), after))
        del left[before, after]
    return found


def _news(words: Sequence[str], shown: set[str]) -> int:
    """Counts the words that a chain would show for the first time."""
    return min(LINKS, len(set(words) - shown))


def far_pairs(captions: Sequence[str], count: int) -> list[tuple[str, str]]:
    """Pairs up to `count` captions each with the one that shares the smallest part of its words."""
    among = spread(captions, 64)
    words = {caption: set(caption.split()) for caption in among}
    pairs: list[tuple[str, str]] = []
    for first in spread(captions, 2 * count):
        own = set(first.split())
        others = [caption for caption in among if caption != first and all(caption not in pair for pair in pairs)]
        if others and len(pairs) < count and all(first not in pair for pair in pairs):
            pairs.append((first, min(others, key=lambda other: len(own & words[other]) / len(own | words[other]))))
    return pairs


def questions(captions: Sequence[str], count: int, seed: int = 0) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields captions, each with itself and three other ones, shuffled; none if there are too few.

    Args:
        captions: All different.
        count: The most questions.
        seed: Of the draw.
    """
    random = np.random.default_rng(seed)
    if len(captions) < OPTIONS:
        return
    for true in spread(captions, count):
        drawn = random.permutation(len(captions))[:OPTIONS]
        others = [captions[index] for index in drawn if captions[index] != true][: OPTIONS - 1]
        options = [true, *others]
        yield true, tuple(options[index] for index in random.permutation(OPTIONS))
