"""Each package declares what it imports, with floors and the known ceilings, and its wheel holds all of its files."""

import ast
import configparser
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from importlib.metadata import distributions, packages_distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/setup.cfg"))]
NEVER = ("tensorflow-cpu", "keras-nlp", "tf-keras")
"""Distributions that write into TensorFlow's folder a second time, are another's alias, or are Keras 2."""
INDIRECT = {
    "h5py": "Keras saves weights with it; TensorFlow does not work with 3.15",
    "importlib-resources": "TFDS imports it without requiring it",
    "pillow": "TFDS encodes pictures with it",
    "safetensors": "KerasHub reads folders of Hugging Face with it",
    "tensorflow-text": "KerasHub needs it; 2.21.0 is broken",
}
"""What is declared without being imported, and why."""


@cache
def config(package: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(package / "setup.cfg", "utf-8")
    return parser


def module(package: Path) -> Path:
    return package / config(package)["metadata"]["name"].replace("-", "_")


def requirements(package: Path, *extras: str) -> dict[str, Requirement]:
    """Gives what a package declares, and its extras, by canonical name."""
    text = config(package)["options"]["install_requires"]
    for extra in extras:
        text += config(package)["options.extras_require"][extra]
    found = map(Requirement, filter(None, map(str.strip, text.splitlines())))
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def extras(package: Path) -> list[str]:
    return list(config(package)["options.extras_require"]) if config(package).has_section("options.extras_require") else []


def all_requirements(package: Path) -> list[Requirement]:
    return [r for extra in ([], *([e] for e in extras(package))) for r in requirements(package, *extra).values()]


def imported(files: list[Path]) -> set[str]:
    """Gives the dotted names that files import, wherever the import stands."""
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
    return found


INSTALLED = {canonicalize_name(found.name) for found in distributions()}
PROVIDERS = packages_distributions()


def distribution(name: str) -> str:
    """Names the distribution that a dotted import comes from; of a namespace package the one that is named like it."""
    top, _, rest = name.partition(".")
    candidates = [canonicalize_name(found) for found in PROVIDERS.get(top, [top])]
    alike = [c for c in candidates if c in map(canonicalize_name, (f"{top}-{rest}", rest.partition(".")[0]))]
    return (alike or candidates)[0]


def used(files: list[Path]) -> set[str]:
    names = imported(files)
    return {distribution(name) for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def each(function):
    return pytest.mark.parametrize("package", PACKAGES, ids=lambda package: module(package).name)(function)


@each
def test_what_is_imported_is_declared(package):
    files = [path for path in module(package).rglob("*.py") if "testing" not in path.parts]
    own = canonicalize_name(config(package)["metadata"]["name"])
    assert used(files) - {own} - set(requirements(package, *set(extras(package)) - {"test"})) == set()


def test_what_the_conformance_kit_imports_is_declared():
    assert used(list((ROOT / "mmzoo" / "testing").rglob("*.py"))) - {"mmzoo"} - set(requirements(ROOT, "test")) == set()


@each
def test_what_tests_import_is_declared(package):
    """Tests run with the core's extra `test` beside what the package itself declares."""
    allowed = {*requirements(package), *requirements(ROOT, "test"), "mmzoo", canonicalize_name(module(package).name)}
    files = [path for path in (package / "tests").rglob("*.py") if "toys" not in path.parts]
    local = {canonicalize_name(path.stem) for path in files} | {"mmzoo-toys"}
    assert {name.partition(".")[0] for name in used(files)} - local - allowed == set()


def test_an_undeclared_import_would_be_found(tmp_path):
    (tmp_path / "a.py").write_text(
        "def f():\n    import rich.table\n    from ruamel.yaml import YAML\n    import os, PIL.Image", "utf-8"
    )
    assert used([tmp_path / "a.py"]) == {"rich", "ruamel-yaml", "pillow"}


@each
def test_what_is_declared_is_imported(package):
    needless = set(requirements(package)) - used(list(module(package).rglob("*.py"))) - set(INDIRECT)
    assert needless <= ({"mmzoo"} if package != ROOT else set())


@each
def test_every_requirement_has_a_floor_that_is_installed(package):
    for requirement in all_requirements(package):
        assert any(s.operator == ">=" for s in requirement.specifier), f"{requirement} has no floor"
        assert canonicalize_name(requirement.name) not in NEVER
        assert canonicalize_name(requirement.name) not in INSTALLED or requirement.specifier.contains(version(requirement.name))


@each
def test_known_breakage_is_kept_out(package):
    required = requirements(package)
    bad = {"tensorflow-text": "2.21.0", "keras-hub": "0.31.1", "h5py": "3.15.0", "keras": "3.14.0", "setuptools": "82.0"}
    for name, broken in bad.items():
        assert name not in required or not required[name].specifier.contains(broken), f"{required[name]} takes {name} {broken}"
    if "keras-hub" in required:
        assert "tensorflow-text" in required
    if "tensorflow-hub" in required:
        assert "setuptools" in required


def test_the_core_keeps_h5py_below_what_tensorflow_takes():
    assert not requirements(ROOT)["h5py"].specifier.contains("3.15.0")


@each
def test_a_plugin_names_a_hook_module_of_its_own(package):
    if package == ROOT:
        assert config(package)["options.entry_points"]["console_scripts"].strip() == "mmzoo = mmzoo.cli.verbs:main"
        return
    _, _, target = config(package)["options.entry_points"]["mmzoo"].partition("=")
    assert target.strip() == f"{module(package).name}.hooks"
    assert (module(package) / "hooks.py").exists()


@each
def test_metadata(package):
    metadata = config(package)["metadata"]
    assert metadata["license"] == "Apache-2.0"
    assert len(metadata["description"]) > 20
    assert config(package)["options"]["python_requires"] == ">=3.11"


@each
def test_a_wheel_holds_every_file_of_the_package(package, tmp_path):
    """Builds the wheel from a copy, without the network, and compares its files with the sources."""
    name = module(package).name
    shutil.copytree(module(package), tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for extra in ("setup.cfg", "pyproject.toml", "README.md"):
        if (package / extra).exists():
            shutil.copy(package / extra, tmp_path)
    code = "from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        packed = {file for file in wheel.namelist() if file.startswith(f"{name}/")}
    assert packed == {path.relative_to(tmp_path).as_posix() for path in (tmp_path / name).rglob("*") if path.is_file()}
