"""Callbacks of a training: freezing encoders, progress, and the stop at the first loss that is no number."""

import math
import time
from collections.abc import Mapping
from typing import Any

import keras

from mmzoo.contracts.progress import Screen
from mmzoo.errors import TrainingError
from mmzoo.run.folder import Run
from mmzoo.training.checkpoint import State


class FreezeEncoders(keras.callbacks.Callback):
    """Holds encoders still until the epoch from which on each is trained."""

    def __init__(self, trainable: Mapping[str, bool | int]):
        super().__init__()
        self.trainable = trainable

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        frozen = {name for name, first in self.trainable.items() if epoch + 1 < first}  # True is 1
        if frozen != self.model.frozen:
            self.model.freeze(frozen)
            self.model.make_train_function(force=True)


class WatchLoss(keras.callbacks.Callback):
    """Stops at the first loss that is no number, before a checkpoint can keep it, and shows progress.

    On something that is no terminal there is a line for each epoch, and no bar.
    """

    async_safe = True  # Keras then reads a step's loss while the next step runs, and everything read before an epoch ends

    def __init__(self, run: Run, state: State, screen: Screen, epochs: int, steps: int):
        super().__init__()
        self.run, self.state, self.screen, self.epochs, self.steps = run, state, screen, epochs, steps
        self.first, self.began = state.epoch, time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        self.context = self.screen.bar()
        self.bar = self.context.__enter__()
        done = self.first * self.steps
        self.line = self.bar.add_task("train", total=self.epochs * self.steps, completed=done, note="")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        self._check("loss", loss, f"at step {batch + 1} of epoch {self.epoch + 1}")
        note = f"epoch {self.epoch + 1}/{self.epochs}  loss {loss:.3f}"
        self.bar.update(self.line, completed=self.epoch * self.steps + batch + 1, note=note)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self._check(name, float(value), f"at the end of epoch {epoch + 1}")
        if not self.screen.console.is_terminal:
            losses = "  ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
            self.screen.say(f"train     epoch {epoch + 1}/{self.epochs}  {losses}  {self._left(epoch)}")

    def close(self) -> None:
        """Takes the bar away, whether the training ended or was broken off."""
        self.context.__exit__(None, None, None)

    def _check(self, name: str, value: float, when: str) -> None:
        if math.isfinite(value):
            return
        kept = self.run.checkpoint / self.state.weights if self.state.weights else None
        last = f"The last good checkpoint is {kept}" if kept else "No checkpoint had been written"
        raise TrainingError(
            f"the {name} is not a number any more {when}. {last}.\n"
            "Try a smaller learning rate, `train.global_clipnorm: 1.0`, or `train.precision: float32`."
        )

    def _left(self, epoch: int) -> str:
        done = epoch + 1 - self.first
        seconds = (time.monotonic() - self.began) / done * (self.epochs - epoch - 1)
        return f"{seconds / 60:.1f} min left"
