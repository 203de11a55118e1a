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
PARTS = ("encoder", "processor")
"""Kinds of component that may be an option of another component."""
EncoderPart = Annotated[str | dict[str, Any], Reference("encoder")]
"""An encoder, written as under `encoders`. The component receives a factory: `factory(features=...)` makes the layer for the
`features` that it will read."""
ProcessorPart = Annotated[str | dict[str, Any], Reference("processor")]
"""A processor, written as under `inputs` but without `field`. The component receives a factory that makes it."""
FieldName = Annotated[str, Reference("field")]
"""The name of a field of the data set that the component's option of the type `Examples` chooses."""
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
