"""What happens in the clips of `moving_emoji`: which drawings there are, which two move, where, when and over what.

In each scene two things move, one after the other, in different directions; up to two others stand still. The clip is a torus:
what leaves it at the left comes back at the right. So a single frame tells nearly nothing of what moves where.

Scenes come in blocks in which every thing goes every way equally often, once as the first and once as the last to move.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

THINGS = "🍎🐸🥕🍇⚽🐷🌲🎩🌙🐻🦋🏠"
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
COLOURS = ("blue", "green", "yellow", "pink")
NUMBERS = (2, 3, 4)
BLOCK = len(THINGS) * len(STEPS)
"""Scenes in a block; a multiple of the colours' number and of `NUMBERS`' too."""
GRID = 8
"""Cells along a side; a thing goes one cell from a frame to the next."""
WIDE = 2
"""Cells along a side of a thing."""

Cell = tuple[int, int]


class Mover(NamedTuple):
    """A thing that moves, and its direction."""

    thing: str
    direction: str


class Scene(NamedTuple):
    """What happens in one clip.

    Args:
        first: What moves first.
        last: What moves last.
        still: What stands still.
        colour: Of the background.
        paths: Upper left cell of each thing in each frame, in the order of `things`.
    """

    first: Mover
    last: Mover
    still: tuple[str, ...]
    colour: str
    paths: tuple[tuple[Cell, ...], ...]

    @property
    def things(self) -> tuple[str, ...]:
        """All that is there."""
        return (self.first.thing, self.last.thing, *self.still)


def scenes(count: int, frames: int, seed: str) -> list[Scene]:
    """Make so many scenes of so many frames; the same seed makes the same."""
    rng = random.Random(seed)
    blocks = itertools.chain.from_iterable(_block(frames, rng) for _ in itertools.count())
    return list(itertools.islice(blocks, count))


def _block(frames: int, rng: random.Random) -> Iterator[Scene]:
    firsts = [Mover(*pair) for pair in itertools.product(THINGS, STEPS)]
    rng.shuffle(firsts)
    colours, counts = _dealt(COLOURS, rng), _dealt(NUMBERS, rng)
    for first, last, colour, count in zip(firsts, _partners(firsts, rng), colours, counts, strict=True):
        others = [thing for thing in THINGS if thing not in (first.thing, last.thing)]
        still = tuple(rng.sample(others, count - 2))
        yield Scene(first, last, still, colour, _placed(first, last, len(still), frames, rng))


def _dealt(values: Sequence[str] | Sequence[int], rng: random.Random) -> list[Any]:
    """Give each value equally often in a block, in random order."""
    deck = [*values] * (BLOCK // len(values))
    rng.shuffle(deck)
    return deck


def _partners(firsts: Sequence[Mover], rng: random.Random) -> list[Mover]:
    """Give every mover once, in random order, each to one of another thing and another direction."""
    lasts = rng.sample(firsts, len(firsts))
    while clashes := [at for at, pair in enumerate(zip(firsts, lasts, strict=True)) if _clash(*pair)]:
        one, other = clashes[0], rng.randrange(len(lasts))
        lasts[one], lasts[other] = lasts[other], lasts[one]
    return lasts


def _clash(one: Mover, other: Mover) -> bool:
    return one.thing == other.thing or one.direction == other.direction


def _placed(first: Mover, last: Mover, still: int, frames: int, rng: random.Random) -> tuple[tuple[Cell, ...], ...]:
    """Place the things at random where none of them meet."""
    turn = (frames - 1) // 2
    moves = [(STEPS[first.direction], 0), (STEPS[last.direction], frames - 1 - turn), *[((0, 0), 0)] * still]
    while True:
        starts = [(rng.randrange(GRID), rng.randrange(GRID)) for _ in moves]
        paths = tuple(_path(start, step, begin, turn, frames) for start, (step, begin) in zip(starts, moves, strict=True))
        if not any(_meet(*pair) for frame in zip(*paths, strict=True) for pair in itertools.combinations(frame, 2)):
            return paths


def _path(start: Cell, step: Cell, begin: int, turn: int, frames: int) -> tuple[Cell, ...]:
    gone = [min(max(frame - begin, 0), turn) for frame in range(frames)]
    return tuple(((start[0] + step[0] * steps) % GRID, (start[1] + step[1] * steps) % GRID) for steps in gone)


def _meet(one: Cell, other: Cell) -> bool:
    return all(min((a - b) % GRID, (b - a) % GRID) < WIDE for a, b in zip(one, other, strict=True))
