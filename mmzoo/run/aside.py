"""The run that a build replaces: kept in its folder until the new one is complete, or put back there. Light."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmzoo.run.atomic import remove

KEPT = ".replaced"
"""Folder in a run's folder with the run that is being replaced."""
MOVING = ".moving"
"""The same folder while files are moved into it or out of it; it outlives a build only if that is killed meanwhile."""


def set_aside(folder: Path, names: Sequence[str]) -> None:
    """Moves the files of a run into `KEPT`; other files stay, and so does the folder, which may be a symbolic link or a mount.

    If there is such a run already, the one in the folder is its unfinished successor, and is removed.

    Args:
        folder: The run's folder.
        names: What to move. First the file by which a run is known: it is moved last and comes back first.
    """
    if (folder / KEPT).exists():
        _clear(folder, names)
        return
    (folder / MOVING).mkdir()
    for name in reversed(names):
        if os.path.lexists(folder / name):
            (folder / name).rename(folder / MOVING / name)
    (folder / MOVING).rename(folder / KEPT)


def put_back(folder: Path, names: Sequence[str]) -> bool:
    """Removes the files of an unfinished run and puts the one back that it was to replace; returns whether there was one.

    May be called again after it was interrupted, or after `set_aside` was.
    """
    if (folder / KEPT).exists():
        _clear(folder, names)
        (folder / KEPT).rename(folder / MOVING)
    if not (folder / MOVING).exists():
        return False
    for path in sorted((folder / MOVING).iterdir(), key=lambda path: path.name != names[0]):
        path.rename(folder / path.name)
    (folder / MOVING).rmdir()
    return True


def _clear(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        remove(folder / name)
