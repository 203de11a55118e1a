"""Loading from KerasHub's presets, with one line of text when it fails."""

import re
from pathlib import Path
from typing import Any

from mmzoo import StreamError, reason_of, suggest

HUBS = "(hf|kaggle|modelscope)://"
"""How the name of a preset begins that is none of KerasHub's own."""


def load_preset(kind: Any, preset: str, **options: Any) -> Any:
    """Loads a KerasHub backbone or tokenizer.

    Args:
        kind: What it must be: a class of KerasHub.
        preset: A preset's name, `hf://...`, `kaggle://...`, or a folder as KerasHub or Hugging Face write it.
        options: Of the backbone, instead of the preset's own.

    Raises:
        StreamError: There is none, it cannot be fetched or read, it is of another kind, or it does not fit `options`.
    """
    if not re.match(HUBS, preset) and preset not in kind.presets and not Path(preset).exists():
        advice = suggest(preset, kind.presets) or "Give a preset's name, 'hf://...', 'kaggle://...' or a folder."
        raise StreamError(f"there is no preset and no folder '{preset}'. {advice}")
    try:
        return kind.from_preset(preset, **options)
    except Exception as error:  # hubs and file formats have errors of their own
        raise StreamError(f"the preset '{preset}' cannot be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Says in one line what KerasHub, Keras or a hub raised."""
    text = str(error)
    if host := re.search(r"host='([^']+)'", text):
        return f"{host[1]} cannot be reached. Check the network, or give a folder that holds it."
    if "has no config.json" in text:
        return "there is no config.json. Check its name and the network, or give a folder that holds it whole."
    return reason_of(error)
