"""What the tests of the core share."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

RECIPE = """\
name: toy
about: Says what colour a square has or where it is.
data: {type: toy_squares, examples: 24}
inputs:
  image: {type: toy_pixels, field: bitmap}
  answer: {type: toy_label, field: answer}
encoders:
  image: {type: toy_flat, dim: 16}
head: {type: toy_classify, target: answer, units: 8}
loss: {type: toy_cross_entropy}
train: {epochs: 1, batch_size: 8}
metrics: [exact_match]
export: {examples: 3}
"""
"""A recipe that builds in seconds."""


def install(folder: Path, patch: pytest.MonkeyPatch, name: str, hooks: str, **modules: str) -> None:
    stem = name.replace("-", "_")
    info = folder / name / f"{stem}-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[mmzoo]\n{stem} = {stem}_hooks\n", "utf-8")
    for module, text in {f"{stem}_hooks": hooks, **modules}.items():
        (folder / name / f"{module}.py").write_text(text, "utf-8")
        patch.delitem(sys.modules, module, raising=False)
    patch.syspath_prepend(folder / name)


def install_toys(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.syspath_prepend(Path(__file__).with_name("toys"))
    install(folder, patch, "mmzoo-toys", "from mmzoo_toys.hooks import *")


@pytest.fixture
def install_plugin(tmp_path, monkeypatch):
    """Installs plugins for one test, where discovery finds them: a name, its hook module's text, other modules' texts."""
    return lambda name, hooks, **modules: install(tmp_path / "site", monkeypatch, name, hooks, **modules)


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """Installs the toys as a plugin, and gives a recipe of them."""
    install_toys(tmp_path / "site", monkeypatch)
    return RECIPE


@pytest.fixture(scope="module")
def toy_world(tmp_path_factory):
    """A folder to work in with the toys installed and their recipe as r.yaml."""
    with pytest.MonkeyPatch.context() as patch:
        install_toys(tmp_path_factory.mktemp("site"), patch)
        folder = tmp_path_factory.mktemp("world")
        patch.chdir(folder)
        Path("r.yaml").write_text(RECIPE, "utf-8")
        yield folder


@pytest.fixture(scope="module")
def served_toy(toy_world):
    """Opens the data of a toy and makes its served answer, as a build does: plan, data, task, served."""
    from mmzoo.contracts.progress import Screen
    from mmzoo.data.open import features_of, open_data
    from mmzoo.modeling.assemble import assemble
    from mmzoo.recipe.resolve import resolve
    from mmzoo.recipe.source import read_recipe
    from mmzoo.registry.discovery import discover
    from mmzoo.serving.served import Served

    plan = resolve(read_recipe("r.yaml"), discover())
    data = open_data(plan, Screen(quiet=True))
    task, _ = assemble(plan, features_of(data.processors))
    return SimpleNamespace(plan=plan, data=data, task=task, served=Served(task, data.processors))
