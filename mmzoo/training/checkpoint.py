"""Weights and checkpoints of a run: saved after each epoch, restored when a training is resumed, loaded when it is done."""

import math
import time
from typing import Any

import keras

from mmzoo.errors import RunError
from mmzoo.modeling.task import Task
from mmzoo.run.atomic import replacing, write_json
from mmzoo.run.folder import Run

History = dict[str, list[float]]


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
        """Name of the file with the weights after the last finished epoch."""
        self.history: History = {}

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
            with replacing(self.run.checkpoint / "best.weights.h5") as temporary:
                self.model.save_weights(temporary)


class EpochCheckpoint(keras.callbacks.Callback):
    """Saves a checkpoint after each epoch: first the weights under a new name, then the state, which names that file.

    Also records the losses in the history, and stops the training when the patience is spent.
    """

    def __init__(self, run: Run, state: TrainingState, patience: int | None):
        super().__init__()
        self.run, self.state, self.patience = run, state, patience

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        state, previous = self.state, self.state.weights
        name = f"epoch-{epoch + 1:04d}.weights.h5"
        with replacing(self.run.checkpoint / name) as temporary:
            self.model.save_weights(temporary)
        state.epoch, state.weights = epoch + 1, name
        for key, value in {**(logs or {}), "seconds": round(time.monotonic() - self.began, 1)}.items():
            state.history.setdefault(key, []).append(float(value))
        write_json(self.run.checkpoint / "state.json", vars(state))
        if previous and previous != name:
            (self.run.checkpoint / previous).unlink(missing_ok=True)
        self.model.stop_training = self.model.stop_training or state.stopped(self.patience)
