"""The data set `shapes`: pictures of one to three shapes with captions and questions."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le

from mmzoo import DataError, FilePath, NonNegativeInt, PositiveInt
from mmzoo_datasets.built import Built
from mmzoo_datasets.shapes_builder import PICTURES, SHAPES, SIZE, shapes
from mmzoo_datasets.shapes_scenes import MOST


class Shapes(Built):
    """Pictures of one to three shapes, with captions that name each shape.

    A shape has one of six kinds (circle, square, triangle, star, ring, cross), six colours (red, green, blue, yellow, purple,
    black) and two sizes (small, large). A caption names kind, colour and size of each shape, and where the first one is: a
    side of the picture, or its relation to the others. Each picture has five captions of the same meaning. The background is
    light and varies; captions do not name it. Labels of the first-named shape tell for each attribute whether a model does what
    the caption says. The same seed generates the same pictures.

    Each picture has one question about the first-named shape, in English: which kind, colour or size is the shape in a place
    ("which kind is the shape on the left?"), or where the shape of a colour is ("where is the red shape?"). A picture shows
    each colour once at most, so the question tells which shape is meant.

    Args:
        language: Language of the captions: de, en, es or fr. Labels and questions are English in all of
            them.
        split: How examples are held out. `composition`: one colour of each kind is only in the test, where every picture's
            first-named shape has such a combination; from 240 training pictures on, each word of its captions occurs in
            training. `random`: all combinations are in all splits.
        size: Height and width of a picture in pixels, a multiple of 8 from 16 on. Kinds are hard to distinguish below 32.
        pictures: Number of training pictures; validation has a tenth as many, the test a fifth. Kinds, colours, sizes and
            places of the first-named shape are exactly balanced in training and test for multiples of 240 with `composition`,
            of 1440 with `random`, and nearly so otherwise. What is asked is equally frequent there too.
        most: Maximum number of shapes in a picture; each number up to it is equally frequent.
        seed: Random seed of the pictures and of the held-out combinations.
        data_dir: Folder for the pictures; the data folder of TFDS if not given.
    """

    fields: ClassVar[Mapping[str, str]] = {
        "image": "the picture, PNG bytes",
        "captions": "five captions of the picture in different words, texts",
        "caption": "the first of the captions, text",
        "mismatched_captions": "captions that are wrong in one attribute, or in which of two shapes has it, texts",
        "kind": "kind of the first-named shape: circle, square, triangle, star, ring or cross, text",
        "colour": "its colour: red, green, blue, yellow, purple or black, text",
        "shape_size": "its size: small or large, text",
        "place": "the side of the picture where it is: left, right, top or bottom, text",
        "count": "the number of shapes: 1, 2 or 3, text",
        "question": "a question about the first-named shape, English text",
        "answer": "its answer: one of the labels above, text",
        "asked": "what the question asks for: kind, colour, size or place, text",
        "scene": "identifier of the picture, text",
    }
    pictures = ("image",)
    what = "pictures"
    about = "Pictures of one to three shapes, with captions and questions."
    source = "painted by mmzoo-datasets"
    licence = "Apache-2.0"

    def __init__(
        self,
        *,
        language: str = "en",
        split: Literal["composition", "random"] = "composition",
        size: PositiveInt = SIZE,
        pictures: PositiveInt = PICTURES,
        most: Annotated[int, Ge(1), Le(MOST)] = SHAPES,
        seed: NonNegativeInt = 0,
        data_dir: FilePath | None = None,
    ):
        try:
            self.builder = shapes(
                language=language, split=split, size=size, pictures=pictures, most=most, seed=seed, data_dir=data_dir
            )
        except ValueError as error:
            raise DataError(f"{error}.") from error

    @property
    def cost(self) -> str:
        config = self.builder.builder_config
        pictures = round(1.3 * config.pictures)
        seconds, megabytes = pictures * (0.27 + config.size**2 / 19_000) / 1e3, pictures * (500 + 18 * config.size) / 1e6
        return f"painting {pictures:,} pictures once, about {seconds:.0f} s and {megabytes:.0f} MB"
