"""Types of options: ranges of numbers, and options that name something else in the recipe. Light."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True)
class Reference:
    """Marks an option whose value is the name of something else in the recipe."""

    to: str


InputName = Annotated[str, Reference("inputs")]
"""An option that names one of the recipe's inputs."""
Examples = Annotated[str | dict[str, Any] | None, Reference("examples")]
"""An option that names examples: a split of the recipe's data set, a data set of its own (a mapping, written as under
`data`) with all its splits, or none."""
PARTS = ("encoder", "processor")
"""Kinds of components that may be an option of another."""
EncoderPart = Annotated[str | dict[str, Any], Reference("encoder")]
"""An option that is an encoder itself, written as under `encoders`. The component is given what makes it: called with the
`features` that the encoder is to read, it gives the layer."""
ProcessorPart = Annotated[str | dict[str, Any], Reference("processor")]
"""An option that is a processor itself, written as under `inputs`, without `field`. The component is given what makes it."""
FieldName = Annotated[str, Reference("field")]
"""An option that names a field of such examples."""
PositiveInt = Annotated[int, Gt(0)]
"""A whole number of at least 1."""
NonNegativeInt = Annotated[int, Ge(0)]
"""A whole number of at least 0."""
Fraction = Annotated[float, Ge(0), Le(1)]
"""A number from 0 to 1, both included."""
Rate = Annotated[float, Ge(0), Lt(1)]
"""A number from 0, included, to 1, excluded: a dropout rate, a smoothing, a momentum."""
PositiveFloat = Annotated[float, Gt(0)]
"""A number above 0."""
