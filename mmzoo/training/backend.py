"""Keras' backend, chosen before Keras is imported. Light until it is chosen."""

import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmzoo.errors import TrainingError
from mmzoo.recipe.source import Recipe

BACKENDS = ("tensorflow", "jax")
"""Those that a recipe may train on."""
NO_LIMIT = 2**22
"""Megabytes that a process may allocate on a processor, more than any has; TensorFlow's own limit is 64 GB."""


def choose_backend(recipe: Recipe) -> str:
    """Chooses the backend that a recipe asks for, or else KERAS_BACKEND, or else TensorFlow.

    Raises:
        TrainingError: As `set_backend`.
    """
    node = dict(recipe.root.items()).get("train")
    asked = dict(node.items()).get("backend") if node is not None else None
    backend = asked.value if asked is not None else "auto"
    if backend == "auto" or backend not in BACKENDS:  # resolve reports a wrong one
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    return set_backend(backend)


def set_backend(backend: str) -> str:
    """Chooses Keras' backend and imports Keras, which fixes it.

    Raises:
        TrainingError: There is no such backend, it is not installed, or Keras is there already with another.
    """
    if backend not in BACKENDS:
        raise TrainingError(
            f"the backend '{backend}' of KERAS_BACKEND is none that trains here; expected {' or '.join(BACKENDS)}."
        )
    if importlib.util.find_spec(backend) is None:
        raise TrainingError(f"the backend '{backend}' is not installed: pip install 'mmzoo[{backend}]'.")
    if "keras" in sys.modules:
        import keras

        if keras.backend.backend() != backend:
            raise TrainingError(
                f"Keras is already imported with the backend '{keras.backend.backend()}', and '{backend}' is asked for. "
                f"Set KERAS_BACKEND={backend} before Keras is imported, or use a new process."
            )
    os.environ["KERAS_BACKEND"] = backend
    # Otherwise TensorFlow takes a GPU's whole memory, and the process that checks the exported model finds none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # Otherwise a processor's memory is given back after each step and cleared by the system before the next: a third of the
    # time of a small transformer's step.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(NO_LIMIT))
    with hushed():
        import keras
        import tensorflow  # noqa: F401
    return backend


@contextmanager
def hushed() -> Iterator[None]:
    """Keeps what TensorFlow's libraries print while they load off the screen; a failure to load raises all the same."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("absl").setLevel(logging.ERROR)
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
