"""The process that owns a run folder: it alone writes there, and tidies what killed builds have left. Light."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mmzoo.errors import RunError
from mmzoo.run.aside import MOVING, put_back
from mmzoo.run.atomic import sweep, writing
from mmzoo.run.folder import Run
from mmzoo.run.lock import holding


@contextlib.contextmanager
def claimed(run: Run, say: Callable[[str], None], make: bool = True) -> Iterator[None]:
    """Claims a run folder while its block runs. Claim it before anything slow, and look at what it holds after that.

    What builds that were killed have left there is removed or put back first. A folder that is empty at the end is removed if
    it was made for the claim.

    Args:
        run: The run; its folder must be one that may be written to (`check_usable`).
        say: Prints a line.
        make: Make the folder if it does not exist. Otherwise a folder without a run is left alone.

    Raises:
        RunError: Another process has claimed the folder, or it cannot be written.
    """
    if not (make or run.exists() or _is_interrupted(run)):
        yield
        return
    made = [path for path in (run.folder, *run.folder.absolute().parents) if not path.exists()]
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, made)
        with writing(run.folder):
            run.folder.mkdir(parents=True, exist_ok=True)
            before = stack.enter_context(holding(run.lock))
            if before is not None:
                say(f"run       {run.folder}: process {before.get('process', '?')}, which worked here, has ended")
            _tidy(run, say)
        yield


@contextlib.contextmanager
def keeping_replaced(run: Run) -> Iterator[None]:
    """If its block fails, says with the error where the run is that was to be replaced.

    It is put back if the new run has no checkpoint that a build could go on from.
    """
    try:
        yield
    except Exception as error:
        if run.replaced.exists():
            begun = run.weights.exists() or (run.checkpoint / "state.json").exists()
            if not begun:
                put_back(run.folder, run.names())
            kept = f"is kept in {run.replaced} until this build, done again, is complete" if begun else "is put back"
            error.add_note(f"The run that was there before {kept}.")
        raise


def check_usable(run: Run) -> None:
    """Checks that a run can be written into its folder, where there may be a run already; writes nothing.

    Raises:
        RunError: The folder holds files that are not a run, or it cannot be made or written.
    """
    other = "\nChoose another folder with --out."
    folder, entries = run.folder, run.entries()
    if folder.is_symlink() and not folder.exists():
        raise RunError(f"{folder}: it is a symbolic link to {folder.readlink()}, which does not exist.{other}")
    if entries and not (run.exists() or _is_interrupted(run)):
        example = run.plan.name if run.plan.name in entries else entries[0]
        raise RunError(f"{folder}: the folder holds files that are not a run ({example} ...); they are not replaced.{other}")
    parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        what = "is read-only" if parent.is_dir() else "is a file, not a folder"
        raise RunError(f"{folder}: the run cannot be written there: {parent} {what}.{other}")


def _is_interrupted(run: Run) -> bool:
    """Returns whether a build was killed while it moved the files of the run that it replaced."""
    if (moving := Run(run.folder / MOVING)).folder.exists():
        return run.exists() or moving.exists()
    return not run.plan.exists() and Run(run.replaced).exists()


def _tidy(run: Run, say: Callable[[str], None]) -> None:
    if _is_interrupted(run):
        put_back(run.folder, run.names())
        say(f"run       {run.folder}: the run that was being replaced is put back")
    removed = sweep(run.folder, {*run.names(), run.export.name, run.lock.name})
    for folder in (run.checkpoint, run.export, run.samples):
        removed += sweep(folder)
    if run.checkpoint.is_dir():
        removed += _unused_weights(run)
    if removed:
        say(f"run       {run.folder}: removed what a killed build has left: {', '.join(path.name for path in removed)}")


def _unused_weights(run: Run) -> list[Path]:
    """Removes the weights that the checkpoint's state does not name; returns their files."""
    state = run.checkpoint / "state.json"
    used = state.read_bytes() if state.exists() else b""
    unused = [path for path in sorted(run.checkpoint.glob("epoch-*.weights.h5")) if path.name.encode() not in used]
    for path in unused:
        path.unlink()
    return unused


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
