"""What the tests of the core share."""

import sys
from pathlib import Path

import pytest

CAPTIONER = """\
name: toy-captioner
about: Says what colour a square has and where it is.
data: {type: toy_squares, examples: 12}
inputs:
  image: {type: image, field: image, size: 9}
  caption: {type: words, field: caption, length: 4}
encoders:
  image: {type: resnet, blocks: [1]}
head: {type: gru_captioner, target: caption, units: 8, beam: 2}
loss: {type: token_cross_entropy}
train: {epochs: 1, batch: 4}
metrics: [exact_match]
export: {examples: 3}
"""
"""A recipe that builds in seconds."""


@pytest.fixture
def install_plugin(tmp_path, monkeypatch):
    """Installs plugins for one test, where discovery finds them: a name, its hook module's text, other modules' texts."""

    def install(name: str, hooks: str, **modules: str) -> None:
        folder = tmp_path / "site" / name
        stem = name.replace("-", "_")
        info = folder / f"{stem}-0.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[mmzoo]\n{stem} = {stem}_hooks\n", "utf-8")
        for module, text in {f"{stem}_hooks": hooks, **modules}.items():
            (folder / f"{module}.py").write_text(text, "utf-8")
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(folder)

    return install


@pytest.fixture
def toys(install_plugin, monkeypatch):
    """Installs the toys as a plugin, and gives the recipe of a captioner of them."""
    monkeypatch.syspath_prepend(Path(__file__).with_name("toys"))
    install_plugin("mmzoo-toys", "from mmzoo_toys.hooks import *")
    return CAPTIONER
