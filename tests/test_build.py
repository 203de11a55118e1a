"""The whole way from Python: what a build leaves behind, and what opens it again."""

import json
import logging
import os
import random
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

import mmzoo
from mmzoo.build import evaluate
from mmzoo.contracts.progress import Screen
from mmzoo.planned import unfinished_changes
from mmzoo.run.atomic import write_json
from mmzoo.run.folder import Run
from mmzoo.training.process import unchanged

pytestmark = pytest.mark.slow

FOLDER = {
    "README.md",
    "answers.jsonl",
    "checkpoint",
    "export",
    "history.json",
    "log.txt",
    "plan.json",
    "stages.json",
    "processors",
    "recipe.yaml",
    "report.html",
    "scores.json",
    "task.weights.h5",
}


@pytest.fixture(scope="module")
def runs(toy_world, asked_here):
    """Two builds of one recipe."""
    return [mmzoo.build("r.yaml", out=f"run-{number}", screen=Screen(quiet=True)) for number in (1, 2)]


@pytest.fixture(scope="module")
def pictures(runs):
    model = mmzoo.load(runs[0])
    batch = next(iter(model.open_data(Screen(quiet=True)).raw_batches("test", 3)))
    return batch["image"]


def read(path):
    return json.loads(path.read_text("utf-8"))


def test_a_run_holds_everything_that_it_came_from_and_gave(runs, toy_world):
    assert {path.name for path in runs[0].folder.iterdir()} == FOLDER
    assert f"train     on the CPU ({os.cpu_count()} cores)" in runs[0].log.read_text("utf-8")
    assert runs[0].recipe.read_text("utf-8") == (toy_world / "r.yaml").read_text("utf-8")
    plan = read(runs[0].plan)
    assert plan["recipe"]["train"]["global_clipnorm"] is None  # a default, written out
    assert {"mmzoo", "mmzoo-toys", "mmzoo-captioning", "keras", "tensorflow"} <= set(plan["versions"])


def test_two_builds_of_a_recipe_give_the_same_scores_and_answers(runs):
    assert runs[0].scores.read_text("utf-8") == runs[1].scores.read_text("utf-8")
    assert runs[0].answers.read_text("utf-8") == runs[1].answers.read_text("utf-8")


def test_a_reopened_run_answers_as_its_export(runs, pictures):
    model = mmzoo.load(runs[0].folder)
    ours = model.predict(image=pictures.numpy())
    exported = tf.saved_model.load(str(runs[0].export / "1")).signatures["serving_default"](image=pictures)
    assert ours.keys() == exported.keys()
    for name, value in ours.items():
        found = exported[name].numpy()
        if value.dtype == object:
            assert value.tolist() == found.tolist()
        else:
            np.testing.assert_allclose(value, found, rtol=1e-5)


def test_calls_leave_the_process_as_it_was_and_compute_as_the_run_does(runs, pictures):
    """However the caller computes: with other settings while a run is opened, asked for the first time, scored and checked."""
    expected = mmzoo.load(runs[0]).predict(image=pictures.numpy())
    with unchanged():
        keras.config.set_dtype_policy("mixed_bfloat16")
        keras.config.set_floatx("float16")
        keras.utils.set_random_seed(3)
        before = settings_and_states()
        model = mmzoo.load(runs[0])
        answers = model.predict(image=pictures.numpy())
        assert settings_and_states() == before
        evaluate(model, Screen(quiet=True))
        mmzoo.check("r.yaml")
        with pytest.raises(mmzoo.MmzooError):
            mmzoo.load(runs[0], overrides=["head.units=5"])
        assert settings_and_states() == before
    assert {layer.compute_dtype for layer in model.task._flatten_layers()} == {"float32"}
    for name, value in expected.items():
        np.testing.assert_array_equal(answers[name], value)


def settings_and_states():
    random_states = random.getstate(), np.random.get_state()[1].tolist(), context.global_seed()
    config = [getattr(keras.config, name)() for name in ("floatx", "epsilon", "image_data_format")]
    level = logging.getLogger("absl").level
    return random_states, config, keras.config.dtype_policy().name, keras.distribution.distribution(), level, dict(os.environ)


def test_a_run_may_be_moved(runs, pictures, tmp_path):
    moved = shutil.copytree(runs[0].folder, tmp_path / "moved")
    here, there = mmzoo.load(runs[0]).predict(image=pictures.numpy()), mmzoo.load(moved).predict(image=pictures.numpy())
    assert here["answer"].tolist() == there["answer"].tolist()


