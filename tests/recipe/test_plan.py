"""A plan written out is a recipe that resolves to the same plan; each recipe's plan is kept as a golden file."""

import json
from pathlib import Path

import pytest

from mmzoo.recipe.plan import BoundComponent, Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import Recipe, read_recipe, to_node
from mmzoo.registry.discovery import discover

ROOT = Path(__file__).parents[2]
RECIPES = sorted(ROOT.glob("recipes/*/*.yaml"))
GOLDENS = Path(__file__).parents[1] / "goldens"


@pytest.fixture(params=RECIPES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def plan(request, monkeypatch, tmp_path) -> Plan:
    monkeypatch.chdir(tmp_path)
    Path("pairs.csv").write_text("image,caption\na.png,a dog\n", "utf-8")  # what recipes/files reads
    Path("birds").mkdir()
    Path("birds/birds.jsonl").write_text(
        '{"image": "a.jpg", "captions": ["a bird"], "bird": "gull", "split": "train"}', "utf-8"
    )
    Path("qa.csv").write_text("video,question,answer,kind,split\na.gif,what?,dog,what,train\n", "utf-8")
    return resolve(read_recipe(request.param), discover())


def again(plan: Plan) -> Plan:
    """Resolves what the run folder keeps of a plan."""
    kept = json.loads(json.dumps(plan.plain()))
    return resolve(Recipe("", to_node(kept, "plan.json"), "plan.json"), discover())


def options(bound: BoundComponent) -> dict:
    """Gives options as they are bound; of a component inside, which knows its place in the recipe too, what it is."""
    return {key: value.plain() if isinstance(value, BoundComponent) else value for key, value in bound.options.items()}


def test_what_a_run_keeps_of_a_plan_resolves_to_the_same_plan(plan):
    same = again(plan)
    assert same.plain() == plan.plain()
    assert [(b.component, options(b)) for b in same.components()] == [(b.component, options(b)) for b in plan.components()]
    assert (same.train, same.export, same.on_error) == (plan.train, plan.export, plan.on_error)


def test_a_plan_names_the_version_of_each_plugin_in_use(plan):
    installed = {plugin.name: plugin.version for plugin in discover().plugins}
    used = {bound.component.plugin.name for bound in plan.components()}
    assert plan.versions() == {name: installed[name] for name in used}


def test_the_plan_of_each_recipe(plan, request):
    """The golden files hold every default that a recipe relies on; refresh with --refresh-goldens and read the difference."""
    dataset, name = Path(plan.recipe.path).parent.name, Path(plan.recipe.path).stem
    golden = GOLDENS / f"{dataset}-{name}.json"
    if request.config.getoption("--refresh-goldens"):
        golden.write_text(json.dumps(plan.plain(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    assert plan.plain() == json.loads(golden.read_text("utf-8"))


def test_no_golden_plan_is_left_over():
    kept = {path.stem for path in GOLDENS.glob("*.json")}
    assert kept == {f"{path.parent.name}-{path.stem}" for path in RECIPES}
