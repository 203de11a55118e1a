"""The model of a run that another run needs, as metrics call it."""

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from typing import Any

import numpy as np
import tensorflow as tf

from mmzoo.run.folder import Run
from mmzoo.run.stages import needed_run
from mmzoo.serving.predict import Exported, open_export


def needed_by(run: Run, names: Iterable[str]) -> "dict[str, Needed]":
    """Returns the models that a finished run needs, by their names in its recipe."""
    return {name: Needed(name, partial(needed_run, run, name)) for name in names}


class Needed:
    """A needed run's exported model; it is found and loaded when it is first called.

    Args:
        name: Its name in the recipe.
        find: Returns the run.
    """

    def __init__(self, name: str, find: Callable[[], Run]):
        self.name, self.find = name, find

    @cached_property
    def _exported(self) -> Exported:
        return open_export(self.find())

    @cached_property
    def _signatures(self) -> Any:
        return tf.saved_model.load(str(self._exported.folder)).signatures

    def __call__(self, signature: str, **raw: Any) -> dict[str, np.ndarray]:
        """Answers a batch: input -> a raw value for each example; returns output name -> array.

        Raises:
            RunError: The needed run is gone or has no exported model.
            MmzooError: It has no such signature or input.
        """
        values = self._exported.inputs(signature).complete(raw)
        return {name: value.numpy() for name, value in self._signatures[signature](**values).items()}
