"""Pictures of shapes: what is painted is what is said of it, and the test's combinations are not in training."""

import io
import itertools
import re
from collections import Counter

import numpy as np
import pytest
from mmzoo_datasets.shapes import Shapes
from mmzoo_datasets.shapes_builder import labels_of, png_of, shapes
from mmzoo_datasets.shapes_scenes import Look, Scene, Shape, near_misses, scenes
from mmzoo_datasets.shapes_words import LANGUAGES, captions_of
from PIL import Image

from mmzoo import DataError

COLOURS = {
    "red": (230, 0, 30),
    "green": (0, 150, 50),
    "blue": (30, 80, 255),
    "yellow": (255, 200, 0),
    "purple": (160, 20, 200),
    "black": (0, 0, 0),
}
EDGES = [(np.sin(turn), -np.cos(turn)) for turn in np.arange(5) * 2 * np.pi / 5]
KINDS = {  # which points belong to a shape around (0, 0); y points down
    "circle": lambda x, y: x**2 + y**2 < 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 1,
    "triangle": lambda x, y: (y < 0.5) & (abs(x) * 3**0.5 < 1 + y),  # equilateral
    "star": lambda x, y: sum(x * across + y * down < 0.35 for across, down in EDGES) >= 4,  # between all but one of its edges
    "ring": lambda x, y: abs(x**2 + y**2 - 0.625) < 0.375,
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 1 / 3) & (np.maximum(abs(x), abs(y)) < 1),
}
SIDES = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}
"""Place -> axis and direction."""
PLACE_WORDS = {  # of one shape, then of two
    "de": "links, rechts, oben, unten, links von, rechts von, über, unter",
    "en": "on the left, on the right, at the top, at the bottom, to the left of, to the right of, above, below",
    "es": "a la izquierda, a la derecha, arriba, abajo, a la izquierda de, a la derecha de, encima de, debajo de",
    "fr": "à gauche, à droite, en haut, en bas, à gauche d', à droite d', au-dessus d', au-dessous d'",
}
WHERE = dict(zip(PLACE_WORDS["en"].split(", "), [*SIDES] * 2, strict=True))
LARGE = 0.05
"""Share of the picture above which a shape is large."""


