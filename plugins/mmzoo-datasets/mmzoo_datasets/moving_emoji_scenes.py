"""Random scenes of `moving_emoji`: the things of a clip, the two that move, their paths, and the background colour.

In each scene, two things move, one after the other, in different directions. Up to two others stand still. The frame is a
torus: a thing that leaves on the left comes back on the right. So a single frame reveals almost nothing about movements.

Scenes come in blocks. In a block, every thing moves in every direction once as the first and once as the last thing.
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
"""Number of scenes in a block; also a multiple of the lengths of `COLOURS` and `NUMBERS`."""
GRID = 8
"""Cells along a side of the frame; a thing moves one cell per frame."""
WIDE = 2
"""Cells along a side of a thing."""

Cell = tuple[int, int]


class Mover(NamedTuple):
    """A thing that moves, and its direction."""

    thing: str
    direction: str


class Scene(NamedTuple):
    """The content of one clip.

    Args:
        first: The thing that moves first.
        last: The thing that moves last.
        still: The things that stand still.
        colour: Colour of the background.
        paths: Upper left cell of each thing in each frame, in the order of `things`.
    """

    first: Mover
    last: Mover
    still: tuple[str, ...]
    colour: str
    paths: tuple[tuple[Cell, ...], ...]

    @property
    def things(self) -> tuple[str, ...]:
        """All things of the scene."""
        return (self.first.thing, self.last.thing, *self.still)


def scenes(count: int, frames: int, seed: str) -> list[Scene]:
    """Makes `count` scenes of `frames` frames; the same seed makes the same scenes."""
    rng = random.Random(seed)
    blocks = itertools.chain.from_iterable(_block(frames, rng) for _ in itertools.count())
    return list(itertools.islice(blocks, count))


def _block(frames: int, rng: random.Random) -> Iterator[Scene]:
    firsts = [Mover(*pair) for pair in itertools.product(THINGS, STEPS)]
    rng.shuffle(firsts)
    colours, counts = _shuffled(COLOURS, rng), _shuffled(NUMBERS, rng)
    for first, last, colour, count in zip(firsts, _partners(firsts, rng), colours, counts, strict=True):
        others = [thing for thing in THINGS if thing not in (first.thing, last.thing)]
        still = tuple(rng.sample(others, count - 2))
        yield Scene(first, last, still, colour, _draw_paths(first, last, len(still), frames, rng))


def _shuffled(values: Sequence[str] | Sequence[int], rng: random.Random) -> list[Any]:
    """Returns one value per scene of a block: each equally often, in random order."""
    deck = [*values] * (BLOCK // len(values))
    rng.shuffle(deck)
    return deck


def _partners(firsts: Sequence[Mover], rng: random.Random) -> list[Mover]:
    """Returns a random permutation of the movers, in which each differs from its partner in thing and direction."""
    lasts = rng.sample(firsts, len(firsts))
    while clashes := [at for at, pair in enumerate(zip(firsts, lasts, strict=True)) if _clash(*pair)]:
        one, other = clashes[0], rng.randrange(len(lasts))
        lasts[one], lasts[other] = lasts[other], lasts[one]
    return lasts


def _clash(one: Mover, other: Mover) -> bool:
    return one.thing == other.thing or one.direction == other.direction


def _draw_paths(first: Mover, last: Mover, still: int, frames: int, rng: random.Random) -> tuple[tuple[Cell, ...], ...]:
    """Draws paths of the things at random, until no two things overlap in any frame."""
    turn = (frames - 1) // 2
    moves = [(STEPS[first.direction], 0), (STEPS[last.direction], frames - 1 - turn), *[((0, 0), 0)] * still]
    while True:
        starts = [(rng.randrange(GRID), rng.randrange(GRID)) for _ in moves]
        paths = tuple(_path(start, step, begin, turn, frames) for start, (step, begin) in zip(starts, moves, strict=True))
        if not any(_overlap(*pair) for frame in zip(*paths, strict=True) for pair in itertools.combinations(frame, 2)):
            return paths


def _path(start: Cell, step: Cell, begin: int, turn: int, frames: int) -> tuple[Cell, ...]:
    gone = [min(max(frame - begin, 0), turn) for frame in range(frames)]
    return tuple(((start[0] + step[0] * steps) % GRID, (start[1] + step[1] * steps) % GRID) for steps in gone)


def _overlap(one: Cell, other: Cell) -> bool:
    return all(min((a - b) % GRID, (b - a) % GRID) < WIDE for a, b in zip(one, other, strict=True))
