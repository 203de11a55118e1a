"""Which stages a build runs again, and by what a run is found."""

import json
from dataclasses import replace

import pytest
from hand_made_run import bound, make_plan

from mmzoo import NeededModel
from mmzoo.errors import RunError
from mmzoo.recipe.plan import BoundMetric
from mmzoo.recipe.settings import Evaluate
from mmzoo.run.folder import Run
from mmzoo.run.stages import AFTER, changed, dependencies, due, find_run, fingerprint, needed_run

DONE = {stage: {"key": stage} for stage in AFTER}


def with_(stage: str, **keys) -> dict:
    return DONE | {stage: DONE[stage] | keys}


def test_a_build_begins_with_every_stage_in_order():
    assert due(DONE, {}) == dict.fromkeys(["data", "training", "evaluation", "report", "export"], "not done yet")


def test_a_finished_build_has_nothing_to_do():
    assert due(DONE, DONE) == {}


@pytest.mark.parametrize(
    ("stage", "again"),
    [
        ("data", ["data", "training", "evaluation", "report", "export"]),
        ("training", ["training", "evaluation", "report", "export"]),
        ("evaluation", ["evaluation", "report"]),
        ("report", ["report"]),
        ("export", ["export"]),
    ],
)
def test_a_changed_stage_runs_again_and_what_stands_on_it(stage, again):
    reasons = due(with_(stage, key="other"), DONE)
    assert list(reasons) == again
    assert reasons[stage] == "changed: key"


def test_a_stage_that_was_not_finished_is_done():
    assert due(DONE, {stage: DONE[stage] for stage in ("data", "training", "export")}) == {
        "evaluation": "not done yet",
        "report": "not done yet",
    }


def test_a_key_that_is_new_or_gone_has_changed():
    assert changed({"a": 1, "b": None}, {"a": 1}) == changed({"a": 1}, {"a": 1, "b": None}) == ["b"]


def test_of_plugins_the_version_counts():
    before = {"plugins.mmzoo-text": "1", "plugins.mmzoo-image": "1"}
    assert changed({"plugins.mmzoo-text": "2", "plugins.mmzoo-video": "1"}, before) == ["plugins.mmzoo-text"]


class Say:
    """A head without options."""


def found_of(needs=None, **changes) -> dict:
    return dependencies(make_plan(head=bound("head", "say", f"{__name__}:Say"), **changes), needs or {})


def test_a_run_is_what_it_learned():
    found, same = found_of(), found_of(about="Other words.", metrics=())
    assert found != same
    assert fingerprint(found) == fingerprint(same)
    assert fingerprint(found) != fingerprint(found_of({"base": "abc"}))
    assert fingerprint(found) != fingerprint(found_of(encoders={}))
    assert fingerprint({stage: dict(reversed(part.items())) for stage, part in found.items()}) == fingerprint(found)


def test_other_baselines_evaluate_again_and_train_nothing():
    before, after = found_of(), found_of(evaluate=Evaluate(baselines=["nearest"]))
    assert due(after, before) == {
        "evaluation": "changed: evaluate.baselines",
        "report": "the evaluation runs again",
    }
    assert fingerprint(before) == fingerprint(after)


class Ask:
    """A metric that asks a needed model."""

    def __init__(self, *, judge: NeededModel):
        self.judge = judge


def test_a_model_that_metrics_alone_ask_does_not_train_the_run_again():
    asking = replace(bound("metric", "ask", f"{__name__}:Ask"), options={"judge": "reader"})
    metrics = (BoundMetric(asking, {}),)
    before, after = (found_of({"reader": reader, "base": "abc"}, metrics=metrics) for reader in ("one", "two"))
    assert list(due(after, before)) == ["evaluation", "report"]
    assert fingerprint(before) == fingerprint(after)
    assert next(iter(due(found_of({"reader": "one", "base": "new"}, metrics=metrics), before))) == "training"


@pytest.mark.parametrize("recorded", [{}, {"reader": "abc"}])
def test_a_needed_run_that_is_gone_is_named(tmp_path, recorded):
    run = Run(tmp_path / "runs" / "toy")
    run.folder.mkdir(parents=True)
    run.plan.write_text(json.dumps({"needs": recorded}))
    with pytest.raises(RunError, match=r"the run that it needs as 'reader' is not in .* any more. `mmzoo build` of its recipe"):
        needed_run(run, "reader")


def test_a_run_that_learned_the_same_from_another_recipe_is_neither_taken_over_nor_its_own_judge(tmp_path):
    runs = {}
    for name in ("asking", "judge"):
        runs[name] = Run(tmp_path / "runs" / name)
        runs[name].folder.mkdir(parents=True)
        record = {"fingerprint": "abc", "needs": {"reader": "abc"}, "recipe": {"name": name}}
        runs[name].plan.write_text(json.dumps(record))
    assert find_run(tmp_path / "runs", "abc", "judge") == runs["judge"]
    assert find_run(tmp_path / "runs", "abc", "third") is None
    assert needed_run(runs["asking"], "reader") == runs["judge"]


def test_without_a_folder_no_run_is_found(tmp_path):
    assert find_run(tmp_path / "runs", "abc", "toy") is None
