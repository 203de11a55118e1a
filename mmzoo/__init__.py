"""mmzoo, the plugin model zoo for multimodal Keras: recipes in, served models out.

Importing this package imports neither Keras nor TensorFlow; the names below are fetched when they are used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmzoo.build import build, check  # at once, so that the name is the function's and not the module's
from mmzoo.dataset import FAULT, ROW, SPLITS, Card, Dataset, natural
from mmzoo.errors import DataError, MmzooError, PluginError, StreamError, reason_of, suggest
from mmzoo.hookspecs import hookimpl
from mmzoo.model import load
from mmzoo.options import (
    Count,
    EncoderPart,
    Examples,
    FieldName,
    Fraction,
    InputName,
    Positive,
    PositiveFloat,
    ProcessorPart,
    Rate,
)

if TYPE_CHECKING:
    from mmzoo.bootstrap import interval
    from mmzoo.processing import Processed, Processor, fine
    from mmzoo.progress import Screen
    from mmzoo.projections import plain_products
    from mmzoo.streams import (
        END,
        PAD,
        START,
        UNKNOWN,
        Features,
        Stream,
        given_ids,
        is_clip,
        make_stream,
        only_stream,
        pick_stream,
        pool,
        same_dim,
    )
    from mmzoo.task import Gallery, Head, Signature, whole_batch

__version__ = "0.1.0"

_LAZY = {
    "interval": "bootstrap",
    "Processed": "processing",
    "Processor": "processing",
    "fine": "processing",
    "Screen": "progress",
    "plain_products": "projections",
    "END": "streams",
    "PAD": "streams",
    "START": "streams",
    "UNKNOWN": "streams",
    "Features": "streams",
    "Stream": "streams",
    "given_ids": "streams",
    "is_clip": "streams",
    "make_stream": "streams",
    "only_stream": "streams",
    "pick_stream": "streams",
    "pool": "streams",
    "same_dim": "streams",
    "Gallery": "task",
    "Head": "task",
    "Signature": "task",
    "whole_batch": "task",
}

__all__ = [
    "END",
    "FAULT",
    "PAD",
    "ROW",
    "SPLITS",
    "START",
    "UNKNOWN",
    "Card",
    "Count",
    "DataError",
    "Dataset",
    "EncoderPart",
    "Examples",
    "Features",
    "FieldName",
    "Fraction",
    "Gallery",
    "Head",
    "InputName",
    "MmzooError",
    "PluginError",
    "Positive",
    "PositiveFloat",
    "Processed",
    "Processor",
    "ProcessorPart",
    "Rate",
    "Screen",
    "Signature",
    "Stream",
    "StreamError",
    "build",
    "check",
    "fine",
    "given_ids",
    "hookimpl",
    "interval",
    "is_clip",
    "load",
    "make_stream",
    "natural",
    "only_stream",
    "pick_stream",
    "plain_products",
    "pool",
    "reason_of",
    "same_dim",
    "suggest",
    "whole_batch",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mmzoo' has no attribute '{name}'")
    return getattr(import_module(f"mmzoo.{_LAZY[name]}"), name)
