"""A build that stands on other builds: what is built first, what is done again, what a part starts from."""

import json
import os
import shutil
from functools import wraps
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mmzoo
from mmzoo.build import build
from mmzoo.cli.verbs import main
from mmzoo.contracts.progress import Screen
from mmzoo.errors import MmzooError, RunError
from mmzoo.planned import plan_build, plan_works
from mmzoo.recipe.source import read_recipe
from mmzoo.registry.discovery import discover
from mmzoo.run.folder import Run
from mmzoo.run.stages import AFTER

pytestmark = pytest.mark.slow

STILL = ("train.optimizer={type: sgd, learning_rate: 0.0}",)
"""A training that changes nothing, so that what it started from can be seen."""


@pytest.fixture(scope="module")
def recipes(toy_world):
    """Writes late.yaml, and early.yaml, which needs it and starts its encoder and its head from it."""
    text = Path("r.yaml").read_text("utf-8")
    Path("late.yaml").write_text(text.replace("name: toy\n", "name: late\n"), "utf-8")
    early = text.replace("name: toy\n", "name: early\nneeds: {base: late.yaml}\n")
    early = early.replace("dim: 16}", "dim: 16, weights: base/encoders.image}").replace(
        "units: 8}", "units: 8, weights: base/head}"
    )
    Path("early.yaml").write_text(early, "utf-8")
    judged = text.replace("name: toy\n", "name: judged\nneeds: {base: late.yaml}\n")
    judged = judged.replace("units: 8", "units: 9").replace("[exact_match]", "[{type: toy_agreement, judge: base}]")
    Path("judged.yaml").write_text(judged, "utf-8")


@pytest.fixture(scope="module")
def runs(recipes, unrehearsed, asked_here):
    """Builds early.yaml, which builds late.yaml first."""
    return build("early.yaml", out="runs/early", overrides=STILL, screen=Screen(quiet=True)), Run(Path("runs/late"))


def works(recipe: str, *overrides: str, **options) -> dict[str, dict[str, str]]:
    """Says which stages of each run are due, and why."""
    found = plan_works(plan_build(read_recipe(recipe, overrides), discover()), **options)
    return {str(planned.run.folder): dict(work.due) for planned, work in found}


def said(recipe: str, *overrides: str) -> str:
    with pytest.raises(MmzooError) as raised:
        build(recipe, overrides=overrides, screen=Screen(quiet=True))
    return str(raised.value)


def test_what_is_needed_is_built_first_and_its_parts_are_the_start(runs):
    early, late = (mmzoo.load(run).task for run in runs)
    for name in ("encoders", "head"):
        own, theirs = (getattr(task, name) for task in (early, late))
        own, theirs = (own["image"], theirs["image"]) if name == "encoders" else (own, theirs)
        assert own.weights
        assert all((mine.numpy() == other.numpy()).all() for mine, other in zip(own.weights, theirs.weights, strict=True))


def test_a_finished_build_does_nothing(runs, monkeypatch, capsys):
    assert works("early.yaml", *STILL) == {"runs/late": {}, "runs/early": {}}
    for step in ("_train", "finish"):
        monkeypatch.setattr(import_module("mmzoo.build"), step, None)
    assert build("early.yaml", overrides=STILL).folder == runs[0].folder
    assert capsys.readouterr().out.count("is complete and nothing has changed; nothing to do") == 2


