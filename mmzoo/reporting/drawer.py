"""Served model -> the signatures that draw pictures of texts from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmzoo.contracts.head import Signature
from mmzoo.contracts.processor import Processor
from mmzoo.reporting.pictures import data_uri
from mmzoo.serving.served import Served

BATCH = 64
"""Pictures that are drawn at a time."""


@dataclass(frozen=True)
class Drawer:
    """A signature that draws a picture of a text, or of a list of texts, from a seed.

    Args:
        served: The model.
        signature: Its name.
        text: The input of the recipe whose processor reads the texts.
        output: The output with the picture.
        picture: The input of the recipe whose processor decodes it.
    """

    served: Served
    signature: str
    text: str
    output: str
    picture: str

    def draw(self, texts: Sequence[Any], seeds: Sequence[int]) -> list[str]:
        """Draws a picture of each text, or of each list of texts of one length, with its seed; returns data URIs."""
        uris: list[str] = []
        for start in range(0, len(texts), BATCH):
            rows = slice(start, start + BATCH)
            outputs = self.served.predict(self.signature, list(texts[rows]), np.asarray(seeds[rows], "int64"))
            uris += [data_uri(picture) for picture in outputs[self.output]]
        return uris


def drawn_outputs(served: Served, signature: Signature) -> dict[str, str]:
    """Returns the outputs of a signature that are pictures, and the input whose processor decodes each."""
    return {output: name for output, name in signature.decode.items() if served.processors[name].modality == "image"}


def find_drawer(served: Served, several: bool = False) -> Drawer | None:
    """Returns the first signature that takes nothing but a text and a seed and draws a picture; None if there is none.

    Args:
        served: The model.
        several: Find one that takes a list of texts instead.
    """
    for name, signature in served.answers.items():
        pictures = drawn_outputs(served, signature)
        if not (signature.seed and pictures and len(signature.read) == 1):
            continue
        (taken,) = signature.read
        text = signature.reads.get(taken, taken)
        if several == (taken in signature.reads) and _is_text(served.processors[text]):
            return Drawer(served, name, text, *next(iter(pictures.items())))
    return None


def _is_text(processor: Processor) -> bool:
    return processor.modality == "text" and processor.raw.shape.rank == 0
