"""Captions of `shapes`, in several languages.

Every caption of a scene names kind, colour and size of each shape, and the place of the first. All wordings name the shapes in
the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mmzoo_datasets.shapes_scenes import COLOURS, KINDS, PLACES, SIZES, Look, Scene


class Forms(NamedTuple):
    """Adjectives and phrases that go with nouns of one grammatical gender.

    Args:
        sizes: Adjectives in the order of `SIZES`.
        colours: Adjectives in the order of `COLOURS`.
        a: A shape: a small red circle.
        of: A shape after a preposition, or with it.
        apart: A shape whose adjectives follow the noun: a circle, small and red.
    """

    sizes: tuple[str, ...]
    colours: tuple[str, ...]
    a: str
    of: str
    apart: str


class Words(NamedTuple):
    """The texts of one language.

    Args:
        kinds: Nouns in the order of `KINDS`.
        genders: Their grammatical genders, one letter for each: the keys of `forms`.
        forms: Gender -> its adjectives and phrases.
        places: Where a single shape is, in the order of `PLACES`.
        relations: Where the first shape is, seen from the others, in the order of `PLACES`.
        both: Two shapes after a preposition.
        wordings: The wordings of a caption; the first is `caption`.
    """

    kinds: tuple[str, ...]
    genders: str
    forms: Mapping[str, Forms]
    places: tuple[str, ...]
    relations: tuple[str, ...]
    both: str
    wordings: tuple[str, ...]


_DE_SIZES, _DE_COLOURS = ("klein", "groß"), ("rot", "grün", "blau", "gelb", "violett", "schwarz")
_DE_OF, _DE_APART = "einem {size}en {colour}en {kind}", "ein {kind}, {size} und {colour},"

LANGUAGES: Mapping[str, Words] = {
    "de": Words(
        kinds=("Kreis", "Quadrat", "Dreieck", "Stern", "Ring", "Kreuz"),
        genders="mnnmmn",
        forms={
            "m": Forms(_DE_SIZES, _DE_COLOURS, a="ein {size}er {colour}er {kind}", of=_DE_OF, apart=_DE_APART),
            "n": Forms(_DE_SIZES, _DE_COLOURS, a="ein {size}es {colour}es {kind}", of=_DE_OF, apart=_DE_APART),
        },
        places=("links", "rechts", "oben", "unten"),
        relations=("links von {others}", "rechts von {others}", "über {others}", "unter {others}"),
        both="{one} und {other}",
        wordings=("{a} {where}", "{a} ist {where}", "da ist {a} {where}", "ein Bild von {of} {where}", "{apart} {where}"),
    ),
    "en": Words(
        kinds=KINDS,
        genders="nnnnnn",
        forms={
            "n": Forms(
                SIZES,
                COLOURS,
                a="a {size} {colour} {kind}",
                of="a {size} {colour} {kind}",
                apart="a {kind}, {size} and {colour},",
            )
        },
        places=("on the left", "on the right", "at the top", "at the bottom"),
        relations=("to the left of {others}", "to the right of {others}", "above {others}", "below {others}"),
        both="{one} and {other}",
        wordings=("{a} {where}", "{a} is {where}", "there is {a} {where}", "a picture of {of} {where}", "{apart} {where}"),
    ),
    "es": Words(
        kinds=("círculo", "cuadrado", "triángulo", "estrella", "anillo", "cruz"),
        genders="mmmfmf",
        forms={
            "m": Forms(
                sizes=("pequeño", "grande"),
                colours=("rojo", "verde", "azul", "amarillo", "morado", "negro"),
                a="un {kind} {colour} {size}",
                of="de un {kind} {colour} {size}",
                apart="un {kind}, {size} y {colour},",
            ),
            "f": Forms(
                sizes=("pequeña", "grande"),
                colours=("roja", "verde", "azul", "amarilla", "morada", "negra"),
                a="una {kind} {colour} {size}",
                of="de una {kind} {colour} {size}",
                apart="una {kind}, {size} y {colour},",
            ),
        },
        places=("a la izquierda", "a la derecha", "arriba", "abajo"),
        relations=("a la izquierda {others}", "a la derecha {others}", "encima {others}", "debajo {others}"),
        both="{one} y {other}",
        wordings=("{a} {where}", "{a} está {where}", "hay {a} {where}", "una imagen {of} {where}", "{apart} {where}"),
    ),
    "fr": Words(
        kinds=("cercle", "carré", "triangle", "étoile", "anneau", "croix"),
        genders="mmmfmf",
        forms={
            "m": Forms(
                sizes=("petit", "grand"),
                colours=("rouge", "vert", "bleu", "jaune", "violet", "noir"),
                a="un {size} {kind} {colour}",
                of="d'un {size} {kind} {colour}",
                apart="un {kind}, {size} et {colour},",
            ),
            "f": Forms(
                sizes=("petite", "grande"),
                colours=("rouge", "verte", "bleue", "jaune", "violette", "noire"),
                a="une {size} {kind} {colour}",
                of="d'une {size} {kind} {colour}",
                apart="une {kind}, {size} et {colour},",
            ),
        },
        places=("à gauche", "à droite", "en haut", "en bas"),
        relations=("à gauche {others}", "à droite {others}", "au-dessus {others}", "au-dessous {others}"),
        both="{one} et {other}",
        wordings=("{a} {where}", "{a} est {where}", "il y a {a} {where}", "une image {of} {where}", "{apart} {where}"),
    ),
}


def check_language(language: str) -> None:
    """Raises ValueError if `language` is not supported."""
    if language not in LANGUAGES:
        raise ValueError(f"language: received {language!r}, expected one of {', '.join(LANGUAGES)}")


def captions_of(scene: Scene, language: str) -> list[str]:
    """Makes the captions of a scene: one for each of the language's wordings.

    Args:
        scene: The scene.
        language: One of `LANGUAGES`.
    """
    words = LANGUAGES[language]
    first, *others = [_phrases(shape.look, words) for shape in scene.shapes]
    where = dict(zip(PLACES, words.relations if others else words.places, strict=True))[scene.place]
    after = [phrases["of"] for phrases in others]
    joined = words.both.format(one=after[0], other=after[1]) if len(after) > 1 else "".join(after)
    return [wording.format(**first, where=where.format(others=joined)) for wording in words.wordings]


def _phrases(look: Look, words: Words) -> dict[str, str]:
    """Returns the phrases that name a shape: `a`, `of` and `apart`."""
    kind = KINDS.index(look.kind)
    forms = words.forms[words.genders[kind]]
    named = {
        "kind": words.kinds[kind],
        "size": forms.sizes[SIZES.index(look.size)],
        "colour": forms.colours[COLOURS.index(look.colour)],
    }
    return {name: getattr(forms, name).format(**named) for name in ("a", "of", "apart")}