def test_check_writes_nothing_and_tells_the_joins(toy_world):
    before = sorted(toy_world.iterdir())
    checked = mmzoo.check("r.yaml", overrides=["encoders.image.dim=5"])
    assert sorted(toy_world.iterdir()) == before
    join = checked.layers[0]
    assert (join.part, join.gives, join.weights) == (
        "encoders.image",
        "{tokens: (batch, 1, 5) float32, mask: (batch, 1) bool}",
        9 * 9 * 3 * 5 + 5,
    )


def test_the_table_of_scores_names_the_baselines_beside_the_model(runs):
    scores = read(runs[0].scores)
    assert {"exact_match", "baseline.most_frequent.exact_match", "baseline.nearest.exact_match"} <= set(scores)
    assert all(isinstance(value, int | float | str) for value in scores.values())


def test_a_run_is_reopened_and_answers_where_its_data_is_not(runs, pictures, monkeypatch):
    def gone(self, *, examples: int, seed: int):
        raise mmzoo.DataError("the squares are gone.")

    monkeypatch.setattr("mmzoo_toys.squares.Squares.__init__", gone)
    model = mmzoo.load(runs[0])
    assert model.predict(image=pictures.numpy())["ok"].all()
    with pytest.raises(mmzoo.DataError, match=r"^the squares are gone\.$"):
        model.open_data(Screen(quiet=True))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"picture": [b""]}, "picture: the signature 'answer' takes no such input. Known: image."),
        ({"image": [b""], "mood": ["good"]}, "mood: the signature 'answer' takes no such input. Known: image."),
        ({}, "the signature 'answer' needs image, each with one or more values."),
        ({"signature": "answers"}, "the model has no signature 'answers'. Nearest: answer. Known: answer."),
    ],
)
def test_what_a_model_is_asked_is_checked(runs, asked, message):
    with pytest.raises(mmzoo.MmzooError) as raised:
        mmzoo.load(runs[0]).predict(**asked)
    assert str(raised.value) == message


def test_a_resumed_run_keeps_what_its_processors_learned_and_may_export_a_new_version(runs, monkeypatch, tmp_path):
    run = shutil.copytree(runs[0].folder, tmp_path / "run")
    learned = (run / "processors" / "answer" / "labels.txt").read_text("utf-8")
    monkeypatch.setattr("mmzoo_toys.answering.Label.adapt", lambda self, values: self._learn(["other", "words"]))
    mmzoo.build("r.yaml", out=run, resume=True, overrides=["export.version=2"], screen=Screen(quiet=True))
    assert (run / "processors" / "answer" / "labels.txt").read_text("utf-8") == learned
    assert read(run / "scores.json") == read(runs[0].scores)
    assert sorted(path.name for path in (run / "export").iterdir()) == ["1", "2"]


def test_a_model_that_cannot_be_served_costs_no_training(toy_world, monkeypatch, tmp_path):
    def decode(self, values):
        return tf.numpy_function(lambda ids: ids.astype("S"), [values], tf.string)

    monkeypatch.setattr("mmzoo_toys.answering.Label.decode", decode)
    with pytest.raises(mmzoo.MmzooError, match="the op PyFunc calls Python, which the server does not have"):
        mmzoo.build("r.yaml", out=tmp_path / "run", screen=Screen(quiet=True))
    assert not (tmp_path / "run").exists()


def test_a_recipe_is_the_same_after_it_was_written(toy_world, tmp_path):
    """An option may hold a tuple, which JSON has not."""
    plan = mmzoo.check("r.yaml").plan
    plan.head.options["units"] = (1, 2)
    run = Run(tmp_path / "run")
    run.begin(plan, "")
    assert unfinished_changes(plan, run.load_plan(), resume=False) == []


def test_a_run_knows_the_data_that_it_was_trained_on(runs, monkeypatch, tmp_path, capsys):
    run = Run(shutil.copytree(runs[0].folder, tmp_path / "run"))
    stages = run.load_stages()
    model = mmzoo.load(run)
    card = replace(model.plan.data.make().card, fingerprint="ten captions were changed")
    monkeypatch.setattr("mmzoo_toys.squares.Squares.card", card)
    evaluate(model, Screen())
    said = "the run was trained on other data (changed: contents). The splits may hold other examples"
    assert said in " ".join(capsys.readouterr().out.split())
    assert run.load_stages() == stages  # so the next build evaluates again
    assert model.open_data(Screen(), most=1).sizes == {"test": 1}  # as an export does
    assert said in " ".join(capsys.readouterr().out.split())
    write_json(run.stages, {"data": stages["data"]})  # as if it had been stopped while it trained
    with pytest.raises(
        mmzoo.MmzooError, match=r"there is a run that was trained on other data, with a checkpoint after epoch \d"
    ):
        mmzoo.build("r.yaml", out=run.folder, resume=True, screen=Screen(quiet=True))
