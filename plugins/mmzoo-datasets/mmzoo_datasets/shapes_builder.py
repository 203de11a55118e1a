"""TFDS builder `mmzoo_shapes`: pictures of one to three shapes, with captions, labels and questions. Nothing is downloaded."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image, ImageDraw

from mmzoo_datasets.built import QuietBuilder
from mmzoo_datasets.shapes_questions import questions
from mmzoo_datasets.shapes_scenes import MOST, SPLIT_KINDS, Scene, Shape, check_split, near_misses, scenes
from mmzoo_datasets.shapes_words import LANGUAGES, captions_of, check_language

SIZE = 64
STEP, SMALLEST = 8, 16
"""Sides of a picture are multiples of `STEP` pixels, from `SMALLEST` on."""
PICTURES = 6000
"""Default number of training pictures: whole blocks of both training and test of `composition`."""
SHAPES = 2
"""Default of the maximum number of shapes in a picture."""
SHARES = {"train": 1.0, "validation": 0.1, "test": 0.2}
"""Number of pictures of each split, relative to the training split."""
PALETTE = {
    "red": (220, 30, 40),
    "green": (30, 160, 60),
    "blue": (40, 90, 230),
    "yellow": (245, 195, 0),
    "purple": (165, 40, 185),
    "black": (25, 25, 25),
}
RADII = {"small": 0.115, "large": 0.19}
"""Radius of a shape, relative to the side of the picture. The smallest large shape has a larger area than the largest small."""
FINE = 4
"""Each pixel is painted as `FINE` x `FINE` and averaged."""
STAR = [
    (radius * math.sin(point * math.pi / 5), -radius * math.cos(point * math.pi / 5))
    for point, radius in enumerate((1.12, 0.5) * 5)
]
OUTLINES = {
    "square": [(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)],
    "triangle": [(0, -1.08), (1.06, 0.84), (-1.06, 0.84)],
    "star": STAR,
}
"""Corners of the shapes with corners, at radius 1 around (0, 0); the second coordinate points down."""
HOLE = 0.5
"""Radius of a ring's hole, relative to the ring's."""
BAR = 0.34
"""Half the width of a cross's bars, relative to half their length."""


@dataclasses.dataclass(eq=False)
class ShapesConfig(tfds.core.BuilderConfig):
    """Options of the data set; they make up its name and so the name of its folder. See the options of `Shapes`."""

    name: str = ""
    language: str = "en"
    split: str = "composition"
    size: int = SIZE
    pictures: int = PICTURES
    most: int = SHAPES
    seed: int = 0

    def __post_init__(self) -> None:
        check_language(self.language)
        check_split(self.split)
        if self.size % STEP or self.size < SMALLEST:
            raise ValueError(f"size: received {self.size} pixels, expected a multiple of {STEP} from {SMALLEST} on")
        if self.pictures < 1:
            raise ValueError(f"pictures: received {self.pictures}, expected at least 1")
        if not 1 <= self.most <= MOST:
            raise ValueError(f"most: received {self.most} shapes, expected 1 to {MOST}")
        self.name = self.name or self._name()

    def _name(self) -> str:
        """Returns language and split, then the options that differ from their defaults."""
        name = f"{self.language}_{self.split}"
        name += f"_{self.size}px" if self.size != SIZE else ""
        name += f"_{self.pictures}pictures" if self.pictures != PICTURES else ""
        name += f"_most{self.most}" if self.most != SHAPES else ""
        return name + (f"_seed{self.seed}" if self.seed else "")


