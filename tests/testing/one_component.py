"""A catalog of components that no plugin has, and what the conformance kit says of a broken one."""

import re
import types
from typing import Any

import pytest

from mmzoo import hookimpl
from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import catalog_of
from mmzoo.registry.hookspecs import hook_name
from mmzoo.testing import Case, ConformanceError, check

HELD = types.SimpleNamespace()
"""The components of the catalog made last."""


def __getattr__(name: str) -> Any:
    return getattr(HELD, name)


def catalog_with(**components: Any) -> Catalog:
    """Makes a catalog of one component of each kind named: `catalog_with(loss=function)`, each called `broken`."""
    hooks = types.ModuleType("hooks")
    for kind, component in components.items():
        setattr(HELD, kind, component)
        setattr(hooks, hook_name(kind), _hook(hook_name(kind), {"broken": f"{__name__}:{kind}"}))
    return catalog_of({"mmzoo-broken": hooks})


def _hook(name: str, gives: dict[str, str]) -> Any:
    def hook() -> dict[str, str]:
        return gives

    hook.__name__ = name
    return hookimpl(hook)


def said(case: Case, name: str, **components: Any) -> str:
    """Gives what the kit says of the property `name` of a broken component."""
    with pytest.raises(ConformanceError) as raised:
        check(case, name, catalog_with(**components))
    start = f"{case.kind} 'broken' of mmzoo-broken 0, {name}: "
    assert str(raised.value).startswith(start)
    return re.sub(r"_\d+/", "/", str(raised.value).removeprefix(start))  # Keras numbers layers of one class