def test_what_a_build_would_do_is_shown(runs):
    command = ["build", "early.yaml", *(word for one in (*STILL, "metrics=[]") for word in ("--set", one)), "--explain"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    rows = [line.split(maxsplit=2) for line in map(str.rstrip, result.output.splitlines()) if line.startswith("runs/")]
    assert rows == [
        *(["runs/late", stage, "done"] for stage in AFTER),
        ["runs/early", "data", "done"],
        ["runs/early", "training", "done"],
        ["runs/early", "evaluation", "changed: metrics"],
        ["runs/early", "report", "the evaluation runs again"],
        ["runs/early", "export", "done"],
    ]


def test_check_shows_what_a_recipe_stands_on(recipes):
    printed = " ".join(CliRunner().invoke(main, ["check", "early.yaml"]).output.split())
    assert "needs base: late.yaml" in printed
    assert "starts from base/encoders.image takes" in printed
    assert "starts from base/head takes" in printed


@pytest.mark.parametrize(
    ("override", "due"),
    [
        ("metrics=[]", {"evaluation": "changed: metrics", "report": "the evaluation runs again"}),
        ("about=Other words.", {"report": "changed: about"}),
        ("export.examples=2", {"export": "changed: export.examples"}),
    ],
)
def test_only_what_changed_is_done_again(runs, override, due):
    assert works("early.yaml", *STILL, override) == {"runs/late": {}, "runs/early": due}


def test_the_judge_of_a_metric_is_built_first_and_another_one_judges_again(runs):
    run = build("judged.yaml", out="runs/judged", overrides=STILL, screen=Screen(quiet=True))
    squares = discover().get("dataset", "toy_squares").load()(examples=24).splits()["test"]
    pictures = [row["bitmap"].numpy() for row in squares]
    mine, theirs = (mmzoo.load(one).predict("answer", image=pictures)["answer"] for one in (run, runs[1]))
    assert json.loads(run.scores.read_text("utf-8"))["base_agreement"] == np.mean(mine == theirs)
    Path("other.yaml").write_text(Path("late.yaml").read_text("utf-8").replace("name: late", "name: other"), "utf-8")
    assert works("judged.yaml", *STILL) == {"runs/late": {}, "runs/judged": {}}
    Path("other.yaml").write_text(Path("late.yaml").read_text("utf-8").replace("units: 8", "units: 9"), "utf-8")
    found = works("judged.yaml", *STILL, "needs.base=other.yaml")
    assert found["runs/judged"] == {"evaluation": "changed: needs.base", "report": "the evaluation runs again"}


def test_a_build_that_stopped_after_training_goes_on_there(runs, tmp_path, monkeypatch, capsys):
    folder = Path(shutil.copytree("runs", tmp_path / "runs")) / "early"
    done = json.loads((folder / "stages.json").read_text("utf-8"))
    (folder / "stages.json").write_text(json.dumps({stage: done[stage] for stage in ("data", "training")}), "utf-8")
    monkeypatch.setattr(import_module("mmzoo.build"), "_train", None)
    build("early.yaml", out=folder, overrides=[*STILL, "about=Other words.", "export.version=2", "metrics=[]"])
    assert "evaluation: not done yet; report: not done yet; export: not done yet" in " ".join(capsys.readouterr().out.split())
    assert "Other words." in (folder / "README.md").read_text("utf-8")
    assert (folder / "export" / "2" / "saved_model.pb").exists()
    assert "exact_match" not in json.loads((folder / "scores.json").read_text("utf-8"))
    now = json.loads((folder / "stages.json").read_text("utf-8"))
    assert now["report"]["about"] == "Other words."
    assert now.keys() == done.keys()


def test_a_run_is_replaced_by_one_build_at_a_time_and_its_export_stays_meanwhile(runs, tmp_path, monkeypatch):
    run, seen = Run(shutil.copytree("runs/late", tmp_path / "late")), []

    def finish(*_):
        with pytest.raises(RunError, match=f"^{run.folder}: process {os.getpid()} on .* has been working there since "):
            build("late.yaml", out=run.folder, force=True, screen=Screen(quiet=True))
        seen.extend([run.exporter().folder, (run.export / "1" / "saved_model.pb").exists(), run.lock.exists()])

    monkeypatch.setattr(import_module("mmzoo.build"), "finish", finish)
    build("late.yaml", out=run.folder, force=True, screen=Screen(quiet=True))
    assert seen == [run.replaced, True, True]
    assert not run.replaced.exists()
    assert not run.lock.exists()


def test_a_replacement_that_fails_before_its_first_checkpoint_costs_nothing(runs, tmp_path, monkeypatch):
    run = Run(shutil.copytree("runs/late", tmp_path / "late"))
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}

    def fail(*_):
        raise MmzooError("the loss is NaN")

    monkeypatch.setattr("mmzoo.training.train.train", fail)
    result = CliRunner().invoke(main, ["build", "late.yaml", "--out", str(run.folder), "--force"])
    assert result.exit_code == 2
    assert result.stderr == "the loss is NaN\nThe run that was there before is put back.\n"
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_data_that_a_needed_build_prepares_is_read(recipes, unrehearsed, tmp_path, monkeypatch):
    """A data set may know what is there from when it was made, before the needed build."""
    from mmzoo_toys.squares import Squares

    begin, splits, ready = Squares.__init__, Squares.splits, tmp_path / "ready"

    @wraps(begin)
    def made(self, **options):
        begin(self, **options)
        self.ready = ready.exists()

    def prepare(self):
        self.ready = self.ready or not ready.exists()
        ready.touch()

    monkeypatch.setattr(Squares, "__init__", made)
    monkeypatch.setattr(Squares, "prepare", prepare)
    monkeypatch.setattr(Squares, "splits", lambda self: splits(self) if self.ready else {})
    monkeypatch.setattr(import_module("mmzoo.build"), "finish", lambda *_: None)
    assert build("early.yaml", out=tmp_path / "runs" / "early", overrides=STILL, screen=Screen(quiet=True)).weights.exists()


