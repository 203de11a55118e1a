"""The laws of the design. Each check is a function that is also run on a planted violation, so that it can fail."""

import ast
import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mmzoo
from mmzoo.registry.discovery import discover

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "mmzoo").rglob("*.py"))
PLUGINS = {path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/mmzoo_*/__init__.py"))}
PUBLIC = ("mmzoo", "mmzoo.testing")
"""The modules that a plugin may import from; all else of the core may change."""
HEAVY = ("tensorflow", "keras", "jax", "torch")


def imports(source: str) -> Iterator[tuple[str, str]]:
    """Gives the module and the name of every import, wherever it stands; the name is empty for `import module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def modules(source: str) -> set[str]:
    return {module.partition(".")[0] for module, _ in imports(source)}


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


# 1, 2 and the order of the files: import-linter


def lint_imports(*arguments: str | Path) -> str:
    """Runs import-linter over the repository and gives what it says."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_import_contracts_hold():
    said = lint_imports()
    kept = sum(section.startswith("importlinter:contract:") for section in contracts().sections())
    assert f"Contracts: {kept} kept, 0 broken." in said, said


@pytest.mark.parametrize(
    ("contract", "changes"),
    [
        ("rooms", {"layers": "errors\nrun | build", "exhaustive": "False"}),
        ("core", {"source_modules": "mmzoo_image", "forbidden_modules": "mmzoo"}),
        ("plugins", {"modules": "mmzoo_image\nmmzoo"}),
    ],
)
def test_import_contracts_can_fail(tmp_path, contract, changes):
    parser = contracts()
    parser[f"importlinter:contract:{contract}"].update(changes)
    planted = tmp_path / "planted"
    with planted.open("w") as file:
        parser.write(file)
    assert "Contracts: 0 kept, 1 broken." in lint_imports("--config", planted, "--contract", contract)


def test_every_plugin_stands_in_every_contract():
    parser = contracts()
    for section, key in (("importlinter", "root_packages"), ("importlinter:contract:plugins", "modules")):
        assert set(PLUGINS) <= set(parser[section][key].split()), f"{section} lacks a plugin"
    assert set(PLUGINS) <= set(parser["importlinter:contract:core"]["forbidden_modules"].split())


# 1. The core knows no model


def model_parts(source: str) -> list[str]:
    """Names the classes that are Keras layers, models, losses or metrics."""
    found = []
    for node in ast.walk(ast.parse(source)):
        bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
        if any(re.search(r"\b(Layer|Model|Loss|Metric|Head|Dataset|Processor)\b", base) for base in bases):
            found.append(node.name)
    return found


def test_the_core_holds_no_model():
    found = {path.name: parts for path in CORE if (parts := model_parts(path.read_text("utf-8")))}
    # What heads are, and the one model, which is made of what plugins bring.
    assert found == {"head.py": ["Head"], "steps.py": ["GradCache"]}


def test_a_model_in_the_core_would_be_found():
    assert model_parts("class ResNet(keras.layers.Layer): ...\nclass Other(Head, Mixin): ...\nclass Fine(Exception): ...") == [
        "ResNet",
        "Other",
    ]


def test_the_core_contributes_nothing():
    assert not [c for c in discover().components if c.target.startswith("mmzoo.")]


@pytest.mark.parametrize("plugin", [path.parent.name for path in PLUGINS.values()])
def test_without_any_one_plugin_the_rest_works(monkeypatch, plugin):
    whole = discover()
    monkeypatch.setenv("MMZOO_BLOCK", plugin)
    rest = discover()
    assert plugin not in [p.name for p in rest.plugins]
    assert not rest.broken()
    assert set(rest.components) == {c for c in whole.components if c.plugin.name != plugin}
    for component in rest.components:
        component.load()


# 2. A plugin imports public names alone


def private_names(source: str) -> list[str]:
    """Names what a plugin imports from the core and must not."""
    core = [(module, name) for module, name in imports(source) if module.partition(".")[0] == "mmzoo"]
    public = [(module, name) for module, name in core if module in PUBLIC and (module != "mmzoo" or name in mmzoo.__all__)]
    return [f"{module}:{name}" for module, name in core if (module, name) not in public]


@pytest.mark.parametrize("package", PLUGINS)
def test_a_plugin_imports_public_names_alone(package):
    found = {path.name: private_names(path.read_text("utf-8")) for path in sorted(PLUGINS[package].rglob("*.py"))}
    assert not {file: names for file, names in found.items() if names}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from mmzoo.contracts.streams import PAD", ["mmzoo.contracts.streams:PAD"]),
        ("def f():\n    import mmzoo.run", ["mmzoo.run:"]),
        ("from mmzoo import streams", ["mmzoo:streams"]),
        ("from mmzoo import PAD\nfrom mmzoo_image.image import Image\nimport mmzoology", []),
    ],
)
def test_private_imports_would_be_found(source, found):
    assert private_names(source) == found


