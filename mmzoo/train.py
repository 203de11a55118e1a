"""Task, splits -> trained Run: seed, precision, devices, fit, callbacks, checkpoints."""

import importlib.util
import math
import shutil
import time
from collections.abc import Mapping
from typing import Any

import keras

from mmzoo.assemble import symbols_of
from mmzoo.data import Data
from mmzoo.devices import check_shares, devices
from mmzoo.errors import RunError, TrainingError
from mmzoo.optimizer import make_optimizer
from mmzoo.plan import Train
from mmzoo.progress import Screen
from mmzoo.run import Run, replacing, write_json
from mmzoo.task import Task

History = dict[str, list[float]]


def prepare(train: Train) -> None:
    """Sets the seed and the precision; call it before the task is assembled."""
    # With a global seed of 0 TensorFlow cannot shuffle by a seed that is a tensor, as each epoch's is.
    keras.utils.set_random_seed(train.seed or 2**31 - 2)
    keras.config.set_dtype_policy(train.precision)


def train(task: Task, data: Data, run: Run, screen: Screen, resume: bool = False) -> History:
    """Trains a task and writes its weights and history to the run.

    Args:
        task: Built.
        data: Scanned.
        run: Begun.
        screen: Where progress goes.
        resume: Continue from the run's checkpoint, if it has one.

    Raises:
        TrainingError: The loss is no number any more; the message names the step and the last good checkpoint.
        RunError: The run's folder cannot be written.
    """
    options = data.plan.train
    steps = data.steps(options.batch)
    size, parts = data.sizes["train"], options.accumulate_contrastive
    if size < options.batch:
        check_shares(f"the only batch of the training split has {size} examples", size, devices(), parts)
    task.compile(optimizer=make_optimizer(options, steps * options.epochs), jit_compile=options.jit, loss=None)
    _spare_vectors(task)
    task.optimizer.build(task.trainable_variables)
    if parts > 1:
        task.train_in_parts(parts, symbols_of(data.plan, {name: one.features for name, one in data.processors.items()}))
    state = _restore(task, run) if resume else _State()
    if state.epoch < options.epochs and not state.stopped(options.patience):
        _fit(task, data, run, screen, state, steps)
    _finish(task, run, state, options)
    return state.history


def _spare_vectors(task: Task) -> None:
    """Keeps weight decay from biases, gains of normalisations and single numbers such as a temperature."""
    optimizer: Any = getattr(task.optimizer, "inner_optimizer", task.optimizer)
    spared = [
        weight for weight in task.trainable_variables if len(weight.shape) < 2 or weight.name == "bias"
    ]  # a GRU's has two axes
    optimizer.exclude_from_weight_decay(var_list=spared)


def _fit(task: Task, data: Data, run: Run, screen: Screen, state: "_State", steps: int) -> None:
    options = data.plan.train
    epochs = range(state.epoch, options.epochs)
    validation = _validation(data, screen) if "validation" in data.raw else None
    watch = _Steps(run, state, screen, options.epochs, steps)
    callbacks: list[Any] = [keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: _reseed(task, epoch)), watch]
    callbacks.append(_Hold(data.plan.trainable))
    if options.patience is not None:
        callbacks.append(_Best(run, state))
    if options.ema is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=False))
    callbacks.append(_Checkpoint(run, state, options.patience))
    if options.tensorboard:
        callbacks.append(_tensorboard(run))
    try:
        task.fit(
            data.batches("train", options.batch, options.seed, epochs),
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            validation_data=validation,
            shuffle=False,  # the data comes shuffled
            callbacks=callbacks,
            verbose=0,
        )
    finally:
        watch.close()


def _validation(data: Data, screen: Screen) -> Any:
    """Gives the held-out batches, without the last few examples that the devices cannot share."""
    size, over = data.sizes["validation"], data.sizes["validation"] % devices()
    if over == size:
        raise TrainingError(f"the split 'validation' has {size} examples, too few for {devices()} devices. Give fewer devices.")
    if over:
        screen.say(
            f"train     the validation loss leaves out the last {over} of {size:,}, which {devices()} devices cannot share"
        )
    return data.ordered_batches("validation", data.plan.train.batch, size - over)


def _reseed(task: Task, epoch: int) -> None:
    """Makes what an epoch draws at random (dropout, augmentation) follow from the seed and its number alone.

    Keras' checkpoints keep no random state; so a resumed training draws what an unbroken one would have drawn.
    """
    for variable in task.non_trainable_variables:
        if variable.path.endswith("seed_generator_state"):  # two numbers: the seed, and how often it was drawn from
            variable.assign(keras.ops.stack([variable[0], keras.ops.cast(epoch << 20, variable.dtype)]))


