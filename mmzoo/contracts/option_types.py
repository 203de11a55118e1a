"""Types for the options of components: numbers with a range, and names of other things in the recipe. Light.

    def __init__(self, *, dim: PositiveInt = 256, dropout: Rate = 0.0, target: InputName): ...

A recipe's values are checked against these annotations before anything is built.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class Reference:
    """Marks an option whose value names something else in the recipe, such as one of its `inputs`."""

    to: str


InputName = Annotated[str, Reference("inputs")]
"""The name of one of the recipe's inputs."""
Examples = Annotated[str | dict[str, Any] | None, Reference("examples")]
"""A set of examples: the name of a split of the recipe's data, another data set with all its splits (a mapping, written as
under `data`), or None."""
PARTS = ("encoder", "head", "processor")
"""Kinds of component that may be an option of another component."""
EncoderPart = Annotated[str | dict[str, Any], Reference("encoder")]
"""An encoder, written as under `encoders`. The component receives a factory: `factory(features=...)` makes the layer for the
`features` that it will read. It keeps the layer in an attribute with the option's name. With `weights: NEED/encoders.INPUT` the
layer starts from a needed run; inside a head it is then frozen."""
HeadPart = Annotated[str | dict[str, Any], Reference("head")]
"""A head, written as under `head`. The component receives a factory: `factory(inputs=...)` makes the head. The component keeps
the head, or the layer of it that it needs, in an attribute with the option's name. With `weights: NEED/head`, or
`NEED/head.LAYER` for an attribute of that head, it starts from a needed run; inside a head it is then frozen."""
ProcessorPart = Annotated[str | dict[str, Any], Reference("processor")]
"""A processor, written as under `inputs` but without `field`. The component receives a factory that makes it."""
FieldName = Annotated[str, Reference("field")]
"""The name of a field of the data set that the component's option of the type `Examples` chooses."""
NeededModel = Annotated[str, Reference("needs")]
"""The name of a recipe that this one needs; an option of a metric. The metric receives the model of its run: `model.name` is
the name, and `model(signature, **raw)` answers a batch of raw values as `mmzoo.Model.predict` does."""
FilePath = Annotated[str, Reference("file")]
"""A file or folder. A recipe names it from the folder where mmzoo is started; the component receives it as an absolute path. A
run that is opened again finds it wherever mmzoo is started then. `~` is the home folder."""
Preset = Annotated[str, Reference("preset")]
"""What others have trained, and the component starts from: a preset's name, a handle on a hub, or a folder. The model card
names it."""
PositiveInt = Annotated[int, Gt(0)]
"""An integer >= 1."""
NonNegativeInt = Annotated[int, Ge(0)]
"""An integer >= 0."""
Fraction = Annotated[float, Ge(0), Le(1)]
"""A float from 0 to 1, both included."""
Rate = Annotated[float, Ge(0), Lt(1)]
"""A float from 0 (included) to 1 (excluded): a dropout rate, label smoothing, a momentum."""
PositiveFloat = Annotated[float, Gt(0)]
"""A float > 0."""
