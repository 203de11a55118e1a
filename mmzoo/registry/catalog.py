"""All components of all installed plugins, as one frozen value that is made once and passed down."""

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
        name: Its distribution's name, `mmzoo-image`.
        version: Its distribution's version.
        origin: The module that its entry point names.
        fault: Why it did not load; empty for a healthy plugin.
    """

    name: str
    version: str
    origin: str
    fault: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Component:
    """One named thing that a plugin contributes.

    Args:
        kind: One of `hookspecs.KINDS`.
        name: The name that recipes use.
        target: `module:attribute`, imported by `load` alone.
        plugin: Who contributes it.
    """

    kind: str
    name: str
    target: str
    plugin: Plugin

    def load(self) -> Any:
        """Imports the component.

        Raises:
            PluginError: The module does not import, whatever the reason, or lacks the attribute.
        """
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except Exception as error:  # a plugin's import may fail in any way
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PluginError(
                f"{self.kind} '{self.name}' of {self.plugin} cannot be imported from '{self.target}': {reason}.\n"
                f"Install what it lacks, or leave the plugin out with MMZOO_BLOCK={self.plugin.name}."
            ) from error

    def source(self) -> Path | None:
        """Finds the file that defines the component, without importing it; None if it has no source."""
        try:
            spec = importlib.util.find_spec(self.target.partition(":")[0])
        except Exception:  # noqa: BLE001  # the package around it may fail in any way
            return None
        return Path(spec.origin) if spec is not None and spec.origin else None

    def summary(self) -> str:
        """Reads the first line of the component's docstring from its source, without importing it."""
        source, attribute = self.source(), self.target.partition(":")[2]
        try:
            body = ast.parse(source.read_text("utf-8")).body if source is not None else []
        except (OSError, ValueError, SyntaxError):  # no file, no text, no Python
            return ""
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""


@dataclass(frozen=True)
class Catalog:
    """Looks components up by kind and name.

    Args:
        components: Everything that healthy plugins contribute.
        plugins: Every plugin found, the broken ones with their reason.
    """

    components: tuple[Component, ...] = ()
    plugins: tuple[Plugin, ...] = ()

    def of(self, kind: str) -> tuple[Component, ...]:
        """Gives the components of one kind, by name."""
        return tuple(sorted((c for c in self.components if c.kind == kind), key=lambda c: (c.name, c.plugin.name)))

    def broken(self) -> tuple[Plugin, ...]:
        """Gives the plugins that did not load."""
        return tuple(p for p in self.plugins if p.fault)

    def get(self, kind: str, name: str) -> Component:
        """Finds the component `name`, or `plugin/name`, of a kind.

        Raises:
            PluginError: No plugin offers it, or more than one does; the text is a sentence and its advice on two lines.
        """
        owner, _, short = name.rpartition("/")
        found = [c for c in self.of(kind) if c.name == short and owner in ("", c.plugin.name)]
        if len(found) == 1:
            return found[0]
        raise PluginError(self._ambiguous(found) if found else self._unknown(kind, name))

    def find(self, path: str) -> Component:
        """Finds a component by `kind/name` or `kind/plugin/name`, the kind in singular or plural.

        Raises:
            PluginError: There is no such kind or component, or more than one.
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
    """Reads a kind in singular or plural: `losses` -> `loss`.

    Raises:
        PluginError: There is no such kind.
    """
    kinds = {plural(kind): kind for kind in KINDS}
    if word in KINDS:
        return word
    if word in kinds:
        return kinds[word]
    raise PluginError(f"there is no kind '{word}'. {suggest(word, kinds)}")
