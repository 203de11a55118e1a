"""What is public is documented, and what the documentation promises is there."""

import ast
import importlib
import inspect
import itertools
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from docstring_parser import parse

import mmzoo
from mmzoo.recipe.options import options_of
from mmzoo.registry.discovery import discover

SCRIPTS = ("mmzoo.__main__", "mmzoo.serving.verify_export")
MODULES = [m.name for m in pkgutil.walk_packages(mmzoo.__path__, "mmzoo.") if m.name not in SCRIPTS]
COMPONENTS = [c for c in discover().components if c.target.startswith("mmzoo_")]


def public(module: str) -> Iterator[tuple[str, Any]]:
    """Gives the public classes and functions that a module defines, with their public methods."""
    for name, value in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module or not callable(value):
            continue
        yield name, value
        if inspect.isclass(value):
            members = [
                (n, m) for n, m in vars(value).items() if not n.startswith("_") and inspect.isfunction(inspect.unwrap(m))
            ]
            yield from ((f"{name}.{n}", m) for n, m in members if inspect.isfunction(m))


def misdocumented(value: Any) -> set[str]:
    """Gives the arguments that are documented and not there, or left out of a list of arguments."""
    constructed = inspect.isclass(value) and value.__init__ is not object.__init__
    there = inspect.signature(value.__init__ if constructed else value)
    names = {name for name in there.parameters if name != "self" and not name.startswith("_")}
    expected = {name for name in names if there.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD}
    documented = arguments(value)
    inherited = {name for base in getattr(value, "__mro__", ()) for name in arguments(base)}
    return (documented - names) | (expected - documented - inherited if documented else set())


def arguments(value: Any) -> set[str]:
    """Gives the names under `Args:` of a docstring of ours."""
    doc = value.__doc__ if getattr(value, "__module__", "").startswith(("mmzoo", __name__)) else ""
    return {p.arg_name for p in parse(inspect.cleandoc(doc or "")).params}


def doc_of_constant(name: str) -> str:
    """Finds the string below the assignment of a public constant, in the module that assigns it."""
    for module in ("contracts.dataset", "contracts.option_types", "contracts.streams", "contracts.words", "registry.hookspecs"):
        body = ast.parse(inspect.getsource(importlib.import_module(f"mmzoo.{module}"))).body
        for node, below in itertools.pairwise(body):
            targets = ast.unparse(node.targets[0]).strip("()").split(", ") if isinstance(node, ast.Assign) else []
            if name in targets and isinstance(below, ast.Expr):
                return str(ast.literal_eval(below.value))
    return ""


@pytest.mark.parametrize("name", mmzoo.__all__)
def test_every_public_name_is_documented(name):
    value = getattr(mmzoo, name)
    documented = inspect.isclass(value) or inspect.isfunction(value)
    if name == "hookimpl":  # pluggy's own marker
        documented = True
    assert inspect.getdoc(value) if documented else doc_of_constant(name)


def test_a_function_that_is_named_as_its_module_stays_the_function():
    importlib.import_module("mmzoo.build")
    assert inspect.isfunction(mmzoo.build)


@pytest.mark.parametrize("name", [name for name in mmzoo.__all__ if inspect.isclass(getattr(mmzoo, name))])
def test_every_public_method_is_documented(name):
    value = getattr(mmzoo, name)
    methods = [
        m for n, m in vars(value).items() if not n.startswith("_") and (inspect.isfunction(m) or isinstance(m, property))
    ]
    assert [m for m in methods if not inspect.getdoc(m)] == []


@pytest.mark.parametrize("module", MODULES)
def test_documented_arguments_are_those_of_the_signature(module):
    found = {name: wrong for name, value in public(module) if (wrong := misdocumented(value))}
    assert not found


def test_a_wrong_argument_would_be_found():
    def function(one: int, two: int, *, three: int = 3, **rest: int) -> None:
        """Does.

        Args:
            one: First.
            tow: Second.
            three: Third.
            rest: More.
        """

    def bare(one: int) -> None:
        """Says nothing of its argument."""

    assert misdocumented(function) == {"tow", "two"}
    assert misdocumented(bare) == set()


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind}-{c.name}")
def test_every_option_of_a_component_is_documented(component):
    loaded = component.load()
    assert [option.name for option in options_of(loaded) if not option.doc] == []
    assert misdocumented(loaded) == set()


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind}-{c.name}")
def test_every_option_of_a_component_is_annotated(component):
    assert [option.name for option in options_of(component.load()) if option.annotation is Any] == []
