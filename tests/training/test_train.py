"""Training goes on where it stopped, stops where it must, and gives the same weights twice."""

import os
import shutil
import signal

import keras
import numpy as np
import pytest
from toy_trainings import arrays, assert_same, break_off, history, kill_after, trained, weights

from mmzoo.contracts.progress import Screen
from mmzoo.errors import DataError, RunError, TrainingError
from mmzoo.recipe.settings import Train
from mmzoo.run.folder import Run
from mmzoo.run.termination import Terminated
from mmzoo.trained import load
from mmzoo.training.checkpoint import load_weights
from mmzoo.training.optimizer import make_optimizer

pytestmark = [pytest.mark.usefixtures("toy_world"), pytest.mark.slow]


@pytest.fixture(scope="module")
def plain(toy_world):
    """The toy's training as its recipe says: one epoch."""
    return trained(toy_world / "plain")


def test_a_resumed_training_equals_an_unbroken_one(monkeypatch, tmp_path):
    four = ("train.epochs=4", "encoders.image.dropout=0.5")
    whole = trained(tmp_path / "whole", *four, fresh=True)
    with monkeypatch.context() as patch:
        break_off(patch, epoch=2)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "broken", *four, fresh=True)
    assert not (tmp_path / "broken" / "task.weights.h5").exists()
    assert_same(whole, trained(tmp_path / "broken", *four, fresh=True))


AVERAGED = (
    "train.epochs=3",
    "train.ema_momentum=0.9",
    "train.gradient_accumulation_steps=2",
    "train.patience=2",
    "encoders.image.dropout=0.5",
    "train.optimizer={type: adam, learning_rate: {type: cosine_decay, initial_learning_rate: 0.01}}",
)


def test_a_training_that_is_killed_between_any_two_files_equals_an_unbroken_one(monkeypatch, tmp_path):
    """Of three steps an epoch, each leaves a checkpoint: its weights, then its state; the best weights are a third file."""
    whole = trained(tmp_path / "whole", *AVERAGED)
    for files in (3, 3, 6):  # before a state within an epoch; before the weights of an epoch; within the second epoch
        with monkeypatch.context() as patch:
            kill_after(patch, files)
            with pytest.raises(KeyboardInterrupt):
                trained(tmp_path / "killed", *AVERAGED, "train.checkpoint_minutes=1e-9")
    assert_same(whole, trained(tmp_path / "killed", *AVERAGED))
    assert not any(path.startswith("optimizer") for path in arrays(tmp_path / "killed" / "task.weights.h5"))


def test_a_training_that_is_asked_to_end_saves_its_last_step(monkeypatch, plain, tmp_path):
    def ask(self, batch, logs=None):
        if batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("mmzoo.training.callbacks.ProgressBar.on_train_batch_begin", ask)
        with pytest.raises(Terminated):
            trained(tmp_path / "run")
    assert Run(tmp_path / "run").contents() == ["a checkpoint after epoch 0 and 1 steps"]
    assert_same(plain, trained(tmp_path / "run"))


def test_two_trainings_are_one_and_another_seed_is_another(plain, tmp_path):
    run = trained(tmp_path / "run", "train.seed=1")
    assert history(run) != history(plain)
    assert_same(plain, trained(tmp_path / "run", force=True))


def test_a_finished_training_goes_on_with_more_epochs(plain, tmp_path):
    shutil.copytree(plain.folder, tmp_path / "run")
    longer = trained(tmp_path / "run", "train.epochs=2", resume=True)
    assert_same(longer, trained(tmp_path / "whole", "train.epochs=2"))


def test_a_loss_that_is_no_number_stops_the_run_at_its_step(tmp_path):
    explode = (
        "train.optimizer={type: sgd, learning_rate: {type: piecewise_constant_decay, boundaries: [3], values: [0.01, 1e30]}}"
    )
    with pytest.raises(TrainingError) as raised:
        trained(tmp_path / "run", "train.epochs=3", explode)
    # Three steps an epoch: the fifth update, the second of epoch 2, is the first huge one, so the next loss is none.
    kept = tmp_path / "run" / "checkpoint" / "epoch-0001.weights.h5"
    assert str(raised.value) == (
        f"the loss is NaN or infinite at step 3 of epoch 2. The last good checkpoint is {kept}.\n"
        "Try a smaller learning rate, `train.global_clipnorm: 1.0`, or `train.precision: float32`."
    )
    assert all(np.isfinite(value).all() for value in arrays(kept).values() if value.dtype.kind == "f")


def test_patience_stops_and_keeps_the_best_weights(tmp_path):
    # A learning rate that ruins the weights after the first epoch: the best validation loss is the first epoch's.
    ruin = "train.optimizer={type: sgd, learning_rate: {type: piecewise_constant_decay, boundaries: [3], values: [0.01, 5.0]}}"
    run = trained(tmp_path / "run", "train.epochs=9", "train.patience=2", ruin)
    losses = history(run)["val_loss"]
    assert len(losses) == 3
    assert losses[0] == min(losses)
    first = trained(tmp_path / "first", ruin)
    for path, value in weights(first).items():
        np.testing.assert_array_equal(value, weights(run)[path], err_msg=path)


