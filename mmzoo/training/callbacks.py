"""Callbacks of a training: the progress bar, the stop at a loss that is not finite, and the freezing of encoders."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.progress import Progress

from mmzoo.contracts.progress import Screen
from mmzoo.errors import TrainingError
from mmzoo.run.atomic import replacing
from mmzoo.run.folder import Run
from mmzoo.training.checkpoint import GENERATOR, TrainingState


class ErrorOnNaN(keras.callbacks.Callback):
    """Raises at the first loss that is NaN or infinite.

    Like `keras.callbacks.TerminateOnNaN`, but the error names the step and the last good checkpoint. It must come before
    `Checkpoints` in the list, so that the weights of such an epoch are not saved.
    """

    async_safe = True  # Keras then reads the loss of a step while the next step runs, and the last one before the epoch ends

    def __init__(self, run: Run, state: TrainingState):
        super().__init__()
        self.run, self.state = run, state

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._check("loss", float((logs or {}).get("loss", 0.0)), f"at step {batch + 1} of epoch {self.epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, value in (logs or {}).items():
            self._check(name, float(value), f"at the end of epoch {epoch + 1}")

    def _check(self, name: str, value: float, when: str) -> None:
        if math.isfinite(value):
            return
        saved = self.run.checkpoint / self.state.weights if self.state.weights else None
        checkpoint = f"The last good checkpoint is {saved}" if saved else "No checkpoint had been written"
        raise TrainingError(
            f"the {name} is NaN or infinite {when}. {checkpoint}.\n"
            "Try a smaller learning rate, `train.global_clipnorm: 1.0`, or `train.precision: float32`."
        )


class ProgressBar(keras.callbacks.Callback):
    """Shows epoch, loss and time left: in a bar on a terminal, else in one line per epoch.

    Args:
        bar: The bar of `screen`, already shown.
        screen: Prints the lines.
        first: Steps that were finished before, if the training is resumed.
        epochs: Epochs in all.
        steps: Steps in an epoch.
    """

    async_safe = True  # as in `ErrorOnNaN`

    def __init__(self, bar: Progress, screen: Screen, first: int, epochs: int, steps: int):
        super().__init__()
        self.bar, self.screen, self.first, self.epochs, self.steps = bar, screen, first, epochs, steps
        self.began = time.monotonic()

    def on_train_begin(self, logs: Any = None) -> None:
        self.line = self.bar.add_task("train", total=self.epochs * self.steps, completed=self.first, note="")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch, self.done = epoch, max(self.first, epoch * self.steps)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        note = f"epoch {self.epoch + 1}/{self.epochs}  loss {float((logs or {}).get('loss', 0.0)):.3f}"
        self.bar.update(self.line, completed=self.done + batch + 1, note=note)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.screen.console.is_terminal:
            losses = "  ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
            self.screen.say(f"train     epoch {epoch + 1}/{self.epochs}  {losses}  {self._time_left(epoch)}")

    def _time_left(self, epoch: int) -> str:
        done = epoch + 1 - self.first / self.steps
        seconds = (time.monotonic() - self.began) / done * (self.epochs - epoch - 1)
        return f"{seconds / 60:.1f} min left"


class Watch(keras.callbacks.Callback):
    """Shows after each epoch what the head wants to be watched, on a few fixed examples, and says what goes wrong.

    With validation data, and on TensorFlow, it looks while the moving averages of the weights are in place, so it must come
    before Keras' `SwapEMAWeights` in the list. Else it looks at the raw weights.

    Args:
        features: Features and masks of the examples, by name.
        run: Pictures go to its folder `samples`.
        screen: Prints the numbers.
        validates: Whether there is validation data.
    """

    def __init__(self, features: Mapping[str, Any], run: Run, screen: Screen, validates: bool):
        super().__init__()
        # Features come from tf.data, whatever the backend.
        self.features = {name: keras.ops.convert_to_tensor(np.asarray(value)) for name, value in features.items()}
        self.run, self.screen = run, screen
        # Keras' JAX trainer gives the model its weights back at the end of an epoch, not at that of the validation.
        self.validates = validates and keras.backend.backend() == "tensorflow"
        self.epoch, self.said = 0, ""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_test_end(self, logs: Any = None) -> None:
        if self.validates:
            self._look()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not self.validates:
            self._look()

    def _look(self) -> None:
        head = self.model.head
        targets = {name: self.features[name] for name in head.targets}
        watched = {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in self._watched(targets).items()}
        if not watched:
            return
        pictures = watched.pop("pictures", None)
        if pictures is not None:
            save_grid(pictures, self.run.sample(self.epoch + 1))
        numbers = "  ".join(f"{name} {float(value.mean()):.3f}" for name, value in watched.items())
        self.screen.say(f"watch     epoch {self.epoch + 1}  {numbers}")
        warning = head.warn(watched)
        if warning and warning != self.said:
            self.screen.say(f"warning   {warning}")
        self.said = warning

    def _watched(self, targets: Mapping[str, Any]) -> Any:
        return self.model.head.watch(self.model.streams(self.features), targets)


def save_grid(pictures: np.ndarray, path: Path) -> None:
    """Writes pictures `(rows, columns, height, width, 3)`, 0 to 255, as one PNG with thin lines between them."""
    rows, columns, height, width, _ = pictures.shape
    lined = np.pad(pictures.clip(0, 255).round(), ((0, 0), (0, 0), (1, 0), (1, 0), (0, 0)), constant_values=255)
    whole = lined.swapaxes(1, 2).reshape(rows * (height + 1), columns * (width + 1), 3).astype("uint8")
    with replacing(path) as temporary:
        keras.utils.array_to_img(whole, scale=False).save(temporary, format="PNG")


class FreezeEncoders(keras.callbacks.Callback):
    """Freezes each encoder until the epoch from which on it is trained.

    Args:
        trainable: Encoder -> True, False, or the number of its first trained epoch, counted from 1.
    """

    def __init__(self, trainable: Mapping[str, bool | int]):
        super().__init__()
        self.trainable = trainable

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        frozen = {name for name, first in self.trainable.items() if epoch + 1 < first}  # True is 1
        if frozen != self.model.frozen:
            self.model.freeze(frozen)
            self.model.make_train_function(force=True)


class ReseedEpochs(keras.callbacks.Callback):
    """Reseeds dropout and augmentation in each epoch, from the seed and the number of the epoch alone.

    Keras' checkpoints do not hold the state of random generators. So a resumed training draws the same numbers as an
    uninterrupted one.
    """

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        for variable in self.model.non_trainable_variables:
            if variable.path.endswith(GENERATOR):  # two numbers: the seed, and how often it was drawn from
                variable.assign(keras.ops.stack([variable[0], keras.ops.cast(epoch << 20, variable.dtype)]))
