"""Entry points -> `Catalog`: loads the installed plugins one by one.

A plugin that fails to load stays in the catalog with the reason and does not affect the others. The environment variable
`MMZOO_BLOCK=name,...` leaves plugins out.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from mmzoo.registry import hookspecs
from mmzoo.registry.catalog import Catalog, Component, Plugin
from mmzoo.registry.hookspecs import GROUP, KINDS, hook_name


def discover() -> Catalog:
    """Returns the catalog of all installed plugins that are not blocked."""
    blocked = {name.strip() for name in os.environ.get("MMZOO_BLOCK", "").split(",")}
    return collect(_load(point) for point in _entry_points() if _plugin_name(point) not in blocked)


def catalog_of(modules: Mapping[str, ModuleType]) -> Catalog:
    """Makes a catalog from hook modules that are not installed, for tests: `{plugin name: module}`."""
    return collect((Plugin(name, "0", module.__name__), module) for name, module in modules.items())


def collect(loaded: Iterable[tuple[Plugin, ModuleType | None]]) -> Catalog:
    """Calls the hooks of each module and makes a catalog of what they contribute.

    Args:
        loaded: Plugins with their hook modules; None for a module that cannot be imported.
    """
    plugins: list[Plugin] = []
    components: list[Component] = []
    for plugin, module in loaded:
        plugin, contributed = _contributions(plugin, module)
        plugins.append(plugin)
        components += contributed
    return Catalog(tuple(components), tuple(plugins))


def _entry_points() -> list[EntryPoint]:
    unique = {(_plugin_name(point), point.value): point for point in entry_points(group=GROUP)}
    return [unique[key] for key in sorted(unique)]


def _plugin_name(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.name


def _load(point: EntryPoint) -> tuple[Plugin, ModuleType | None]:
    version = point.dist.version if point.dist is not None else "0"
    plugin = Plugin(_plugin_name(point), version, point.module)
    try:
        return plugin, point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # importing a plugin may raise anything, and must not stop the others
        return _broken(plugin, f"{type(error).__name__}: {error}"), None


def _broken(plugin: Plugin, fault: str) -> Plugin:
    return Plugin(plugin.name, plugin.version, plugin.origin, " ".join(fault.split()))


def _contributions(plugin: Plugin, module: ModuleType | None) -> tuple[Plugin, list[Component]]:
    if module is None:
        return plugin, []
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(module, name=plugin.name)
        manager.check_pending()  # a misspelt hook is an error, not a plugin that contributes nothing
        return plugin, list(_components(plugin, manager))
    except Exception as error:  # noqa: BLE001  # hooks are the plugin's own code and may raise anything
        return _broken(plugin, f"{type(error).__name__}: {error}"), []


def _components(plugin: Plugin, manager: pluggy.PluginManager) -> Iterator[Component]:
    for kind in KINDS:
        for contributed in getattr(manager.hook, hook_name(kind))():
            for name, target in _pairs(kind, contributed):
                yield Component(kind, name, target, plugin)


def _pairs(kind: str, contributed: Any) -> Iterator[tuple[str, str]]:
    pairs = contributed.items() if isinstance(contributed, Mapping) else [(contributed, "")]
    for name, target in pairs:
        if not (isinstance(name, str) and isinstance(target, str) and ":" in target):
            raise TypeError(f'{hook_name(kind)} must return {{name: "module:attribute"}}, not {contributed!r}')
        yield name, target
