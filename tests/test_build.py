"""The whole way from Python: what a build leaves behind, and what opens it again."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import mmzoo
from mmzoo.progress import Screen

FOLDER = {
    "README.md",
    "answers.jsonl",
    "checkpoint",
    "export",
    "history.json",
    "plan.json",
    "processors",
    "recipe.yaml",
    "report.html",
    "scores.json",
    "task.weights.h5",
}


@pytest.fixture(scope="module")
def runs(toy_world):
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
    assert runs[0].recipe.read_text("utf-8") == (toy_world / "r.yaml").read_text("utf-8")
    plan = read(runs[0].plan)
    assert plan["recipe"]["train"]["clip"] is None  # a default, written out
    assert {"mmzoo", "mmzoo-image", "keras", "tensorflow"} <= set(plan["versions"])


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


def test_a_run_may_be_moved(runs, pictures, tmp_path):
    moved = shutil.copytree(runs[0].folder, tmp_path / "moved")
    here, there = mmzoo.load(runs[0]).predict(image=pictures.numpy()), mmzoo.load(moved).predict(image=pictures.numpy())
    assert here["answer"].tolist() == there["answer"].tolist()


def test_check_writes_nothing_and_tells_the_joins(toy_world):
    before = sorted(toy_world.iterdir())
    checked = mmzoo.check("r.yaml", overrides=["encoders.image.dim=5"])
    assert sorted(toy_world.iterdir()) == before
    join = checked.joins[0]
    assert (join.part, join.gives, join.weights) == (
        "encoders.image",
        "{tokens: (batch, 1, 5) float32, mask: (batch, 1) bool}",
        9 * 9 * 3 * 5 + 5,
    )


def test_the_table_of_scores_names_the_baselines_beside_the_model(runs):
    scores = read(runs[0].scores)
    assert {"exact_match", "baseline.most_frequent.exact_match", "baseline.nearest.exact_match"} <= set(scores)
    assert all(isinstance(value, int | float | str) for value in scores.values())
