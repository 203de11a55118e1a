"""What each stage of a build depends on, which stages have changed, and the run that a plan would give. Light."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmzoo.errors import RunError
from mmzoo.recipe.options import MISSING, options_of
from mmzoo.recipe.plan import BoundComponent, Plan, versions_of
from mmzoo.recipe.settings import SAFEKEEPING
from mmzoo.run.folder import Run

AFTER = {"data": (), "training": ("data",), "evaluation": ("training",), "report": ("evaluation",), "export": ("training",)}
"""The stages of a build in their order, and the stages that each one uses."""
TRAINED = ("data", "training")
"""The stages whose change makes another model."""

Dependencies = dict[str, dict[str, Any]]
"""Stage -> what it depends on: dotted key of the plan -> value."""


def dependencies(plan: Plan, needs: Mapping[str, str]) -> Dependencies:
    """Returns what each stage of a plan depends on: its part of the plan, versions of plugins, the data, needed runs.

    Args:
        plan: The plan, with its data set.
        needs: Name -> fingerprint of each needed run.
    """
    plain = plan.plain()
    searched = {option.name for option in options_of(plan.head.component.load()) if option.refers_to in ("examples", "field")}
    gallery = {name: value for name, value in plain["head"].items() if name in searched}
    head = {name: value for name, value in plain["head"].items() if name not in searched}
    contents = plan.dataset.card.fingerprint if plan.dataset is not None else ""
    losses, metrics = [loss.bound for loss in plan.losses], [metric.bound for metric in plan.metrics]
    judges = {one: needs[one] for one in sorted(_judges(metrics)) if one in needs}
    started = {bound.start_of[0] for bound in plan.starts().values()}
    learned = {name: value for name, value in needs.items() if name in started or name not in judges}
    readers = [plan.data, *(column.processor for column in plan.inputs.values())]
    parts: Dependencies = {
        "data": {"data": plain["data"], "inputs": plain["inputs"], "contents": contents, "plugins": versions_of(readers)},
        "training": {key: plain[key] for key in ("encoders", "fusion", "loss")}
        | {"train": {key: value for key, value in plain["train"].items() if key not in SAFEKEEPING}}
        | {"head": head, "needs": learned, "plugins": versions_of([*plan.layers().values(), *losses])},
        "evaluation": {"metrics": plain["metrics"], "head": gallery, "needs": judges, "plugins": versions_of(metrics)}
        | {"evaluate": plain["evaluate"], "precision": plan.export.precision},
        "report": {"name": plan.name, "about": plan.about},
        "export": {"export": plain["export"], "head": gallery},
    }
    # As JSON gives them back: a tuple is a list.
    return {stage: json.loads(json.dumps(dict(_flat(part)))) for stage, part in parts.items()}


def _judges(metrics: Iterable[BoundComponent]) -> set[str]:
    """Returns the needed recipes whose models metrics call."""
    return {
        metric.options[option.name]
        for metric in metrics
        for option in options_of(metric.component.load())
        if option.refers_to == "needs"
    }


def fingerprint(found: Dependencies) -> str:
    """Returns a name of what a run has learned: 16 hexadecimal digits, the same for the same data and training alone."""
    text = json.dumps([found.get(stage) for stage in TRAINED], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def due(found: Dependencies, recorded: Dependencies) -> dict[str, str]:
    """Returns the stages that must run, in order, and why.

    Args:
        found: What the stages depend on now.
        recorded: What they depended on when they were done.
    """
    reasons: dict[str, str] = {}
    for stage, earlier in AFTER.items():
        if stage not in recorded:
            reasons[stage] = "not done yet"
        elif keys := changed(found[stage], recorded[stage]):
            reasons[stage] = f"changed: {', '.join(keys)}"
        elif again := next((one for one in earlier if one in reasons), ""):
            reasons[stage] = "the data changed" if again == "data" else f"the {again} runs again"
    return reasons


def changed(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Returns the dotted keys whose values differ; of plugins those alone whose version differs."""
    keys = [key for key in {*now, *before} if now.get(key, MISSING) != before.get(key, MISSING)]
    return sorted(key for key in keys if not key.startswith("plugins") or (key in now and key in before))


def find_run(folder: Path, wanted: str, name: str) -> Run | None:
    """Finds the run of a recipe among the runs in a folder, by its fingerprint; a trained one if there is one.

    Recipes with equal training may have other metrics, so a build takes over no run of another recipe.

    Args:
        folder: The folder with the runs.
        wanted: The fingerprint.
        name: The recipe's name.
    """
    return next(iter(_runs(folder, wanted, name)), None)


def needed_run(run: Run, name: str) -> Run:
    """Finds a run that another one needs, by the fingerprint that the other has recorded, beside it.

    Raises:
        RunError: It is gone.
    """
    wanted = run.load_needs().get(name)
    found = next((one for one in _runs(run.folder.parent, wanted) if one.folder != run.folder), None) if wanted else None
    if found is None:
        raise RunError(
            f"{run.folder}: the run that it needs as '{name}' is not in {run.folder.parent} any more. `mmzoo build` of its "
            "recipe builds it again."
        )
    return found


def _runs(folder: Path, wanted: str, name: str | None = None) -> list[Run]:
    """Returns the runs in a folder with a fingerprint, of one recipe or of any, trained ones first."""
    recorded = [(Run(path), _recorded(Run(path))) for path in sorted(folder.iterdir())] if folder.is_dir() else []
    alike = [(run, record) for run, record in recorded if record.get("fingerprint") == wanted]
    found = [run for run, record in alike if name in (None, record.get("recipe", {}).get("name"))]
    return sorted(found, key=lambda run: not run.weights.exists())


def _recorded(run: Run) -> dict[str, Any]:
    """Returns the plan that a run records; empty for a folder without a readable one."""
    with suppress(RunError):  # another run's damage is not this build's
        return run.load_json(run.plan)
    return {}


def data_changes(plan: Plan, recorded: Dependencies) -> list[str]:
    """Returns what is other in the data of a plan than in those that a run was trained on; where its files lie is free.

    Args:
        plan: The plan, with its data set.
        recorded: What the run's stages depended on when they were done.
    """
    if "data" not in recorded:
        return []
    places = {f"data.{option.name}" for option in options_of(plan.data.component.load()) if option.refers_to == "file"}
    keys = changed(dependencies(plan, {})["data"], recorded["data"])
    return [key for key in keys if key not in places and not key.startswith("data.on_error")]


def _flat(value: Any, key: str = "") -> Iterable[tuple[str, Any]]:
    """Yields the entries of nested mappings by their dotted keys; an empty mapping is a value."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, value