def paint(kind: str, side: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    """Paints a shape: how much of each of `side` x `side` pixels it covers, from 16 points in each."""
    across, down = np.meshgrid(*[(np.arange(4 * side) + 0.5) / 4] * 2)
    inside = KINDS[kind]((across - centre[0]) / radius, (down - centre[1]) / radius)
    return inside.reshape(side, 4, side, 4).mean((1, 3))


def measure(cover: np.ndarray) -> tuple[float, np.ndarray]:
    """Measures area and centroid (across, down) of what covers pixels, in pixels."""
    rows, columns = np.indices(cover.shape) + 0.5
    return cover.sum(), np.array([(columns * cover).sum(), (rows * cover).sum()]) / cover.sum()


UNITS = {kind: measure(paint(kind, 64, (32, 32), 20)) for kind in KINDS}


def likeness(cover: np.ndarray, kind: str) -> float:
    """Compares with a shape of this kind that has the same area and centroid; 1 is the same."""
    area, centre = measure(cover)
    unit_area, unit_centre = UNITS[kind]
    scale = (area / unit_area) ** 0.5
    return 1 - abs(paint(kind, len(cover), centre - (unit_centre - 32) * scale, 20 * scale) - cover).sum() / area


def read(png: bytes) -> dict[str, tuple[str, str, np.ndarray]]:
    """Reads a picture: colour -> kind, size, and how much of each pixel is covered."""
    picture = np.asarray(Image.open(io.BytesIO(png)), "float64")
    behind = np.median(picture, (0, 1))
    far = np.stack([np.linalg.norm(picture - colour, axis=-1) for colour in COLOURS.values()])
    found = {}
    for number, colour in enumerate(COLOURS):
        core = (far[number] < 60) & (far.argmin(0) == number)
        if core.sum() < 4:
            continue
        paint = np.median(picture[core], 0)
        cover = ((behind - picture) @ (behind - paint) / np.sum((behind - paint) ** 2)).clip(0, 1)
        reach = np.pad(core, 1)
        reach = np.any([np.roll(reach, step, (0, 1)) for step in itertools.product((-1, 0, 1), repeat=2)], 0)[1:-1, 1:-1]
        cover = np.where(reach, cover, 0)
        like = {kind: likeness(cover, kind) for kind in KINDS}
        kind = max(KINDS, key=like.__getitem__) if max(like.values()) > 0.7 else "unlike any"
        found[colour] = kind, "large" if cover.mean() > LARGE else "small", cover
    return found


def said_of(caption: str) -> tuple[str, list[tuple[str, ...]]]:
    """Reads an English caption's first wording: the place of the first shape, and all shapes as it names them."""
    place = WHERE[re.fullmatch(r"a \w+ \w+ \w+ (.*?)( a (small|large) .*)?", caption)[1]]
    return place, re.findall(r"a (small|large) (\w+) (\w+)", caption)


@pytest.mark.parametrize("side", [32, 64])
def test_what_is_painted_is_what_the_caption_says(side):
    for scene in scenes("test", 48, split="random", most=3, seed=5):
        caption, found = captions_of(scene, "en")[0], read(png_of(scene, side))
        place, said = said_of(caption)
        assert {colour: (kind, size) for size, colour, kind in said} == {c: found[c][:2] for c in found}, caption
        axis, way = SIDES[place]
        first, *others = [found[colour][2] for _, colour, _ in said]
        away = measure(first)[1] / side - 0.5
        assert away[axis] * way > 0.2 > abs(away[1 - axis]), caption
        for other in others:  # all of the first shape is on its side of all of each other one
            ends = [np.flatnonzero(cover.any(axis)) * way for cover in (first, other)]
            assert ends[0].min() > ends[1].max(), caption
        size, colour, kind = said[0]
        labels = {"kind": kind, "colour": colour, "shape_size": size, "place": place, "count": str(len(found))}
        assert labels_of(scene) == labels


def test_a_near_miss_says_one_wrong_thing():
    opposite = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    for scene in scenes("train", 240, split="random", most=3, seed=2):
        place, shapes_said = said_of(captions_of(scene, "en")[0])
        found = [said_of(captions_of(other, "en")[0]) for other in near_misses(scene, turn=1)]
        assert found[0] == (opposite[place], shapes_said)
        true, *changed = (
            dict(zip(["size", "colour", "kind"], zip(*each, strict=True), strict=True))
            for each in (shapes_said, *(others for _, others in found[1:]))
        )
        assert all(where == place for where, _ in found[1:])
        for other in changed:
            (name,) = [name for name in true if other[name] != true[name]]
            if len(shapes_said) > 1:
                one, two, *rest = true[name]
                assert other[name] == (two, one, *rest)
        wrong = [name for other in changed for name in true if other[name] != true[name]]
        assert sorted(wrong) == sorted(name for name in true if len(shapes_said) == 1 or len({*true[name][:2]}) == 2)


def test_mismatched_captions_of_training_name_no_held_out_combination(tmp_path):
    made = shapes(size=16, pictures=60, data_dir=str(tmp_path))
    rows = [row for _, row in made._generate_examples("train", 1.0)]
    assert {len({*row["mismatched_captions"]} & {*row["captions"]}) for row in rows} == {0}
    assert all(len(row["mismatched_captions"]) > 0 for row in rows)
    named = {pair for row in rows for text in row["mismatched_captions"] for pair in re.findall(r"(\w+) (\w+)", text)}
    held = {(scene.shapes[0].look.colour, scene.shapes[0].look.kind) for scene in some("test")}
    assert not held & named


def test_shapes_neither_overlap_nor_leave_the_picture():
    for scene in scenes("train", 480, split="random", most=3, seed=1):
        reach = [0.15 if shape.look.size == "small" else 0.22 for shape in scene.shapes]
        for shape, radius in zip(scene.shapes, reach, strict=True):
            assert all(radius < part < 1 - radius for part in (shape.x, shape.y))
        for (one, a), (other, b) in itertools.combinations(zip(scene.shapes, reach, strict=True), 2):
            assert max(abs(one.x - other.x), abs(one.y - other.y)) > a + b
        assert len({shape.look.colour for shape in scene.shapes}) == len(scene.shapes)


def test_the_background_is_light_and_varies():
    corners = [np.asarray(Image.open(io.BytesIO(png_of(scene, 16))))[0, 0] for scene in some("train")[:20]]
    assert np.min(corners) > 200
    assert len({tuple(corner) for corner in corners}) == 20


def some(name: str, count: int = 480, split: str = "composition", most: int = 2, seed: int = 0) -> list[Scene]:
    return scenes(name, count, split=split, most=most, seed=seed)


def looks(found: list[Scene]) -> set[tuple[str, str]]:
    return {shape.look[:2] for scene in found for shape in scene.shapes}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_held_out_combinations_are_in_the_test_alone(seed):
    seen = looks(some("train", 2400, most=3, seed=seed)) | looks(some("validation", 600, most=3, seed=seed))
    tested = some("test", most=3, seed=seed)
    firsts = {scene.shapes[0].look[:2] for scene in tested}
    assert [len(seen), len(firsts)] == [30, 6]
    assert not seen & firsts
    assert len({kind for kind, _ in firsts}) == len({colour for _, colour in firsts}) == 6
    assert looks([Scene(scene.place, scene.shapes[1:], scene.background) for scene in tested]) <= seen


def test_seeds_hold_out_different_combinations():
    assert len({frozenset(looks(some("test", most=1, seed=seed))) for seed in range(5)}) == 5


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("most", [1, 3])
def test_each_word_of_a_held_out_caption_is_in_training(language, most):
    def captions(name: str) -> list[str]:
        return [caption for scene in some(name, most=most) for caption in captions_of(scene, language)]

    assert {w for text in captions("test") for w in text.split()} <= {w for text in captions("train") for w in text.split()}
    singles = [set(captions_of(scene, language)) for scene in some("test", most=1)]
    assert not set.union(*singles) & set(captions("train"))


@pytest.mark.parametrize(("split", "train", "test"), [("composition", 240, 48), ("random", 288, 288)])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_attributes_are_balanced(split, train, test, most):
    for name, count in (("train", train), ("test", test)):
        labels = [labels_of(scene) for scene in some(name, count, split, most)]
        for label, values in {"kind": 6, "colour": 6, "shape_size": 2, "place": 4, "count": most}.items():
            counts = Counter(found[label] for found in labels)
            assert len(counts) == values
            assert set(counts.values()) == {count / values}, label


def test_the_same_seed_makes_the_same_and_splits_have_scenes_of_their_own():
    assert some("train", seed=3) == some("train", seed=3) != some("train", seed=4)
    assert png_of(some("test")[0], 32) == png_of(some("test")[0], 32)
    for split in ("composition", "random"):
        found = [set(some(name, 600, split, most=1)) for name in ("train", "validation", "test")]
        assert len(set.union(*found)) == 1800


def scene_of(place: str, *looks: tuple[str, str, str]) -> Scene:
    return Scene(place, tuple(Shape(Look(*look), 0.5, 0.5) for look in looks), ((230, 230, 230), (240, 240, 240)))


ONE = scene_of("left", ("circle", "red", "small"))
THREE = scene_of("top", ("star", "green", "large"), ("square", "blue", "small"), ("cross", "purple", "large"))


ONE_SAID = {  # the first wording, then how the others are made of it
    "de": "ein kleiner roter Kreis links|ein {} ist {}|da ist ein {} {}|ein Bild von einem kleinen roten Kreis {1}|"
    "ein Kreis, klein und rot, {1}",
    "en": "a small red circle on the left|a {} is {}|there is a {} {}|a picture of a {} {}|a circle, small and red, {1}",
    "es": "un círculo rojo pequeño a la izquierda|un {} está {}|hay un {} {}|una imagen de un {} {}|"
    "un círculo, pequeño y rojo, {1}",
    "fr": "un petit cercle rouge à gauche|un {} est {}|il y a un {} {}|une image d'un {} {}|un cercle, petit et rouge, {1}",
}
THREE_SAID = {
    "de": "ein großer grüner Stern über einem kleinen blauen Quadrat und einem großen violetten Kreuz",
    "en": "a large green star above a small blue square and a large purple cross",
    "es": "una estrella verde grande encima de un cuadrado azul pequeño y de una cruz morada grande",
    "fr": "une grande étoile verte au-dessus d'un petit carré bleu et d'une grande croix violette",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_in_each_language(language):
    first, *others = ONE_SAID[language].split("|")
    parts = re.fullmatch(r"\w+ (\w+ \w+ \w+) (.*)", first).groups()
    assert captions_of(ONE, language) == [first, *(caption.format(*parts) for caption in others)]
    assert captions_of(THREE, language)[0] == THREE_SAID[language]


SPOT = {  # small and black, of each kind, as the first shape
    "de": "kleiner schwarzer Kreis, kleines schwarzes Quadrat, kleines schwarzes Dreieck, kleiner schwarzer Stern, "
    "kleiner schwarzer Ring, kleines schwarzes Kreuz",
    "en": "small black circle, small black square, small black triangle, small black star, small black ring, small black cross",
    "es": "círculo negro pequeño, cuadrado negro pequeño, triángulo negro pequeño, estrella negra pequeña, "
    "anillo negro pequeño, cruz negra pequeña",
    "fr": "petit cercle noir, petit carré noir, petit triangle noir, petite étoile noire, "
    "petit anneau noir, petite croix noire",
}
COLOUR_WORDS = {  # of a large star
    "de": "roter grüner blauer gelber violetter schwarzer",
    "en": "red green blue yellow purple black",
    "es": "roja verde azul amarilla morada negra",
    "fr": "rouge verte bleue jaune violette noire",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_each_attribute(language):
    for kind, words in zip(KINDS, SPOT[language].split(", "), strict=True):
        assert captions_of(scene_of("left", (kind, "black", "small")), language)[0].split(" ", 1)[1].startswith(f"{words} ")
    for colour, word in zip(COLOURS, COLOUR_WORDS[language].split(), strict=True):
        assert f" {word} " in captions_of(scene_of("left", ("star", colour, "large")), language)[0]
    for number, words in enumerate(PLACE_WORDS[language].split(", ")):
        pair = [("star", "red", "large"), ("ring", "black", "small")][: 1 + number // 4]
        caption = captions_of(scene_of([*SIDES][number % 4], *pair), language)[0]
        rest = caption.split(" ", 4)[4]
        assert rest == words if number < 4 else re.fullmatch(rf"{words} ?(a|un|einem) (\w+ ?){{3}}", rest), caption


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = Shapes(pictures=20, size=16, language="fr", data_dir=str(tmp_path_factory.mktemp("shapes")))
    assert data.card.needs.startswith("painting 26 pictures once, about 0 s and 0 MB in ")
    data.prepare()
    return data


def test_what_is_made_is_read(made):
    assert made.card.needs == ""
    assert made.card.sizes == {"train": 20, "validation": 2, "test": 4}
    names, shown = set(), set()
    for split in made.splits().values():
        for row in split:
            assert set(row) == set(made.card.fields)
            texts = row["captions"].numpy().tolist()
            assert row["caption"].numpy() == texts[0]
            assert len(set(texts)) == 5
            picture = Image.open(io.BytesIO(row["image"].numpy()))
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (16, 16))
            names.add(row["scene"].numpy())
            shown.add(row["image"].numpy())
    assert len(names) == len(shown) == 26


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"language": "xx"}, "language: received 'xx', expected one of de, en, es, fr."),
        ({"split": "groups"}, "split: received 'groups', expected one of composition, random."),
        ({"size": 60}, "size: received 60 pixels, expected a multiple of 8 from 16 on."),
        ({"size": 8}, "size: received 8 pixels, expected a multiple of 8 from 16 on."),
        ({"pictures": 0}, "pictures: received 0, expected at least 1."),
        ({"most": 4}, "most: received 4 shapes, expected 1 to 3."),
    ],
)
def test_options_that_cannot_be(options, text, tmp_path):
    with pytest.raises(DataError) as raised:
        Shapes(**options, data_dir=str(tmp_path))
    assert str(raised.value) == text


def test_options_have_folders_of_their_own(tmp_path):
    many = [{}, {"split": "random"}, {"size": 32}, {"pictures": 48}, {"most": 3}, {"seed": 1}, {"language": "fr"}]
    assert len({shapes(data_dir=str(tmp_path), **options).data_dir for options in many}) == len(many)


def test_what_another_object_has_painted_is_read(tmp_path):
    one, other = (Shapes(size=16, pictures=10, data_dir=str(tmp_path)) for _ in range(2))
    assert one.card.needs
    other.prepare()
    one.prepare()
    assert {name: len(split) for name, split in one.splits().items()} == {"train": 10, "validation": 1, "test": 2}
    assert not one.card.needs
