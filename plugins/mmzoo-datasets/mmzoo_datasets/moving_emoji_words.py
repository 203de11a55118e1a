"""Questions, answers and captions of `moving_emoji`, in several languages.

The names of the emoji are those of the PyPI package `emoji`. It has no grammatical gender, so languages with gender omit the
article.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import emoji

from mmzoo_datasets.moving_emoji_scenes import COLOURS, NUMBERS, STEPS
from mmzoo_datasets.openmoji_pairs import name_of


class Words(NamedTuple):
    """The texts of one language.

    Args:
        direction: Question: in which direction does a thing move?
        what_moves: Question: what moves in a direction?
        first: Question: what moves first?
        last: Question: what moves last?
        how_many: Question: how many things are there?
        colour: Question: which colour is the background?
        caption: Caption of a clip.
        description: Description of a clip, with the caption.
        directions: Answers, in the order of `STEPS`.
        numbers: Answers, in the order of `NUMBERS`.
        colours: Answers, in the order of `COLOURS`.
    """

    direction: str
    what_moves: str
    first: str
    last: str
    how_many: str
    colour: str
    caption: str
    description: str
    directions: tuple[str, ...]
    numbers: tuple[str, ...]
    colours: tuple[str, ...]


LANGUAGES: Mapping[str, Words] = {
    "de": Words(
        direction="wohin bewegt sich das Emoji {name}?",
        what_moves="was bewegt sich {direction}?",
        first="was bewegt sich zuerst?",
        last="was bewegt sich zuletzt?",
        how_many="wie viele Dinge sind da?",
        colour="welche Farbe hat der Hintergrund?",
        caption="zuerst bewegt sich {first} {first_way}, dann {last} {last_way}",
        description="{number} Dinge auf {colour}: {caption}",
        directions=("nach links", "nach rechts", "nach oben", "nach unten"),
        numbers=("zwei", "drei", "vier"),
        colours=("blau", "grün", "gelb", "rosa"),
    ),
    "en": Words(
        direction="which way does the {name} go?",
        what_moves="what goes {direction}?",
        first="what moves first?",
        last="what moves last?",
        how_many="how many things are there?",
        colour="what colour is the background?",
        caption="the {first} goes {first_way}, then the {last} goes {last_way}",
        description="{number} things on {colour}: {caption}",
        directions=("left", "right", "up", "down"),
        numbers=("two", "three", "four"),
        colours=COLOURS,
    ),
    "es": Words(
        direction="¿hacia dónde va el emoji {name}?",
        what_moves="¿qué va {direction}?",
        first="¿qué se mueve primero?",
        last="¿qué se mueve al final?",
        how_many="¿cuántas cosas hay?",
        colour="¿de qué color es el fondo?",
        caption="primero {first} va {first_way}, luego {last} va {last_way}",
        description="{number} cosas sobre {colour}: {caption}",
        directions=("hacia la izquierda", "hacia la derecha", "hacia arriba", "hacia abajo"),
        numbers=("dos", "tres", "cuatro"),
        colours=("azul", "verde", "amarillo", "rosa"),
    ),
    "fr": Words(
        direction="dans quelle direction va l'emoji {name} ?",
        what_moves="qu'est-ce qui va {direction} ?",
        first="qu'est-ce qui bouge en premier ?",
        last="qu'est-ce qui bouge en dernier ?",
        how_many="combien de choses y a-t-il ?",
        colour="de quelle couleur est le fond ?",
        caption="d'abord {first} va {first_way}, puis {last} va {last_way}",
        description="{number} choses sur {colour} : {caption}",
        directions=("vers la gauche", "vers la droite", "vers le haut", "vers le bas"),
        numbers=("deux", "trois", "quatre"),
        colours=("bleu", "vert", "jaune", "rose"),
    ),
}


def check_language(language: str) -> None:
    """Raises ValueError if `language` is not supported."""
    if language not in LANGUAGES:
        raise ValueError(f"language: received {language!r}, expected one of {', '.join(LANGUAGES)}")


class Speaker:
    """Makes names, questions, answers and captions in one language.

    Args:
        language: One of `LANGUAGES`.
    """

    def __init__(self, language: str):
        check_language(language)
        emoji.config.load_language(language)
        self.language, self.words = language, LANGUAGES[language]
        self._directions = dict(zip(STEPS, self.words.directions, strict=True))
        self._numbers = dict(zip(NUMBERS, self.words.numbers, strict=True))
        self._colours = dict(zip(COLOURS, self.words.colours, strict=True))

    def name(self, text: str) -> str:
        return name_of(text, self.language)

    def direction(self, direction: str) -> str:
        return self._directions[direction]

    def number(self, count: int) -> str:
        return self._numbers[count]

    def colour(self, colour: str) -> str:
        return self._colours[colour]
