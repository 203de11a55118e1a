"""Recipe -> what its build will do: the recipes that it stands on, the folder of each run, the stages that are due."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmzoo.errors import Fault, RecipeError, RunError, suggest
from mmzoo.recipe.plan import BoundComponent, Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.settings import SAFEKEEPING
from mmzoo.recipe.source import Recipe, read_recipe
from mmzoo.registry.catalog import Catalog
from mmzoo.run.folder import Run
from mmzoo.run.lock import check_free
from mmzoo.run.owner import check_usable, claimed, keeping_replaced
from mmzoo.run.stages import TRAINED, Dependencies, changed, data_changes, dependencies, due, find_run, fingerprint
from mmzoo.trained import load_parts
from mmzoo.training.backend import backend_of

if TYPE_CHECKING:
    from mmzoo.contracts.processor import Processor
    from mmzoo.contracts.progress import Screen
    from mmzoo.modeling.parts import Weights


@dataclass(frozen=True)
class Planned:
    """A plan, where its run is or will be, and what it stands on.

    Args:
        plan: The plan, with the backend that trains it.
        run: The folder of its run.
        stages: What each stage depends on.
        needs: The plans that must be built first, by name.
    """

    plan: Plan
    run: Run
    stages: Dependencies
    needs: "Mapping[str, Planned]"

    def trained_needs(self) -> dict[str, str]:
        """Returns the fingerprint of each needed run."""
        return _fingerprints(self.needs)

    def everything(self) -> "list[Planned]":
        """Returns all plans in the order in which they are built, each run once, this one last."""
        before = [planned for need in self.needs.values() for planned in need.everything()]
        return [*{str(planned.run.folder): planned for planned in before}.values(), self]


@dataclass(frozen=True)
class Work:
    """What a build has to do in a run's folder.

    Args:
        due: The stages to run, in order, and why; empty if the run is complete.
        resume: Whether a run in the folder is continued.
    """

    due: Mapping[str, str]
    resume: bool = False

    @property
    def trains(self) -> bool:
        """Whether the model is trained, from the beginning or further."""
        return "training" in self.due


def _fingerprints(needs: Mapping[str, Planned]) -> dict[str, str]:
    return {name: fingerprint(need.stages) for name, need in needs.items()}


def plan_build(recipe: Recipe, catalog: Catalog, out: Path | None = None, above: Iterable[Path] = ()) -> Planned:
    """Resolves a recipe and all recipes that it needs, and finds their runs.

    A needed run is found by its fingerprint among the runs beside this one. If there is none, it will be built there.

    Args:
        recipe: The recipe.
        catalog: The installed components.
        out: Folder of the run; `runs/<name>` by default.
        above: The recipes that need this one.

    Raises:
        RecipeError: A recipe has faults, cannot be read, needs itself, or names a part that a needed run does not have.
    """
    plan = resolve(recipe, catalog)
    plan = replace(plan, train=replace(plan.train, backend=backend_of(recipe)))  # the run records the backend that trained it
    out = out or Path("runs") / plan.name
    here = Path(recipe.path).resolve()
    needs = {name: _need(plan, name, path, catalog, out.parent, [*above, here]) for name, path in plan.needs.items()}
    if faults := [fault for place, bound in plan.starts().items() if (fault := _part_fault(place, bound, needs))]:
        raise RecipeError(faults)
    return Planned(plan, Run(out), dependencies(plan, _fingerprints(needs)), needs)


def _need(plan: Plan, name: str, path: str, catalog: Catalog, runs: Path, above: list[Path]) -> Planned:
    """Resolves a needed recipe and chooses the folder of its run."""
    node = dict(dict(plan.recipe.root.items())["needs"].items())[name]
    file = Path(plan.recipe.path).parent / path
    if file.resolve() in above:
        circle = " -> ".join(one.name for one in [*above[above.index(file.resolve()) :], file])
        raise RecipeError([node.fault(f"the recipes need each other: {circle}.", "Remove one of the needs.")])
    if not file.is_file():
        raise RecipeError([node.fault(f"there is no recipe '{file}'.", "Give its path from this recipe's folder.")])
    source = read_recipe(file)
    planned = plan_build(source, catalog, runs / "_", above)
    wanted = fingerprint(planned.stages)
    own = Run(runs / planned.plan.name)
    free = Run(runs / f"{planned.plan.name}-{wanted[:8]}") if own.entries() else own
    return replace(planned, run=find_run(runs, wanted, planned.plan.name) or free)


def _part_fault(place: str, bound: BoundComponent, needs: Mapping[str, Planned]) -> Fault | None:
    """Returns what is wrong with the part that a layer starts from, as far as the plans show it."""
    name, part = bound.start_of
    plan = needs[name].plan
    layers = plan.layers()
    node = dict(bound.node.items())["weights"]
    part = part if part in layers or not part.startswith("head.") else "head"  # a layer of a head is known to the task alone
    if part not in layers:
        return node.fault(f"the recipe '{plan.name}' has no part '{part}'.", suggest(part, layers))
    if layers[part].component != bound.component:
        found, own = layers[part].component.name, bound.component.name
        return node.fault(
            f"'{bound.start}' is the {bound.component.kind} '{found}', and {place} is '{own}'; they must be the same."
        )
    return None


def plan_works(planned: Planned, resume: bool = False, force: bool = False) -> list[tuple[Planned, Work]]:
    """Says what a build does, in its order: each run and its stages that are due, that of the recipe last. Builds nothing.

    Args and errors are those of `plan_work`, for the recipe's own run.
    """
    own = planned, plan_work(planned, resume, force)
    return [*((need, plan_work(need)) for need in planned.everything()[:-1]), own]


def check_devices(works: Iterable[tuple[Planned, Work]]) -> None:
    """Checks, before any data is read, that the devices are there that are to train.

    Raises:
        TrainingError: As in `find_devices`.
    """
    from mmzoo.modeling.devices import find_devices

    for planned, work in works:
        if work.trains:
            find_devices(planned.plan.train)


@contextmanager
def claimed_work(planned: Planned, screen: "Screen", resume: bool = False, force: bool = False) -> Iterator[Work]:
    """Claims the folder of a run that a build writes to, yields what it has to do there, and sees a replaced run off.

    Args and errors are those of `plan_work`.
    """
    run, work = planned.run, plan_work(planned, resume, force)
    if not (work.due or run.replaced.exists()):
        yield work
        return
    with claimed(run, screen.say):
        work = plan_work(planned, resume, force)  # anew: another build may have changed the run before the claim
        if force and run.exists():
            screen.say(
                f"run       {run.folder}: the run that is replaced is kept in {run.replaced} until the new one is complete"
            )
        with keeping_replaced(run):
            yield work
        run.complete(planned.plan.export.version)


def plan_work(planned: Planned, resume: bool = False, force: bool = False) -> Work:
    """Decides which stages a build runs; writes nothing.

    Args:
        planned: The plan and its run.
        resume: Whether a run may be trained for another number of epochs than it was.
        force: Whether a run in the folder is replaced.

    Raises:
        RunError: The folder holds the run of another recipe, or other files, it cannot be written, or another process works
            there.
    """
    if resume and force:
        raise RunError(f"{planned.run.folder}: --resume continues the run and --force replaces it; give one of the two.")
    try:
        work = _work(planned, resume, force)
    except RunError:
        check_free(planned.run.lock)  # a process that works there is the better reason
        raise
    if work.due:
        check_free(planned.run.lock)
    return work


def _work(planned: Planned, resume: bool, force: bool) -> Work:
    run = planned.run
    if force or not run.exists():
        check_usable(run)
        return Work(dict.fromkeys(planned.stages, "--force" if run.exists() else "nothing is built yet"))
    recorded = run.load_stages()
    if "training" not in recorded:
        changes = unfinished_changes(planned.plan, run.load_plan(), resume)
        _check_same(run, changes or data_changes(planned.plan, recorded))
        return Work(
            due(planned.stages, {}) | {"training": f"unfinished: {', '.join(run.contents()) or 'no epoch is done'}"}, True
        )
    run.load_plan()  # refuses another format
    reasons = due(planned.stages, recorded)
    changes = [key for stage in TRAINED for key in changed(planned.stages[stage], recorded[stage])]
    longer = resume and changes == ["train.epochs"]
    _check_same(run, [] if longer else changes)
    return Work(reasons, resume=True)


def unfinished_changes(plan: Plan, saved: Mapping[str, Any], resume: bool) -> list[str]:
    """Returns the keys of an unfinished run's plan that have changed; with `resume` the number of epochs may."""
    now = json.loads(json.dumps(plan.plain()))  # JSON turns tuples into lists, as in the saved plan
    free = ("name", "about", "train", "metrics", "evaluate", "export")
    keys = [key for key in now if key not in free and now[key] != saved.get(key)]
    free = (*SAFEKEEPING, *(("epochs",) if resume else ()))
    train = {key: value for key, value in now["train"].items() if key not in free}
    return keys + [f"train.{key}" for key, value in train.items() if saved["train"].get(key) != value]