def _finish(task: Task, run: Run, state: "_State", options: Train) -> None:
    task.optimizer.finalize_variable_values(task.trainable_variables)  # the averages, if there are any, become the weights
    best = run.checkpoint / "best.weights.h5"
    if options.patience is not None and best.exists():
        task.load_weights(best)
    shutil.rmtree(run.gallery, ignore_errors=True)  # other weights embedded it
    run.missing.unlink(missing_ok=True)  # other weights reached it
    with replacing(run.weights) as beside:
        task.save_weights(beside)
    write_json(run.history, state.history)


def load_weights(task: Task, run: Run) -> None:
    """Loads the trained weights of a run into its assembled task.

    Raises:
        RunError: The file is broken, or does not fit the task.
    """
    try:
        task.load_weights(run.weights)
    except (OSError, ValueError) as error:
        raise RunError(f"{run.weights}: the weights do not fit the run's plan: {error}.") from error


class _State:
    """Where a training stands; what a checkpoint remembers beside the weights."""

    def __init__(self) -> None:
        self.epoch = 0
        self.best = math.inf
        self.waited = 0
        self.weights = ""
        self.history: History = {}

    def stopped(self, patience: int | None) -> bool:
        return patience is not None and self.waited >= patience


def _restore(task: Task, run: Run) -> _State:
    state = _State()
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


class _Hold(keras.callbacks.Callback):
    """Holds encoders still until the epoch from which on each is trained."""

    def __init__(self, trainable: Mapping[str, bool | int]):
        super().__init__()
        self.trainable = trainable

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        held = {name for name, first in self.trainable.items() if epoch + 1 < first}  # True is 1
        if held != self.model.held:
            self.model.hold(held)
            self.model.make_train_function(force=True)


class _Steps(keras.callbacks.Callback):
    """Stops at the first loss that is no number, before a checkpoint can keep it, and shows progress.

    On something that is no terminal there is a line for each epoch, and no bar.
    """

    async_safe = True  # Keras then reads a step's loss while the next step runs, and everything read before an epoch ends

    def __init__(self, run: Run, state: _State, screen: Screen, epochs: int, steps: int):
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
            "Try a smaller learning rate, `train.clip: 1.0`, or `train.precision: float32`."
        )

    def _left(self, epoch: int) -> str:
        done = epoch + 1 - self.first
        seconds = (time.monotonic() - self.began) / done * (self.epochs - epoch - 1)
        return f"{seconds / 60:.1f} min left"


class _Best(keras.callbacks.Callback):
    """Keeps the weights with the least validation loss. Stands before the swap back from EMA weights, so it sees those."""

    def __init__(self, run: Run, state: _State):
        super().__init__()
        self.run, self.state = run, state

    def on_test_end(self, logs: Any = None) -> None:
        loss = float((logs or {}).get("loss", math.inf))
        self.state.waited += 1
        if loss < self.state.best:
            self.state.best, self.state.waited = loss, 0
            with replacing(self.run.checkpoint / "best.weights.h5") as beside:
                self.model.save_weights(beside)


class _Checkpoint(keras.callbacks.Callback):
    """Saves after each epoch: first the weights under a new name, then the state that points to them, with the losses."""

    def __init__(self, run: Run, state: _State, patience: int | None):
        super().__init__()
        self.run, self.state, self.patience = run, state, patience

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        state, previous = self.state, self.state.weights
        name = f"epoch-{epoch + 1:04d}.weights.h5"
        with replacing(self.run.checkpoint / name) as beside:
            self.model.save_weights(beside)
        state.epoch, state.weights = epoch + 1, name
        for key, value in {**(logs or {}), "seconds": round(time.monotonic() - self.began, 1)}.items():
            state.history.setdefault(key, []).append(float(value))
        write_json(self.run.checkpoint / "state.json", vars(state))
        if previous and previous != name:
            (self.run.checkpoint / previous).unlink(missing_ok=True)
        self.model.stop_training = self.model.stop_training or state.stopped(self.patience)


def _tensorboard(run: Run) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        raise TrainingError("train.tensorboard needs TensorBoard: pip install 'mmzoo[tensorboard]'.")
    return keras.callbacks.TensorBoard(run.folder / "tensorboard")
