"""What a data set is: options -> splits of raw fields, and a card. The contract alone; light."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import tensorflow as tf

SPLITS = ("train", "validation", "test")
"""The splits that mmzoo reads: to train, to choose, to report."""

ROW = "@row"
"""The raw field, if there is one, that says where an example comes from: `pairs.csv:12`."""
FAULT = "@fault"
"""The raw field, if there is one, that says why an example cannot be read; empty for a good one."""


@dataclass(frozen=True)
class Card:
    """What is known of a data set without reading it.

    Args:
        fields: Field name -> what it holds. A field that holds several values for one example (five captions of a
            picture) gives one of them at random in each epoch, and all of them as references in evaluation.
        sizes: Split name -> examples, as far as they are known.
        about: What it is, in a sentence.
        source: Where it comes from.
        licence: On what terms.
        needs: What `prepare` has to do yet, with its cost; empty when the data is ready.
    """

    fields: Mapping[str, str]
    sizes: Mapping[str, int] = field(default_factory=dict)
    about: str = ""
    source: str = ""
    licence: str = ""
    needs: str = ""


@runtime_checkable
class Dataset(Protocol):
    """A data set with its options bound. Making one is cheap: it reads metadata, no examples."""

    @property
    def card(self) -> Card:
        """What is known of it now."""

    def prepare(self) -> None:
        """Makes the data readable: renders, downloads or checks it. Does nothing when it is ready.

        Raises:
            DataError: It cannot be had.
        """

    def splits(self) -> Mapping[str, "tf.data.Dataset"]:
        """Gives the splits by name; each element is a flat dict of raw fields.

        A field is a scalar (encoded bytes, a UTF-8 string, a number) or a list of them, `(values,)`.
        """


def natural_key(name: str) -> tuple[list[Any], str]:
    """Gives the key that sorts names of files as people count, `2.jpg` before `10.jpg`: the order of the frames in a folder."""
    parts = re.split(r"([0-9]+)", name)  # text and digits take turns, so that equal places hold one type
    return [int(part) if place % 2 else part.lower() for place, part in enumerate(parts)], name
