"""Task, splits -> trained Run: seed, precision, `fit` with its callbacks, and the weights that are kept."""

import importlib.util
import shutil
from typing import Any

import keras

from mmzoo.contracts.progress import Screen
from mmzoo.data.batches import ordered_batches, training_batches
from mmzoo.data.splits import Data
from mmzoo.errors import TrainingError
from mmzoo.modeling.assemble import symbols_of
from mmzoo.modeling.devices import check_shares, devices
from mmzoo.modeling.task import Task
from mmzoo.recipe.settings import Train
from mmzoo.run.atomic import replacing, write_json
from mmzoo.run.folder import Run
from mmzoo.training.callbacks import FreezeEncoders, WatchLoss
from mmzoo.training.checkpoint import History, KeepBest, SaveCheckpoint, State, restore
from mmzoo.training.optimizer import make_optimizer


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
    steps = data.steps(options.batch_size)
    size, parts = data.sizes["train"], options.grad_cache_chunks
    if size < options.batch_size:
        check_shares(f"the only batch of the training split has {size} examples", size, devices(), parts)
    task.compile(optimizer=make_optimizer(options, steps * options.epochs), jit_compile=options.jit_compile, loss=None)
    _spare_vectors(task)
    task.optimizer.build(task.trainable_variables)
    if parts > 1:
        task.train_in_chunks(parts, symbols_of(data.plan, {name: one.features for name, one in data.processors.items()}))
    state = restore(task, run) if resume else State()
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


def _fit(task: Task, data: Data, run: Run, screen: Screen, state: State, steps: int) -> None:
    options = data.plan.train
    epochs = range(state.epoch, options.epochs)
    validation = _validation(data, screen) if "validation" in data.raw else None
    watch = WatchLoss(run, state, screen, options.epochs, steps)
    callbacks: list[Any] = [keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: _reseed(task, epoch)), watch]
    callbacks.append(FreezeEncoders(data.plan.trainable))
    if options.patience is not None:
        callbacks.append(KeepBest(run, state))
    if options.ema_momentum is not None:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=False))
    callbacks.append(SaveCheckpoint(run, state, options.patience))
    if options.tensorboard:
        callbacks.append(_tensorboard(run))
    try:
        task.fit(
            training_batches(data, "train", options.batch_size, options.seed, epochs),
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
    return ordered_batches(data, "validation", data.plan.train.batch_size, size - over)


def _reseed(task: Task, epoch: int) -> None:
    """Makes what an epoch draws at random (dropout, augmentation) follow from the seed and its number alone.

    Keras' checkpoints keep no random state; so a resumed training draws what an unbroken one would have drawn.
    """
    for variable in task.non_trainable_variables:
        if variable.path.endswith("seed_generator_state"):  # two numbers: the seed, and how often it was drawn from
            variable.assign(keras.ops.stack([variable[0], keras.ops.cast(epoch << 20, variable.dtype)]))


def _finish(task: Task, run: Run, state: State, options: Train) -> None:
    task.optimizer.finalize_variable_values(task.trainable_variables)  # the averages, if there are any, become the weights
    best = run.checkpoint / "best.weights.h5"
    if options.patience is not None and best.exists():
        task.load_weights(best)
    shutil.rmtree(run.gallery, ignore_errors=True)  # other weights embedded it
    run.missing.unlink(missing_ok=True)  # other weights reached it
    with replacing(run.weights) as beside:
        task.save_weights(beside)
    write_json(run.history, state.history)


def _tensorboard(run: Run) -> Any:
    if importlib.util.find_spec("tensorboard") is None:
        raise TrainingError("train.tensorboard needs TensorBoard: pip install 'mmzoo[tensorboard]'.")
    return keras.callbacks.TensorBoard(run.folder / "tensorboard")