def test_a_needed_run_of_another_backend_is_built_by_itself(recipes, tmp_path):
    Path("jax.yaml").write_text(Path("late.yaml").read_text("utf-8").replace("train: {", "train: {backend: jax, "), "utf-8")
    with pytest.raises(MmzooError, match="Keras is already imported with the backend 'tensorflow', but 'jax' is needed"):
        build("early.yaml", out=tmp_path / "runs" / "early", overrides=["needs.base=jax.yaml"], screen=Screen(quiet=True))
    assert not (tmp_path / "runs").exists()


def test_another_training_is_another_run(runs):
    assert said("late.yaml", "head.units=9", "train.batch_size=4") == (
        "runs/late: there is a run of another recipe, "
        "with a checkpoint after epoch 1, trained weights, scores, an exported model; "
        "changed: head.units, train.batch_size.\n"
        "Undo the change, replace the run with --force, or choose another folder with --out."
    )
    assert works("late.yaml", "train.epochs=2", resume=True)["runs/late"]["training"] == "changed: train.epochs"


def test_a_needed_run_is_found_by_what_it_learned_wherever_it_is(runs, tmp_path, recipes):
    Path(shutil.copytree("runs", tmp_path / "runs") / "late").rename(tmp_path / "runs" / "renamed")
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "plan.json").write_text("{", "utf-8")
    found = plan_build(read_recipe("early.yaml"), discover(), tmp_path / "runs" / "other")
    assert found.needs["base"].run.folder == tmp_path / "runs" / "renamed"
    text = Path("late.yaml").read_text("utf-8")
    Path("late.yaml").write_text(text.replace("dim: 16", "dim: 12"), "utf-8")
    changed = plan_build(read_recipe("early.yaml"), discover(), Path("runs/early")).needs["base"].run.folder
    Path("late.yaml").write_text(text, "utf-8")
    assert changed.parent == Path("runs")
    assert changed.name.startswith("late-")  # runs/late is another run now


def test_a_needed_run_of_an_older_plugin_is_built_again(runs, monkeypatch):
    monkeypatch.setattr("mmzoo.run.stages.versions_of", lambda bound: {"mmzoo-toys": "0.2"})
    needed = plan_build(read_recipe("early.yaml"), discover(), Path("runs/early")).needs["base"].run
    assert needed.folder.name.startswith("late-")
    assert not needed.weights.exists()


def test_a_part_of_another_shape_is_refused(runs):
    override = "encoders.image={type: toy_flat, dim: 12, weights: base/encoders.image}"
    message = said("early.yaml", override, "name=shape")
    assert message.startswith(
        "--set encoders.image  encoders.image.weights: 'base/encoders.image' does not fit encoders.image: "
    )
    assert "/kernel' of shape (243, 16) where encoders.image has '" in message
    assert "/kernel' of shape (243, 12).\n" in message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["needs=late.yaml"], "needs: expected a mapping of names to recipes, received 'late.yaml'."),
        (["needs.base=3"], "needs.base: expected the path of a recipe, received 3."),
        (["needs.base=gone.yaml"], "needs.base: there is no recipe 'gone.yaml'. Give its path from this recipe's folder."),
        (
            ["needs.base=early.yaml"],
            "needs.base: the recipes need each other: early.yaml -> early.yaml. Remove one of the needs.",
        ),
        (
            ["head.weights=bass/head"],
            "head.weights: the recipe needs no 'bass'; expected NEED/head, a part of a run that the recipe needs. "
            "Nearest: base.",
        ),
        (
            ["head.weights=base/fusion"],
            "head.weights: expected NEED/head, a part of a run that the recipe needs, received 'base/fusion'.",
        ),
        (
            ["encoders.image.weights=base/encoders.picture"],
            "encoders.image.weights: the recipe 'late' has no part 'encoders.picture'. Nearest: encoders.image.",
        ),
    ],
)
def test_needs_that_are_wrong(recipes, overrides, message):
    assert message in " ".join(said("early.yaml", *overrides).split())