def _check_same(run: Run, changes: list[str]) -> None:
    if changes:
        other = "that was trained on other data" if changes == ["contents"] else "of another recipe"
        raise RunError(
            f"{run.folder}: there is a run {other}, with {', '.join(run.contents()) or 'nothing trained yet'}; "
            f"changed: {', '.join(changes)}.\n"
            "Undo the change, replace the run with --force, or choose another folder with --out."
            + (" --resume trains on to other `train.epochs`." if changes == ["train.epochs"] else "")
            + (f" The run that was being replaced is kept in {run.replaced}." if run.replaced.exists() else "")
        )


def needed_weights(planned: Planned, catalog: Catalog) -> "dict[str, Weights]":
    """Loads the weights that layers start from: `encoders.image`, `fusion` or `head` -> weights."""
    found: dict[str, Weights] = {}
    starts = {place: bound.start_of for place, bound in planned.plan.starts().items()}
    for name, need in planned.needs.items():
        wanted = {place: part for place, (of, part) in starts.items() if of == name}
        loaded = load_parts(need.run, set(wanted.values()), catalog) if wanted else {}
        found |= {place: loaded[part] for place, part in wanted.items()}
    return found


def needed_processors(planned: Planned, screen: "Screen") -> "dict[str, Processor]":
    """Loads what the processors learned whose ids the needed parts know: of encoders their input's, of heads their targets'."""
    found: dict[str, Processor] = {}
    for place, bound in planned.plan.starts().items():
        name, part = bound.start_of
        need, inputs = planned.needs[name], planned.plan.inputs
        encoders = {f"encoders.{one}" for one in planned.plan.encoders}
        theirs = need.plan.inputs
        pairs = {place.partition(".")[2]: part.partition(".")[2]} if place in encoders else {}
        if place == "head":
            pairs = {own: own for own in inputs if own in theirs and own not in planned.plan.encoders}
        for own, their in pairs.items():
            if inputs[own].processor.component != theirs[their].processor.component:
                what = (
                    f"its processor must be '{theirs[their].processor.component.name}', as in the run that {place} starts from."
                )
                raise RecipeError([inputs[own].node.fault(what)])
            processor = inputs[own].processor.make()
            found |= need.run.load_processors({own: processor}, {own: their})
            screen.say(f"data      {own}: what {name} has learned of its '{their}'")
    return found