def test_public_names_are_there_and_those_alone_are_promised():
    assert sorted(set(mmzoo.__all__)) == sorted(mmzoo.__all__)
    for name in mmzoo.__all__:
        assert hasattr(mmzoo, name), name
    assert not hasattr(mmzoo, "no_such_name")


# 3. Light at the edge

EDGE = """
import sys
import mmzoo
from mmzoo.registry.discovery import discover

catalog = discover()
assert not catalog.broken() and catalog.components
from click.testing import CliRunner
from mmzoo.cli.verbs import main
from mmzoo.recipe.source import read_recipe

read_recipe(RECIPE)
for arguments in (["--help"], ["--version"], ["build", "--help"], ["list"], ["list", "encoders"], ["plugins"]):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, (arguments, done.output, done.exception)
PLANTED
heavy = sorted(set(HEAVY) & set(sys.modules))
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def at_the_edge(planted: str = "") -> str:
    """Runs the edge in a fresh interpreter and gives what it complains of."""
    recipe = next(ROOT.glob("recipes/*/*.yaml"))
    code = EDGE.replace("RECIPE", repr(str(recipe))).replace("PLANTED", planted).replace("HEAVY", repr(HEAVY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    return "" if done.returncode == 0 else done.stderr


def test_the_edge_imports_neither_keras_nor_tensorflow():
    assert at_the_edge() == ""


def test_a_heavy_edge_would_be_found():
    assert at_the_edge("import types; sys.modules['keras'] = types.ModuleType('keras')") == "imported: ['keras']\n"


# 4. One path for training and serving: tests/test_one_path.py

# 5. Any backend in the middle


def bound_to_a_backend(source: str) -> set[str]:
    return modules(source) & {"tensorflow", "jax", "torch", "tensorflow_text", "tensorflow_hub"}


ON_TENSORFLOW_ALONE = ("tfhub",)
"""A SavedModel runs nowhere else, and it says so."""
KNOWS_BACKENDS = "mmzoo_text2image.gradients"
"""`keras.ops` has no gradient, so this file has one way for each backend, and refuses the others in words."""
MIDDLE = [
    c for c in discover().components if c.kind in ("encoder", "fusion", "head", "loss") and c.name not in ON_TENSORFLOW_ALONE
]


@pytest.mark.parametrize("component", MIDDLE, ids=lambda c: f"{c.kind}-{c.name}")
def test_the_middle_is_written_for_any_backend(component):
    waiting, seen = [component.target.partition(":")[0]], set()
    while waiting:  # the component's module, and those of its plugin that it imports
        module = waiting.pop()
        package = module.partition(".")[0]
        path = ROOT / "plugins" / package.replace("_", "-") / f"{module.replace('.', '/')}.py"
        if module in seen or module == KNOWS_BACKENDS or not path.exists():
            continue
        seen.add(module)
        source = path.read_text("utf-8")
        assert not bound_to_a_backend(source), path
        waiting += [m for m, _ in imports(source) if m.partition(".")[0] == package]
    assert seen or not component.target.startswith("mmzoo_")


@pytest.mark.parametrize("source", ["import tensorflow as tf", "def f():\n    from jax import numpy", "import torch.nn"])
def test_a_backend_in_the_middle_would_be_found(source):
    assert bound_to_a_backend(source)


# 6. Nothing in silence: ruff's BLE001, S110 and S112 refuse blind excepts; this refuses what they cannot see


def silences(source: str) -> list[int]:
    """Gives the lines where errors vanish: a handler that only passes, or `suppress`, without a comment that says why."""
    lines, found = source.splitlines(), []
    for node in ast.walk(ast.parse(source)):
        passes = isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass | ast.Continue) for s in node.body)
        suppresses = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        if passes or suppresses:
            near = lines[max(0, node.lineno - 2) : node.lineno + 1]
            found += [] if any("#" in line for line in near) else [node.lineno]
    return sorted(found)


@pytest.mark.parametrize("path", [*CORE, *sorted(ROOT.glob("plugins/*/mmzoo_*/**/*.py"))], ids=lambda p: p.name)
def test_no_error_vanishes_without_a_reason(path):
    assert silences(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("try:\n    f()\nexcept ValueError:\n    pass", [3]),
        ("for x in y:\n    try:\n        f()\n    except ValueError:\n        continue", [4]),
        ("with contextlib.suppress(OSError):\n    f()", [1]),
        ("try:\n    f()\nexcept ValueError:  # it is not there yet\n    pass", []),
        ("try:\n    f()\nexcept ValueError:\n    g()", []),
    ],
)
def test_a_silence_would_be_found(source, lines):
    assert silences(source) == lines


def test_ruff_refuses_blind_excepts(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text('"""Planted."""\n\ntry:\n    f = 1\nexcept Exception:\n    pass\n', "utf-8")
    options = ["--no-cache", "--output-format", "concise", "--config", ROOT / "pyproject.toml"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options, planted], capture_output=True, text=True, check=False
    )
    assert set(re.findall(r" ([A-Z]+\d+) ", done.stdout)) >= {"BLE001", "S110"}
