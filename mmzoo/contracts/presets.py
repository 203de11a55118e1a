"""Files of pretrained models in Hugging Face's format. Light."""

import json
from pathlib import Path
from typing import Any

HUGGING_FACE = "hf://"


def preset_json(preset: str, name: str) -> dict[str, Any]:
    """Reads a JSON file of a pretrained model; empty if the model has no such file.

    Args:
        preset: A folder, or `hf://...`. Any other preset has no such file.
        name: The file's name, such as `preprocessor_config.json`.

    Raises:
        OSError: The file cannot be fetched or read.
        ValueError: The file is not JSON.
    """
    path = Path(preset) / name
    if preset.startswith(HUGGING_FACE):
        try:
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import RemoteEntryNotFoundError
        except ImportError as error:
            raise OSError(f"{preset} needs a package: pip install 'mmzoo[huggingface]'") from error
        try:
            path = Path(hf_hub_download(preset.removeprefix(HUGGING_FACE), name))
        except RemoteEntryNotFoundError:
            return {}
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}
