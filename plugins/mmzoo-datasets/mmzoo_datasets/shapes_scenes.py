"""Random scenes of `shapes`: which shapes a picture shows and where, and which combinations only the test shows.

A scene has one to three shapes of different colours. The first is on one side of the picture: left, right, top or bottom. Two
shapes are on opposite sides; of three, the last two share the side opposite to the first. So "left of" and "on the left" are
both true of the first.

Scenes come in blocks. In a block, the first shape has every combination of kind, colour and size in every place once.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

KINDS = ("circle", "square", "triangle", "star", "ring", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple", "black")
SIZES = ("small", "large")
PLACES = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1)}
"""Where the first shape is, seen from the centre: to the right, and down."""
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
MOST = 3
"""Maximum number of shapes in a picture."""
SPLIT_KINDS = ("composition", "random")
AWAY = (0.235, 0.265)
"""Range of the distance of a shape from the centre, towards its side. Two large shapes on opposite sides do not touch."""
ASIDE = 0.12
"""Maximum distance of a shape that is alone on its side from the middle of that side."""
LIGHT = (222, 250)
"""Range of the red, green and blue of the background."""
STEP = 10
"""Maximum difference of the background's corners, in each of red, green and blue."""

Colour = tuple[int, int, int]


class Look(NamedTuple):
    """A combination of kind, colour and size."""

    kind: str
    colour: str
    size: str


class Shape(NamedTuple):
    """A shape and its centre, relative to the sides of the picture: (0, 0) is the upper left corner."""

    look: Look
    x: float
    y: float


class Scene(NamedTuple):
    """The content of one picture.

    Args:
        place: Where the first shape is: one of `PLACES`.
        shapes: The shapes; a caption names them in this order.
        background: Colours of the upper left and the lower right corner; those between change evenly.
    """

    place: str
    shapes: tuple[Shape, ...]
    background: tuple[Colour, Colour]


def check_split(split: str) -> None:
    """Raises ValueError if `split` is not a way to split the scenes."""
    if split not in SPLIT_KINDS:
        raise ValueError(f"split: received {split!r}, expected one of {', '.join(SPLIT_KINDS)}")


def held_out(seed: int) -> dict[str, str]:
    """Draws one colour for each kind, each colour once. Training and validation never show them together."""
    colours = random.Random(f"{seed}/held out").sample(COLOURS, len(COLOURS))
    return dict(zip(KINDS, colours, strict=True))


def scenes(name: str, count: int, *, split: str, most: int, seed: int) -> list[Scene]:
    """Makes the scenes of a split; the same seed makes the same scenes.

    Args:
        name: `train`, `validation` or `test`.
        count: Number of scenes.
        split: `composition`: in the test, the first shape has a held-out combination, and the others do not. `random`: all
            combinations are in all splits.
        most: Maximum number of shapes in a scene.
        seed: Random seed.
    """
    check_split(split)
    held = held_out(seed) if split == "composition" else {}
    looks = [Look(*look) for look in itertools.product(KINDS, COLOURS, SIZES)]
    seen = [look for look in looks if held.get(look.kind) != look.colour]
    firsts = [look for look in looks if look not in seen] if held and name == "test" else seen
    rng = random.Random(f"{seed}/{split}/{name}")
    blocks = itertools.chain.from_iterable(_block(firsts, seen, most, rng) for _ in itertools.count())
    return list(itertools.islice(blocks, count))


def near_misses(scene: Scene, turn: int = 0) -> list[Scene]:
    """Changes one thing of a scene, so that a caption of the result is not true of the scene. Centres stay.

    The first shape is on the opposite side; or it exchanges its kind, its colour or its size with the next shape, where they
    differ. A single shape gets another kind, colour or size.

    Args:
        scene: The scene.
        turn: Chooses the other kind and the other colour of a single shape.
    """
    first, *others = scene.shapes
    found = [scene._replace(place=OPPOSITE[scene.place])]
    for name, values in {"kind": KINDS, "colour": COLOURS, "size": SIZES}.items():
        mine = getattr(first.look, name)
        rest = [value for value in values if value != mine]
        theirs = getattr(others[0].look, name) if others else rest[turn % len(rest)]
        if theirs != mine:
            exchanged = [_with(first, name, theirs), *(_with(other, name, mine) for other in others[:1]), *others[1:]]
            found.append(scene._replace(shapes=tuple(exchanged)))
    return found


def _with(shape: Shape, name: str, value: str) -> Shape:
    """Returns a shape with another kind, colour or size."""
    return shape._replace(look=shape.look._replace(**{name: value}))


def _block(firsts: Sequence[Look], others: Sequence[Look], most: int, rng: random.Random) -> Iterator[Scene]:
    pairs = list(itertools.product(firsts, PLACES))
    counts = [1 + number % most for number in range(len(pairs))]
    rng.shuffle(pairs)
    rng.shuffle(counts)
    for (first, place), count in zip(pairs, counts, strict=True):
        looks = [first]
        while len(looks) < count:
            used = {look.colour for look in looks}
            looks.append(rng.choice([look for look in others if look.colour not in used]))
        centres = _centres(place, count, rng)
        shapes = tuple(Shape(look, *centre) for look, centre in zip(looks, centres, strict=True))
        yield Scene(place, shapes, _background(rng))


def _centres(place: str, count: int, rng: random.Random) -> list[tuple[float, float]]:
    """Draws the centres of the shapes: the first in its place, the others on the opposite side."""
    across, down = PLACES[place]

    def centre(side: int, aside: float) -> tuple[float, float]:
        away = side * rng.uniform(*AWAY)
        return 0.5 + away * across + aside * abs(down), 0.5 + away * down + aside * abs(across)

    first = centre(1, rng.uniform(-ASIDE, ASIDE))
    if count < MOST:
        return [first, centre(-1, rng.uniform(-ASIDE, ASIDE))][:count]
    turn = rng.choice((-1, 1))
    return [first, centre(-1, turn * rng.uniform(*AWAY)), centre(-1, -turn * rng.uniform(*AWAY))]


def _background(rng: random.Random) -> tuple[Colour, Colour]:
    red, green, blue = (rng.randint(*LIGHT) for _ in range(3))
    by = rng.randint(-STEP, STEP)

    def shifted(part: int) -> int:
        return min(max(part + by, LIGHT[0]), LIGHT[1])

    return (red, green, blue), (shifted(red), shifted(green), shifted(blue))
