"""Dataset: options -> splits of raw examples, and a card that describes them. Light: imports no TensorFlow.

A dataset is a class with a `card`, `prepare()` and `splits()`; no base class is needed. Its options are the keyword
arguments of `__init__`. Raw means undecoded: pictures are encoded bytes, texts are strings.

    class Shapes:
        def __init__(self, *, size: PositiveInt = 32): ...
        card = Card(fields={"image": "PNG bytes", "name": "text"}, sizes={"train": 100, "test": 20})
        def prepare(self): ...  # download or render; does nothing if the data is ready
        def splits(self): return {"train": dataset, "test": dataset}  # each a tf.data.Dataset of {"image": ..., "name": ...}

A split is a `tf.data.Dataset`, or an `Indexed`, whose examples are read by number.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

SPLITS = ("train", "validation", "test")
"""The splits that mmzoo reads: `train` to fit, `validation` to watch the training, `test` to score the model."""

ROW = "@row"
"""Optional raw field that says where an example comes from, `pairs.csv:12`. Messages name the example by it."""
FAULT = "@fault"
"""Optional raw field that says why an example cannot be read. It is empty for a readable example."""


def fault_of(field: str) -> str:
    """Names the optional raw field that says why one field of an example cannot be read. It matters to what reads the field."""
    return f"{FAULT}.{field}"


@dataclass(frozen=True)
class Card:
    """Describes a data set without reading its examples.

    Args:
        fields: Field name -> what it holds. A field may hold several values per example, such as five captions of a picture.
            Training draws one of them at random in each epoch; evaluation uses all of them as references.
        sizes: Split name -> number of examples, where it is known.
        about: What the data set is, in one sentence.
        source: Where it comes from.
        licence: Its licence.
        needs: What `prepare` still has to do, and at what cost. Empty when the data is ready.
        note: A message for the user about what was found when the data was divided into splits.
        fingerprint: A text that differs when the data differs under the same options, such as a digest of a table. Empty if
            the options, and the version of the plugin, say all.
    """

    fields: Mapping[str, str]
    sizes: Mapping[str, int] = field(default_factory=dict)
    about: str = ""
    source: str = ""
    licence: str = ""
    needs: str = ""
    note: str = ""
    fingerprint: str = ""


class FieldSpec(NamedTuple):
    """What a field of an `Indexed` holds for each example.

    Args:
        dtype: The dtype of its values.
        several: Whether it holds a list of values, and not one value.
    """

    dtype: Literal["string", "int64", "float32", "bool"] = "string"
    several: bool = False


@runtime_checkable
class Indexed(Protocol):
    """A split that is an index: its examples are read by number, in any order, and only the fields that somebody asks for.

    So mmzoo shuffles all of it without memory, and a pass over texts reads no pictures. Fields that are costly to read should
    be read by `read` alone.
    """

    @property
    def specs(self) -> Mapping[str, FieldSpec]:
        """Returns what each field holds."""

    def __len__(self) -> int:
        """Counts the examples."""

    def read(self, numbers: "np.ndarray", fields: Collection[str]) -> Mapping[str, Sequence[Any]]:
        """Reads fields of some examples; it is called from several threads at once.

        Args:
            numbers: `(examples,)`, int64, from 0 on, in any order.
            fields: Names of fields.

        Returns:
            Each field: the value of each example, or its list of values; and for each example the texts `ROW` and, if it likes,
            `FAULT` and `fault_of` a field. An example that cannot be read has a fault and empty values; nothing is raised.
        """


@runtime_checkable
class Dataset(Protocol):
    """A data set with its options bound. Making one is cheap: it reads metadata and no examples."""

    @property
    def card(self) -> Card:
        """Describes the data set as far as it is known now."""

    def prepare(self) -> None:
        """Makes the data readable: downloads, renders or checks it. Does nothing when the data is ready.

        Raises:
            DataError: The data cannot be obtained.
        """

    def splits(self) -> Mapping[str, "tf.data.Dataset | Indexed"]:
        """Returns the splits by name. Each example is a flat dict of raw fields.

        A field is a scalar (encoded bytes, a UTF-8 string, a number) or a list of scalars, `(values,)`.
        """


def natural_key(name: str) -> tuple[list[Any], str]:
    """Returns a sort key that puts file names in natural order: `2.jpg` before `10.jpg`."""
    parts = re.split(r"([0-9]+)", name)  # text and digits alternate, so parts at the same index have the same type
    return [int(part) if index % 2 else part.lower() for index, part in enumerate(parts)], name
