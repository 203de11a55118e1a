"""mmzoo, a plugin model zoo for multimodal Keras: from a YAML recipe to a trained and served model.

These are the public names. `build`, `check` and `load` run recipes; the rest is for authors of plugins. Importing mmzoo
imports neither Keras nor TensorFlow: names that need them are imported at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmzoo.build import build, check  # not lazily, so that `mmzoo.build` is the function and not the module
from mmzoo.contracts.dataset import FAULT, ROW, SPLITS, Card, Dataset, FieldSpec, Indexed, fault_of, natural_key
from mmzoo.contracts.option_types import (
    EncoderPart,
    Examples,
    FieldName,
    FilePath,
    Fraction,
    HeadPart,
    InputName,
    NeededModel,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Preset,
    ProcessorPart,
    Rate,
)
from mmzoo.contracts.presets import preset_json
from mmzoo.errors import DataError, MmzooError, PluginError, StreamError, reason_of, suggest
from mmzoo.registry.hookspecs import hookimpl
from mmzoo.run.lock import holding
from mmzoo.trained import load

if TYPE_CHECKING:
    from mmzoo.contracts.head import Gallery, Head, Signature, search_gallery
    from mmzoo.contracts.loss import global_batch
    from mmzoo.contracts.metric import Metric, bootstrap_ci
    from mmzoo.contracts.processor import Processed, Processor, no_faults
    from mmzoo.contracts.progress import Screen
    from mmzoo.contracts.projections import plain_products
    from mmzoo.contracts.streams import (
        END,
        MASKED_LOGIT,
        PAD,
        START,
        UNKNOWN,
        FeatureSpec,
        Stream,
        given_ids,
        is_clip,
        make_stream,
        only_stream,
        pick_stream,
        pool,
        same_dim,
        unit,
    )
    from mmzoo.contracts.words import GRAPHEME, UNSPACED, UNSPACED_LETTERS, WORD_CUTS, WORD_SPACING, split_words

__version__ = "0.1.0"

_LAZY = {
    "head": ("Gallery", "Head", "Signature", "search_gallery"),
    "loss": ("global_batch",),
    "metric": ("Metric", "bootstrap_ci"),
    "processor": ("Processed", "Processor", "no_faults"),
    "progress": ("Screen",),
    "projections": ("plain_products",),
    "streams": (
        "END",
        "MASKED_LOGIT",
        "PAD",
        "START",
        "UNKNOWN",
        "FeatureSpec",
        "Stream",
        "given_ids",
        "is_clip",
        "make_stream",
        "only_stream",
        "pick_stream",
        "pool",
        "same_dim",
        "unit",
    ),
    "words": ("UNSPACED_LETTERS", "GRAPHEME", "WORD_SPACING", "UNSPACED", "WORD_CUTS", "split_words"),
}
"""Module of `mmzoo.contracts` that imports Keras, TensorFlow, NumPy or regex -> its public names, imported at first use."""

__all__ = [
    "END",
    "FAULT",
    "GRAPHEME",
    "MASKED_LOGIT",
    "PAD",
    "ROW",
    "SPLITS",
    "START",
    "UNKNOWN",
    "UNSPACED",
    "UNSPACED_LETTERS",
    "WORD_CUTS",
    "WORD_SPACING",
    "Card",
    "DataError",
    "Dataset",
    "EncoderPart",
    "Examples",
    "FeatureSpec",
    "FieldName",
    "FieldSpec",
    "FilePath",
    "Fraction",
    "Gallery",
    "Head",
    "HeadPart",
    "Indexed",
    "InputName",
    "Metric",
    "MmzooError",
    "NeededModel",
    "NonNegativeInt",
    "PluginError",
    "PositiveFloat",
    "PositiveInt",
    "Preset",
    "Processed",
    "Processor",
    "ProcessorPart",
    "Rate",
    "Screen",
    "Signature",
    "Stream",
    "StreamError",
    "bootstrap_ci",
    "build",
    "check",
    "fault_of",
    "given_ids",
    "global_batch",
    "holding",
    "hookimpl",
    "is_clip",
    "load",
    "make_stream",
    "natural_key",
    "no_faults",
    "only_stream",
    "pick_stream",
    "plain_products",
    "pool",
    "preset_json",
    "reason_of",
    "same_dim",
    "search_gallery",
    "split_words",
    "suggest",
    "unit",
]


def __getattr__(name: str) -> Any:
    for module, names in _LAZY.items():
        if name in names:
            return getattr(import_module(f"mmzoo.contracts.{module}"), name)
    raise AttributeError(f"module 'mmzoo' has no attribute '{name}'")
