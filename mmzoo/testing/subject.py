"""What every check receives, and what it raises."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from mmzoo.contracts.option_types import PARTS
from mmzoo.errors import RecipeError
from mmzoo.recipe.options import CORE_PARAMETERS, bind, options_of, tensors_of
from mmzoo.recipe.plan import BoundComponent
from mmzoo.recipe.source import to_node
from mmzoo.registry.catalog import Catalog
from mmzoo.testing.cases import Case, DatasetCase

T = TypeVar("T")


class ConformanceError(AssertionError):
    """A component lacks a property. The message names both, what was found and what is expected."""


@dataclass(frozen=True)
class Subject:
    """A component with the options of its case, as a recipe would bind them.

    Args:
        case: The author's case.
        bound: The component with every option.
        catalog: Where it was found.
    """

    case: Any  # the Case of its kind
    bound: BoundComponent
    catalog: Catalog

    @property
    def loaded(self) -> Any:
        """The component itself: its class or function."""
        return self.bound.component.load()


def shared(make: Callable[[Subject], T]) -> Callable[[Subject], T]:
    """Makes a function whose result all properties of one case share. Only the last case's result is kept."""
    last: list[tuple[Subject, T]] = []

    @wraps(make)
    def made(subject: Subject) -> T:
        if not (last and last[0][0].case is subject.case and last[0][0].catalog is subject.catalog):
            last.clear()  # before the next is made, so that memory holds one at a time
            last.append((subject, make(subject)))
        return last[0][1]

    return made


def subject_of(case: Case, catalog: Catalog, folder: Path) -> Subject:
    """Looks up a case's component and binds its options. A data set may use `folder`, which is empty.

    Raises:
        PluginError: No plugin offers it.
        RecipeError: Its options are wrong.
    """
    written = {"type": case.name, **case.options}
    if isinstance(case, DatasetCase) and case.setup is not None:
        written |= case.setup(folder)
    return Subject(case, bind_component(catalog, case.kind, written), catalog)


def bind_component(catalog: Catalog, kind: str, written: dict[str, Any], leave: tuple[str, ...] = ()) -> BoundComponent:
    """Binds a component that is written as in a recipe. `leave` are keys that are not options."""
    component = catalog.get(kind, written["type"])
    node = to_node(written, "the case", written["type"])
    known = options_of(component.load())
    options, faults = bind(known, node, ignore=("type", *leave))
    if faults:
        raise RecipeError(replace(fault, where="the case") for fault in faults)
    for option in known:
        if option.refers_to in PARTS and (inside := options[option.name]) is not None:
            inside = {"type": inside} if isinstance(inside, str) else inside
            options[option.name] = bind_component(catalog, option.refers_to, inside)
    return BoundComponent(component, options, node)


def require(holds: Any, text: str) -> None:
    """Raises a ConformanceError with `text` unless `holds`."""
    if not holds:
        raise ConformanceError(text)


def check_options(subject: Subject) -> None:
    """Options are keyword-only, annotated and documented, and the component has a docstring."""
    loaded = subject.loaded
    require(inspect.getdoc(loaded), "it has no docstring. Its first line is what `mmzoo list` shows.")
    if subject.case.kind != "loss":
        loose = [name for name in tensors_of(loaded) if name not in CORE_PARAMETERS]
        require(not loose, f"a recipe cannot set {_names(loose)}. Put '*' before the options: they are keyword-only.")
    for option in options_of(loaded):
        where = f"the option '{option.name}'"
        require(option.annotation is not Any, f"{where} has no annotation. Recipes are checked against it.")
        require(option.doc, f"{where} is not described. Say under `Args:` what it means, with its unit and range.")


def _names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
