"""Loads KerasHub presets; an error is raised in one line."""

import re
from pathlib import Path
from typing import Any

from mmzoo import StreamError, reason_of, suggest

HUBS = "(hf|kaggle|modelscope)://"
"""Regular expression of the prefixes of presets on a hub."""


def load_preset(kind: Any, preset: str, **options: Any) -> Any:
    """Loads a KerasHub backbone or tokenizer.

    Args:
        kind: KerasHub class that the preset must have.
        preset: A preset's name, `hf://...`, `kaggle://...`, or a folder in KerasHub's or Hugging Face's format.
        options: Arguments of the backbone that replace the preset's.

    Raises:
        StreamError: The preset does not exist, cannot be fetched or read, is of another class, or does not fit `options`.
    """
    if not re.match(HUBS, preset) and preset not in kind.presets and not Path(preset).exists():
        advice = suggest(preset, kind.presets) or "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
        raise StreamError(f"there is no preset and no folder '{preset}'. {advice}")
    try:
        return kind.from_preset(preset, **options)
    except Exception as error:  # hubs and file formats have errors of their own
        raise StreamError(f"the preset '{preset}' cannot be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Returns the reason of an error that KerasHub, Keras or a hub raised, in one line."""
    text = str(error)
    if host := re.search(r"host='([^']+)'", text):
        return f"{host[1]} cannot be reached. Check the network, or give a folder that holds it."
    if "has no config.json" in text:
        return "there is no config.json. Check its name and the network, or give a folder that has all its files."
    return reason_of(error)