def test_the_averages_become_the_weights(tmp_path):
    """With a momentum of nearly 1 the averages stay where they begin, at the weights after the first step."""
    sgd = "train.optimizer={{type: sgd, learning_rate: {{type: piecewise_constant_decay, boundaries: [0], values: [0.0, {}]}}}}"
    still = weights(trained(tmp_path / "still", sgd.format(0.0)))
    moved = weights(trained(tmp_path / "moved", sgd.format(0.5)))
    averaged = weights(trained(tmp_path / "averaged", sgd.format(0.5), "train.ema_momentum=0.99999"))
    for path in (path for path in still if "encoders" in path):
        assert np.abs(moved[path] - still[path]).max() > 0.01
        np.testing.assert_allclose(averaged[path], still[path], atol=1e-4)


def test_accumulated_steps_average_gradients_and_weights_once():
    """Against the formulas: w <- w - lr mean of g over k steps, and average <- m average + (1 - m) w in k steps."""
    rate, momentum, gradients = 0.5, 0.8, [1.0, 3.0, -2.0, 6.0, 0.0, 1.0]
    optimizer = make_optimizer(
        Train(optimizer={"type": "sgd", "learning_rate": rate}, gradient_accumulation_steps=2, ema_momentum=momentum),
        steps=len(gradients),
    )
    variable = keras.Variable(2.0)
    optimizer.build([variable])
    weight = average = 2.0
    for step, gradient in enumerate(gradients):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        if step % 2:
            weight -= rate * (gradients[step - 1] + gradient) / 2
            assert float(variable.value) == pytest.approx(weight, abs=1e-6)
    optimizer.finalize_variable_values([variable])
    # Keras begins to average at the first updated weight, and averages at every step; between updates the weight stands still.
    weight = 2.0
    for step, gradient in enumerate(gradients):
        if step % 2:
            weight -= rate * (gradients[step - 1] + gradient) / 2
        average = weight if step < 2 else momentum**0.5 * average + (1 - momentum**0.5) * weight
    assert float(variable.value) == pytest.approx(average, abs=1e-5)


def test_half_precision_trains(tmp_path):
    losses = history(trained(tmp_path / "run", "train.precision=mixed_bfloat16", "train.epochs=2"))["loss"]
    assert keras.config.dtype_policy().name == "float32"
    assert np.isfinite(losses).all()
    assert losses[1] < losses[0]


def test_the_cpu_beside_gpus_trains_as_where_there_are_none(monkeypatch, plain, tmp_path):
    monkeypatch.setattr("mmzoo.modeling.devices.accelerators", lambda: ["/GPU:0"])
    run = trained(tmp_path / "run", "train.devices=cpu")
    assert_same(plain, run)


def test_devices_that_are_not_there_are_missed_before_the_data_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr("mmzoo.modeling.devices.why_none", lambda: "TensorFlow says: no driver.")
    monkeypatch.setattr("mmzoo.data.open.read_data", None)
    with pytest.raises(TrainingError, match=r"there is no GPU that TensorFlow finds.*\nTensorFlow says: no driver\."):
        trained(tmp_path / "run", "train.devices=gpu", fresh=True)
    assert not (tmp_path / "run").exists()


def test_patience_without_a_validation_split(tmp_path, monkeypatch):
    monkeypatch.setattr("mmzoo.data.open.SPLITS", ("train", "test"))
    with pytest.raises(DataError, match=r"no split 'validation'; it has train, test\.\nAdd one, .*--set train.patience=null"):
        trained(tmp_path / "run", "train.patience=1", fresh=True)


def test_weights_of_another_plan_are_refused(plain, tmp_path):
    other = trained(tmp_path / "other", "encoders.image.dim=5")
    with pytest.raises(RunError, match="the weights do not fit the run's plan"):
        load_weights(load(plain).task, other)
    other.weights.write_bytes(b"no weights")
    with pytest.raises(RunError, match="the weights do not fit the run's plan"):
        load(other)


def test_each_epoch_is_a_line_where_there_is_no_terminal(tmp_path, capsys):
    trained(tmp_path / "run", "train.epochs=2", screen=Screen())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("train     epoch")]
    assert [line.split()[2] for line in lines] == ["1/2", "2/2"]
    assert all(" loss " in line and " val_loss " in line for line in lines)
    assert lines[-1].endswith("0.0 min left")


def test_weight_decay_spares_vectors(tmp_path):
    one_step = ("train.batch_size=24", "train.epochs=1")
    with_decay, without = (
        weights(trained(tmp_path / str(decay), *one_step, f"train.optimizer={{type: adamw, weight_decay: {decay}}}"))
        for decay in (0.5, 0.0)
    )
    same = {path: np.array_equal(value, without[path]) for path, value in with_decay.items()}
    axes = {path: value.ndim for path, value in with_decay.items()}
    assert {1, 2} <= set(axes.values())
    assert same == {path: count < 2 for path, count in axes.items()}
