"""Task, Data -> trained weights in the Run: optimizer, `fit` with its callbacks, and the weights that are saved."""

import importlib.util
import shutil
import threading
from typing import Any

import keras

from mmzoo.contracts.head import Head
from mmzoo.contracts.progress import Screen
from mmzoo.data.batches import ordered_batches, training_batches
from mmzoo.data.open import features_of
from mmzoo.data.scan import first_faults
from mmzoo.data.splits import Data
from mmzoo.errors import TrainingError
from mmzoo.modeling.assemble import symbols_of
from mmzoo.modeling.devices import check_shares, devices
from mmzoo.modeling.task import Task
from mmzoo.recipe.settings import Train
from mmzoo.run.atomic import write_json
from mmzoo.run.folder import Run
from mmzoo.run.termination import on_termination
from mmzoo.training.callbacks import ErrorOnNaN, FreezeEncoders, ProgressBar, ReseedEpochs, Watch
from mmzoo.training.checkpoint import BestWeights, Checkpoints, History, TrainingState, restore, save_weights
from mmzoo.training.normalisation import recompute_statistics
from mmzoo.training.optimizer import make_optimizer

WATCHED = 8
"""Examples that are watched while a head trains."""


def train(task: Task, data: Data, run: Run, screen: Screen, resume: bool = False) -> History:
    """Trains a task and writes its weights and history to the run.

    Args:
        task: The built task.
        data: The scanned splits.
        run: The folder, with its plan written.
        screen: Shows the progress.
        resume: Continue from the run's checkpoint, if it has one.

    Returns:
        The losses, by name and epoch.

    Raises:
        TrainingError: The loss is NaN or infinite (the message names the step and the last good checkpoint), or the examples
            cannot be split over the devices.
        RunError: The run's folder cannot be written.
    """
    options = data.plan.train
    steps = data.steps(options.batch_size)
    size, chunks = data.sizes["train"], options.grad_cache_chunks
    if size < options.batch_size:
        check_shares(f"the only batch of the training split has {size} examples", size, devices(), chunks)
    task.compile(
        optimizer=make_optimizer(options, steps * options.epochs, task.head.players), jit_compile=options.jit_compile, loss=None
    )
    _exclude_from_weight_decay(task)
    task.optimizer.build(task.trainable_variables)
    if chunks > 1:
        task.train_in_chunks(chunks, symbols_of(data.plan, features_of(data.processors)))
    state = restore(task, run) if resume else TrainingState()
    if state.epoch < options.epochs and not state.stopped(options.patience):
        _fit(task, data, run, screen, state, steps)
    _save(task, data, run, state, options)
    return state.history


def _exclude_from_weight_decay(task: Task) -> None:
    """Excludes biases, the gains of normalizations, and scalars such as a temperature from weight decay."""
    optimizer: Any = getattr(task.optimizer, "inner_optimizer", task.optimizer)
    excluded = [
        weight for weight in task.trainable_variables if len(weight.shape) < 2 or weight.name == "bias"
    ]  # the bias of a GRU has two axes
    optimizer.exclude_from_weight_decay(var_list=excluded)


def _fit(task: Task, data: Data, run: Run, screen: Screen, state: TrainingState, steps: int) -> None:
    options = data.plan.train
    epochs = range(state.epoch, options.epochs)
    validation = _validation_batches(data, screen) if "validation" in data.raw else None
    ending = threading.Event()
    with screen.bar() as bar, on_termination(ending.set):
        progress = ProgressBar(bar, screen, epochs.start * steps + state.steps, epochs.stop, steps)
        callbacks: list[Any] = [ReseedEpochs(), ErrorOnNaN(run, state), progress, FreezeEncoders(data.plan.trainable)]
        if options.patience is not None:
            callbacks.append(BestWeights(run, state))
        if type(task.head).watch is not Head.watch:
            split = "validation" if validation is not None else "train"
            examples = next(iter(ordered_batches(data, split, WATCHED, WATCHED)))
            callbacks.append(Watch(examples, run, screen, validation is not None))
        if options.ema_momentum is not None:
            callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=False))
        callbacks.append(Checkpoints(run, state, steps, options.checkpoint_minutes, options.patience, ending))
        if options.tensorboard:
            callbacks.append(_tensorboard(run))
        task.fit(
            training_batches(data, "train", options.batch_size, options.seed, epochs, state.steps),
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            validation_data=validation,
            shuffle=False,  # the batches are shuffled already
            callbacks=callbacks,
            verbose=0,
        )
    if lost := data.lost.get("train", {}) | data.lost.get("validation", {}):
        what = "examples could not be read while training. Others of their batch took their place"
        screen.say(f"warning   {len(lost)} {what}:\n" + first_faults([f"{row}: {reason}" for row, reason in lost.items()]))


def _validation_batches(data: Data, screen: Screen) -> Any:
    """Returns the batches of the validation split, without the last few examples that the devices cannot share."""
    size, rest = data.sizes["validation"], data.sizes["validation"] % devices()
    if rest == size:
        raise TrainingError(f"the split 'validation' has {size} examples, too few for {devices()} devices. Give fewer devices.")
    if rest:
        screen.say(
            f"train     the validation loss leaves out the last {rest} of {size:,}, which {devices()} devices cannot share"
        )
    return ordered_batches(data, "validation", data.plan.train.batch_size, size - rest)


def _tensorboard(run: Run) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        raise TrainingError("train.tensorboard needs TensorBoard: pip install 'mmzoo[tensorboard]'.")
    return keras.callbacks.TensorBoard(run.tensorboard)


def _save(task: Task, data: Data, run: Run, state: TrainingState, options: Train) -> None:
    """Writes the final weights (averaged, or the best ones, as the plan says) and the history to the run."""
    task.optimizer.finalize_variable_values(task.trainable_variables)  # with `ema_momentum` the averages become the weights
    best = run.checkpoint / "best.weights.h5"
    if options.patience is not None and best.exists():
        task.load_weights(best)
    if options.ema_momentum is not None:
        recompute_statistics(task, training_batches(data, "train", options.batch_size, options.seed, range(1)))
    shutil.rmtree(run.gallery, ignore_errors=True)  # it was embedded with other weights
    run.missing.unlink(missing_ok=True)  # these are scores of other weights
    task.optimizer = None  # its state would triple the file; the checkpoint holds it for a training that goes on
    save_weights(task, run.weights)
    write_json(run.history, state.history)
