"""Plugins are found one by one; a broken one is kept with its reason and stops nobody else."""

import importlib.metadata
import sys
from types import ModuleType

import pytest

from mmzoo import hookimpl
from mmzoo.registry import discovery
from mmzoo.registry.catalog import Plugin
from mmzoo.registry.discovery import catalog_of, collect, discover
from mmzoo.registry.hookspecs import KINDS, hook_name


def module(name: str = "fake.hooks", **hooks) -> ModuleType:
    """Makes a hook module: `kind plural = {name: target}` for good hooks, or a function."""
    made = ModuleType(name)
    for hook, value in hooks.items():
        function = value if callable(value) else (lambda value=value: value)
        function.__name__ = hook
        setattr(made, hook, hookimpl(function))
    return made


GOOD = module(mmzoo_encoders={"eye": "fake.eye:Eye"})


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs plugins into a folder of their own and hides all others; the hook module's text by distribution."""

    def install(**texts: str) -> None:
        for name, text in texts.items():
            (tmp_path / f"{name}_hooks.py").write_text(text, "utf-8")
            info = tmp_path / f"{name}-1.2.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", "utf-8")
            (info / "entry_points.txt").write_text(f"[mmzoo]\n{name} = {name}_hooks\n", "utf-8")
            monkeypatch.delitem(sys.modules, f"{name}_hooks", raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    found = importlib.metadata.distributions(path=[str(tmp_path)])
    monkeypatch.setattr(discovery, "entry_points", lambda group: [p for d in found for p in d.entry_points if p.group == group])
    return install


def hooks(kind: str, **components: str) -> str:
    return f"from mmzoo import hookimpl\n@hookimpl\ndef {hook_name(kind)}():\n    return {components!r}\n"


def test_what_installed_plugins_contribute(installed):
    installed(alpha=hooks("encoder", eye="alpha.eye:Eye"), beta=hooks("loss", gap="beta.gap:gap"))
    catalog = discover()
    assert [str(plugin) for plugin in catalog.plugins] == ["alpha 1.2", "beta 1.2"]
    assert [(c.kind, c.name, c.target, c.plugin.name) for c in catalog.components] == [
        ("encoder", "eye", "alpha.eye:Eye", "alpha"),
        ("loss", "gap", "beta.gap:gap", "beta"),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import soundfile_", "ModuleNotFoundError: No module named 'soundfile_'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('one\\n two')", "RuntimeError: one two"),
        ("def broken(:", "SyntaxError: invalid syntax (broken_hooks.py, line 1)"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("from mmzoo import hookimpl\n@hookimpl\ndef mmzoo_encoders(): return 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_plugin_is_kept_with_its_reason_and_stops_nobody(installed, text, fault):
    installed(broken=text, whole=hooks("encoder", eye="whole.eye:Eye"))
    catalog = discover()
    assert [(p.name, p.fault) for p in catalog.plugins] == [("broken", fault), ("whole", "")]
    assert catalog.broken() == catalog.plugins[:1]
    assert [c.name for c in catalog.components] == ["eye"]


@pytest.mark.parametrize("blocked", ["alpha", " alpha , gamma", "alpha,"])
def test_blocked_plugins_are_left_out_and_not_imported(installed, monkeypatch, blocked):
    installed(alpha="1 / 0", beta=hooks("encoder", eye="beta.eye:Eye"))
    monkeypatch.setenv("MMZOO_BLOCK", blocked)
    catalog = discover()
    assert [plugin.name for plugin in catalog.plugins] == ["beta"]
    assert "alpha_hooks" not in sys.modules


def test_nothing_installed_is_an_empty_catalog(installed):
    assert discover().components == ()


def test_a_misspelt_hook_is_an_error(installed):
    catalog = catalog_of({"bad": module(mmzoo_encodres={"eye": "fake.eye:Eye"}), "good": GOOD})
    assert catalog.plugins[0].fault == "PluginValidationError: unknown hook 'mmzoo_encodres' in plugin <module 'fake.hooks'>"
    assert [c.plugin.name for c in catalog.components] == ["good"]


def test_a_hook_that_wants_arguments_is_an_error():
    catalog = catalog_of({"bad": module(mmzoo_encoders=lambda catalog: {})})
    assert "PluginValidationError" in catalog.plugins[0].fault
    assert "catalog" in catalog.plugins[0].fault


@pytest.mark.parametrize("contributed", [{"eye": len}, {3: "a:b"}, {"eye": "fake.eye"}, ["eye"]])
def test_a_hook_that_returns_something_else_is_an_error(contributed):
    catalog = catalog_of({"bad": module(mmzoo_encoders=contributed)})
    assert catalog.plugins[0].fault.startswith('TypeError: mmzoo_encoders must return {name: "module:attribute"}, not ')
    assert catalog.components == ()


def test_every_kind_has_a_hook():
    catalog = catalog_of({"all": module(**{hook_name(kind): {kind: f"fake:{kind}"} for kind in KINDS})})
    assert [(c.kind, c.name) for c in catalog.components] == [(kind, kind) for kind in KINDS]


def test_a_module_that_is_missing_contributes_nothing():
    plugin = Plugin("gone", "1", "gone.hooks", "ImportError: gone")
    catalog = collect([(plugin, None)])
    assert (catalog.plugins, catalog.components) == ((plugin,), ())


def test_two_entry_points_of_one_distribution_are_both_found(installed, tmp_path):
    installed(alpha=hooks("encoder", eye="alpha.eye:Eye"), beta=hooks("loss", gap="beta.gap:gap"))
    points = tmp_path / "alpha-1.2.dist-info" / "entry_points.txt"
    points.write_text("[mmzoo]\none = alpha_hooks\ntwo = beta_hooks\n", "utf-8")
    assert {(c.name, c.plugin.name) for c in discover().components} == {("eye", "alpha"), ("gap", "alpha"), ("gap", "beta")}
