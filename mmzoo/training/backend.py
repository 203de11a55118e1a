"""Sets Keras' backend before Keras is imported. Imports neither Keras nor TensorFlow until then."""

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmzoo.errors import TrainingError
from mmzoo.recipe.source import Recipe

BACKENDS = ("tensorflow", "jax")
"""The backends that can train."""
DEFAULTS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Otherwise TensorFlow reserves the whole memory of a GPU, and none is left for the process that checks the exported model.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    # Otherwise TensorFlow returns CPU memory to the system after each step, and the system clears it before the next one: that
    # is a third of the step time of a small transformer.
    "TF_CPU_ALLOCATOR_USE_BFC": "true",
    # Megabytes that its CPU allocator may take: more than any machine has. The default limit is 64 GB.
    "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(2**22),
}
"""Environment variables that TensorFlow reads once, and the values of those that are not set."""


def backend_of(recipe: Recipe) -> Any:
    """Returns the backend of a recipe: its `train.backend`, or else KERAS_BACKEND, or else TensorFlow. Sets nothing."""
    node = dict(recipe.root.items()).get("train")
    option = dict(node.items()).get("backend") if node is not None else None
    backend = option.value if option is not None else "auto"
    if backend == "auto" or backend not in BACKENDS:  # `resolve` reports an unknown one
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return backend


def set_backend(backend: str) -> None:
    """Sets Keras' backend and imports Keras; after that the backend cannot be changed.

    Raises:
        TrainingError: The backend is unknown or not installed, or Keras is already imported with another one.
    """
    if backend not in BACKENDS:
        raise TrainingError(f"the backend '{backend}' of KERAS_BACKEND cannot train; expected {' or '.join(BACKENDS)}.")
    if importlib.util.find_spec(backend) is None:
        raise TrainingError(f"the backend '{backend}' is not installed: pip install 'mmzoo[{backend}]'.")
    if "keras" in sys.modules:
        import keras

        if keras.backend.backend() != backend:
            raise TrainingError(
                f"Keras is already imported with the backend '{keras.backend.backend()}', but '{backend}' is needed. "
                f"Set KERAS_BACKEND={backend} before Keras is imported, or use a new process."
            )
    os.environ["KERAS_BACKEND"] = backend
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    with hushed():
        import keras
        import tensorflow  # noqa: F401


@contextmanager
def hushed() -> Iterator[None]:
    """Silences the messages that TensorFlow's libraries print while they load; errors are still raised."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", DEFAULTS["TF_CPP_MIN_LOG_LEVEL"])
    logging.getLogger("absl").setLevel(logging.ERROR)
    stderr = os.dup(2)
    try:
        with Path(os.devnull).open("w") as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
