"""Weights and checkpoints of a run: saved while it trains, restored when it is resumed, loaded when it is done."""

import io
import math
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mmzoo.errors import RunError
from mmzoo.modeling.task import Task
from mmzoo.run.atomic import replacing, write_json
from mmzoo.run.folder import Run
from mmzoo.run.termination import Terminated

History = dict[str, list[float]]
GENERATOR = "seed_generator_state"
"""The last part of the path of a random generator's variable, which Keras does not save with the weights."""


class _Memory(io.BytesIO):
    """A file in memory with the name that Keras expects of a file with weights."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Writes the weights of a model, and of its optimizer, to a file in Keras' format, whole or not at all.

    Raises:
        RunError: The file cannot be written.
    """
    # HDF5 keeps a file open that it could not write, and ends the process with a segmentation fault when it tries again.
    memory = _Memory()
    model.save_weights(memory)
    with replacing(path) as temporary:
        temporary.write_bytes(memory.getbuffer())


def load_weights(task: Task, run: Run) -> None:
    """Loads the trained weights of a run into its assembled task.

    Raises:
        RunError: The file is broken, or does not fit the task.
    """
    try:
        task.load_weights(run.weights)
    except (OSError, ValueError) as error:
        raise RunError(f"{run.weights}: the weights do not fit the run's plan: {error}.") from error


class TrainingState:
    """The state of a training: what `state.json` of a checkpoint holds, beside the weights."""

    def __init__(self) -> None:
        self.epoch = 0
        """Finished epochs."""
        self.best = math.inf
        """The lowest validation loss so far."""
        self.waited = 0
        """Epochs since then."""
        self.weights = ""
        """Name of the file with the weights after the last finished step."""
        self.history: History = {}
        self.steps = 0
        """Finished steps of the epoch that is not finished."""
        self.seconds = 0.0
        """Time that they took."""
        self.generators: list[list[int]] = []
        """What the random generators hold after them."""
        self.means: list[float] = []
        """What the mean losses of this epoch hold after them."""

    def stopped(self, patience: int | None) -> bool:
        """Returns whether the validation loss has not become lower for `patience` epochs."""
        return patience is not None and self.waited >= patience


def restore(task: Task, run: Run) -> TrainingState:
    """Loads the last checkpoint of a run into a task and returns its state; the initial state if there is no checkpoint.

    Raises:
        RunError: The checkpoint cannot be read.
    """
    state = TrainingState()
    path = run.checkpoint / "state.json"
    if not path.exists():
        return state
    vars(state).update(run.load_json(path))
    weights = run.checkpoint / state.weights
    try:
        task.load_weights(weights)
    except (OSError, ValueError) as error:
        raise RunError(f"{weights}: the checkpoint cannot be read: {error}. Start again with --force.") from error
    return state


class BestWeights(keras.callbacks.Callback):
    """Saves the weights with the lowest validation loss.

    It must come before `SwapEMAWeights` in the list: that callback puts back the weights that are not averaged, and the
    averaged ones are to be saved.
    """

    def __init__(self, run: Run, state: TrainingState):
        super().__init__()
        self.run, self.state = run, state

    def on_test_end(self, logs: Any = None) -> None:
        loss = float((logs or {}).get("loss", math.inf))
        self.state.waited += 1
        if loss < self.state.best:
            self.state.best, self.state.waited = loss, 0
            save_weights(self.model, self.run.checkpoint / "best.weights.h5")


class Checkpoints(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch, every few minutes within an epoch, and when the process is asked to end.

    First come the weights under a new name, then the state, which names that file. It also records the losses in the history,
    and stops the training when the patience is spent.

    A training that was broken off within an epoch goes on at the next step. Its batches must begin there, and it must come
    after the callbacks that set random generators at the beginning of an epoch.

    Args:
        run: The folder.
        state: The state of the training so far.
        steps: Steps in an epoch.
        minutes: Time between two checkpoints within an epoch; None for none.
        patience: Epochs without a lower validation loss after which the training stops.
        ending: Set when the process is asked to end.
    """

    def __init__(
        self,
        run: Run,
        state: TrainingState,
        steps: int,
        minutes: float | None,
        patience: int | None,
        ending: threading.Event,
    ):
        super().__init__()
        self.run, self.state, self.steps, self.patience, self.ending = run, state, steps, patience, ending
        self.seconds = math.inf if minutes is None else 60 * minutes

    def on_train_begin(self, logs: Any = None) -> None:
        self.saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.first, self.began = self.state.steps, time.monotonic() - self.state.seconds
        if self.first:
            self._restore_epoch()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        # Unlike at its end, at the beginning of a step no other thread runs callbacks, and no step runs.
        if batch and (self.ending.is_set() or time.monotonic() - self.saved >= self.seconds):
            self._save_within_epoch(self.first + batch)
        if self.ending.is_set():
            raise Terminated
        if self.first and self.first + batch + 1 == self.steps:
            self.model.stop_training = True  # after this step Keras ends the epoch; `on_epoch_end` lets it begin the next one

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        state = self.state
        for key, value in {**(logs or {}), "seconds": round(time.monotonic() - self.began, 1)}.items():
            state.history.setdefault(key, []).append(float(value))
        state.epoch, state.steps, state.seconds, state.generators, state.means = epoch + 1, 0, 0.0, [], []
        self._save(f"epoch-{epoch + 1:04d}.weights.h5")
        self.model.stop_training = state.stopped(self.patience)

    def _save_within_epoch(self, steps: int) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        means = [keras.ops.convert_to_numpy(one).tolist() for one in self._mean_variables()]
        if not np.isfinite(means).all():
            return  # `ErrorOnNaN` is about to say so
        state = self.state
        state.steps, state.seconds, state.means = steps, time.monotonic() - self.began, means
        state.generators = [keras.ops.convert_to_numpy(one).tolist() for one in self._generator_variables()]
        self._save(f"epoch-{state.epoch + 1:04d}-step-{steps:06d}.weights.h5")

    def _restore_epoch(self) -> None:
        """Sets what the weights do not hold: random generators, and the mean losses of the epoch so far."""
        pairs = ((self._generator_variables(), self.state.generators), (self._mean_variables(), self.state.means))
        for variables, values in pairs:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(keras.ops.convert_to_tensor(value, dtype=variable.dtype))

    def _generator_variables(self) -> list[Any]:
        return [one for one in self.model.non_trainable_variables if one.path.endswith(GENERATOR)]

    def _mean_variables(self) -> list[Any]:
        return [variable for metric in self.model.metrics for variable in metric.variables]

    def _save(self, name: str) -> None:
        state, previous = self.state, self.state.weights
        save_weights(self.model, self.run.checkpoint / name)
        state.weights = name
        write_json(self.run.checkpoint / "state.json", vars(state))
        if previous and previous != name:
            (self.run.checkpoint / previous).unlink(missing_ok=True)
        self.saved = time.monotonic()
