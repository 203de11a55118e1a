"""The catalog: all components of all installed plugins, as one immutable value."""

import ast
import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmzoo.errors import PluginError, nearest, suggest
from mmzoo.registry.hookspecs import KINDS, plural


@dataclass(frozen=True)
class Plugin:
    """An installed plugin.

    Args:
        name: Name of its distribution, `mmzoo-image`.
        version: Version of its distribution.
        origin: Module that its entry point names.
        fault: Why it failed to load; empty if it loaded.
    """

    name: str
    version: str
    origin: str
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Component:
    """One component that a plugin contributes.

    Args:
        kind: Its kind, one of `hookspecs.KINDS`.
        name: Its name in recipes.
        target: Its class or function as `module:attribute`; only `load` imports it.
        plugin: The plugin that contributes it.
    """

    kind: str
    name: str
    target: str
    plugin: Plugin

    def load(self) -> Any:
        """Imports the component and returns its class or function.

        Raises:
            PluginError: The module cannot be imported, for whatever reason, or has no such attribute.
        """
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:  # importing a plugin may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(
                f"{self.kind} '{self.name}' of {self.plugin} cannot be imported from '{self.target}': {reason}.\n"
                f"Install what is missing, or leave the plugin out with MMZOO_BLOCK={self.plugin.name}."
            ) from error

    def source(self) -> Path | None:
        """Returns the file that defines the component, without importing it; None if there is no such file."""
        try:
            spec = importlib.util.find_spec(self.target.partition(":")[0])
        except Exception:  # noqa: BLE001  # importing its parent package may raise anything
            return None
        return Path(spec.origin) if spec is not None and spec.origin else None

    def summary(self) -> str:
        """Returns the first line of the component's docstring, read from its source without importing it."""
        source, attribute = self.source(), self.target.partition(":")[2]
        try:
            body = ast.parse(source.read_text("utf-8")).body if source is not None else []
        except (OSError, ValueError, SyntaxError):  # unreadable, not text, not Python
            return ""
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""


@dataclass(frozen=True)
class Catalog:
    """The components of all installed plugins, looked up by kind and name. Made once and passed down; never global.

    Args:
        components: Components of the plugins that loaded.
        plugins: All plugins; those that failed to load say why in `fault`.
    """

    components: tuple[Component, ...] = ()
    plugins: tuple[Plugin, ...] = ()

    def of(self, kind: str) -> tuple[Component, ...]:
        """Returns the components of one kind, sorted by name."""
        return tuple(sorted((c for c in self.components if c.kind == kind), key=lambda c: (c.name, c.plugin.name)))

    def broken(self) -> tuple[Plugin, ...]:
        """Returns the plugins that failed to load."""
        return tuple(p for p in self.plugins if p.fault)

    def get(self, kind: str, name: str) -> Component:
        """Returns the component of a kind by its name, or by `plugin/name`.

        Raises:
            PluginError: No plugin offers it, or more than one does. The message has two lines: the problem and the advice.
        """
        owner, _, short = name.rpartition("/")
        found = [c for c in self.of(kind) if c.name == short and owner in ("", c.plugin.name)]
        if len(found) == 1:
            return found[0]
        raise PluginError(self._ambiguous(found) if found else self._unknown(kind, name))

    def find(self, path: str) -> Component:
        """Returns a component by `kind/name` or `kind/plugin/name`. The kind may be singular or plural.

        Raises:
            PluginError: The kind or the component is unknown, or several plugins offer the component.
        """
        kind, slash, name = path.partition("/")
        if slash:
            return self.get(kind_of(kind), name)
        near = [f"{c.kind}/{c.name}" for c in self.components if c.name == path]
        advice = f" Perhaps {' or '.join(near)}." if near else ""
        raise PluginError(f"expected KIND/NAME, such as encoder/resnet, received '{path}'.{advice}")

    def _ambiguous(self, found: Iterable[Component]) -> str:
        found = list(found)
        first = found[0]
        owners = " and ".join(str(c.plugin) for c in found)
        return (
            f"{len(found)} plugins offer the {first.kind} '{first.name}': {owners}.\n"
            f"Write '{first.plugin.name}/{first.name}' to choose one, or leave a plugin out with "
            f"MMZOO_BLOCK={found[-1].plugin.name}."
        )

    def _unknown(self, kind: str, name: str) -> str:
        known = {c.name: c for c in self.of(kind)}
        near = [f"{n} ({known[n].plugin})" for n in nearest(name, known)]
        advice = [f"Nearest: {', '.join(near)}."] if near else []
        advice.append(f"`mmzoo list {plural(kind)}` shows all.")
        advice += [f"Plugin {p} did not load ({p.fault}); what it offers is missing." for p in self.broken()]
        return f"no {kind} named '{name}'.\n{' '.join(advice)}"


def kind_of(word: str) -> str:
    """Returns the kind that a word names in singular or plural: `losses` -> `loss`.

    Raises:
        PluginError: No kind has this name.
    """
    kinds = {plural(kind): kind for kind in KINDS}
    if word in KINDS:
        return word
    if word in kinds:
        return kinds[word]
    raise PluginError(f"there is no kind '{word}'. {suggest(word, kinds)}")