class MmzooShapes(QuietBuilder):
    """Pictures of one to three shapes, with captions in one language, and labels of and a question about the first shape."""

    VERSION = tfds.core.Version("1.2.0")
    RELEASE_NOTES: ClassVar = {
        "1.0.0": "Pictures, captions and labels.",
        "1.1.0": "`question`, `answer` and `asked` are new; pictures, captions, labels and splits are those of 1.0.0.",
        "1.2.0": "`mismatched_captions` is new; all else is as in 1.1.0.",
    }
    BUILDER_CONFIGS: ClassVar = [
        ShapesConfig(language=language, split=split) for language in LANGUAGES for split in SPLIT_KINDS
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "en_composition"
    builder_config: ShapesConfig

    def _info(self) -> tfds.core.DatasetInfo:
        side, text = self.builder_config.size, tfds.features.Text()
        names = ("caption", "kind", "colour", "shape_size", "place", "count", "question", "answer", "asked", "scene")
        return tfds.core.DatasetInfo(
            builder=self,
            description="Pictures of one to three shapes, with captions, labels and questions.",
            supervised_keys=("image", "caption"),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
                    "captions": tfds.features.Sequence(text),
                    "mismatched_captions": tfds.features.Sequence(text),
                }
                | dict.fromkeys(names, text)
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split, share) for split, share in SHARES.items()}

    def _generate_examples(self, split: str, share: float) -> Iterator[tuple[str, dict[str, Any]]]:
        options = self.builder_config
        count = max(1, round(options.pictures * share))
        found = scenes(split, count, split=options.split, most=options.most, seed=options.seed)
        asked = questions(found, split=options.split, name=split, seed=options.seed)
        said = {shape.look[:2] for scene in found for shape in scene.shapes}
        for number, (scene, question) in enumerate(zip(found, asked, strict=True)):
            name, captions = f"{split}-{number:06}", captions_of(scene, options.language)
            others = [other for other in near_misses(scene, number) if {one.look[:2] for one in other.shapes} <= said]
            untrue = [
                captions_of(other, options.language)[(number + turn) % len(captions)] for turn, other in enumerate(others)
            ]
            texts = {"captions": captions, "caption": captions[0], "scene": name, "mismatched_captions": untrue}
            texts |= question._asdict()
            yield name, {"image": png_of(scene, options.size)} | texts | labels_of(scene)


def shapes(*, data_dir: str | None = None, **options: Any) -> MmzooShapes:
    """Makes the builder for these options, without reading or generating the data set."""
    config = ShapesConfig(**options)
    known = config.name in MmzooShapes.builder_configs
    return MmzooShapes(data_dir=data_dir, config=config.name if known else config)


def labels_of(scene: Scene) -> dict[str, str]:
    """Returns the labels of a scene, in English: those of its first shape, and the number of shapes."""
    kind, colour, size = scene.shapes[0].look
    return {"kind": kind, "colour": colour, "shape_size": size, "place": scene.place, "count": str(len(scene.shapes))}


def png_of(scene: Scene, size: int) -> bytes:
    """Paints a scene as a PNG of `size` x `size` pixels."""
    canvas = Image.fromarray(_paint_background(scene, size))
    for shape in scene.shapes:
        canvas.paste(PALETTE[shape.look.colour], (0, 0), _paint_mask(shape, size))
    target = io.BytesIO()
    canvas.save(target, format="PNG", compress_level=1)
    return target.getvalue()


def _paint_background(scene: Scene, size: int) -> np.ndarray:
    """Returns the background, (size, size, 3): it changes evenly from the upper left to the lower right corner."""
    steps = np.arange(size) / (2 * size - 2)
    share = (steps[:, None] + steps)[..., None]
    first, last = np.array(scene.background, "float64")
    return np.round(first + (last - first) * share).astype("uint8")


def _paint_mask(shape: Shape, size: int) -> Image.Image:
    """Returns how much of each pixel the shape covers, 0 to 255."""
    fine, kind = size * FINE, shape.look.kind
    x, y, radius = shape.x * fine, shape.y * fine, RADII[shape.look.size] * fine
    mask = Image.new("L", (fine, fine))
    draw = ImageDraw.Draw(mask)

    def box(across: float, down: float) -> tuple[float, float, float, float]:
        return x - radius * across, y - radius * down, x + radius * across, y + radius * down

    if kind in OUTLINES:
        draw.polygon([(x + radius * across, y + radius * down) for across, down in OUTLINES[kind]], fill=255)
    elif kind == "cross":
        draw.rectangle(box(1, BAR), fill=255)
        draw.rectangle(box(BAR, 1), fill=255)
    else:
        draw.ellipse(box(1, 1), fill=255)
        if kind == "ring":
            draw.ellipse(box(HOLE, HOLE), fill=0)
    return mask.reduce(FINE)
