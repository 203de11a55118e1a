"""What the tests of the core share."""

import sys

import pytest


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
