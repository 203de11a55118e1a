"""A lock file: it says which process works in a place, on this host or on another one. Light."""

import contextlib
import json
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmzoo.errors import RunError

BEAT = 30.0
"""Seconds after which the holder of a lock touches its file again."""
SILENCE = 600.0
"""Seconds without a touch after which a holder that cannot be looked for, as on another host, counts as ended."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
MACHINE = Path("/etc/machine-id")

Holder = dict[str, Any]
"""What a lock file says: `process`, `host`, `since`, and what recognises the process; empty if the file cannot be read."""


@contextlib.contextmanager
def holding(lock: Path, wait: Callable[[str], None] | None = None) -> Iterator[Holder | None]:
    """Holds a lock while its block runs: one process at a time does, also on a network file system.

    A lock whose process has ended is taken over. On the same host and under Linux the process itself is looked for. Elsewhere
    the file must have been touched lately, by the clock of its file system.

    Args:
        lock: The file. It is created, and removed at the end.
        wait: If another process holds the lock, wait for it, and call this once with a sentence that says who holds it.

    Yields:
        The ended process that held the lock before; None if there was none.

    Raises:
        RunError: Another process holds the lock, and `wait` is not given.
        OSError: The file cannot be written.
    """
    mine = _myself()
    before = _acquire(lock, mine, wait)
    done = threading.Event()
    beat = threading.Thread(target=_beat, args=(lock, mine, done), daemon=True)
    beat.start()
    try:
        yield before
    finally:
        done.set()
        beat.join()
        with contextlib.suppress(OSError):  # the lock is taken over when its process is gone
            if read_lock(lock) == mine:
                lock.unlink()


def check_free(lock: Path) -> None:
    """Checks that no other process holds a lock.

    Raises:
        RunError: One does; the message says which one.
    """
    holder = read_lock(lock)
    if holder is None or (holder.get("process"), holder.get("place")) == (os.getpid(), _place()):
        return
    if not _has_ended(holder, lock):
        raise _held(holder, lock)


def read_lock(lock: Path) -> Holder | None:
    """Reads a lock; returns None if there is none."""
    try:
        found = json.loads(lock.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return {}  # it is being written, or damaged
    return found if isinstance(found, dict) else {}


def _acquire(lock: Path, mine: Holder, wait: Callable[[str], None] | None) -> Holder | None:
    """Creates a lock as soon as nobody holds it; returns the ended process that held it before, if there is one."""
    before, said = None, False
    while not _create(lock, mine):
        holder = read_lock(lock)
        if holder is None:
            continue
        if _has_ended(holder, lock):
            before = holder if _remove(lock, holder) else before
        elif wait is None:
            raise _held(holder, lock)
        else:
            if not said:
                wait(_who(holder))
            said = True
            time.sleep(0.2)
    return before


def _create(lock: Path, mine: Holder) -> bool:
    """Creates a lock, which only one process can; returns whether this one has."""
    try:
        with lock.open("x", encoding="utf-8") as file:
            try:
                json.dump(mine, file)
                file.flush()
            except OSError:
                lock.unlink()
                raise
    except FileExistsError:
        return False
    return True


def _remove(lock: Path, ended: Holder) -> bool:
    """Removes the lock of a process that has ended; returns False if it is another one's by now."""
    aside = lock.with_name(f".{uuid4().int}.{lock.name}")
    try:
        lock.rename(aside)  # of several that try, one succeeds
    except FileNotFoundError:
        return False
    same = read_lock(aside) == ended
    if not same:
        with contextlib.suppress(OSError):  # another process has made a lock by now
            os.link(aside, lock)
    aside.unlink()
    return same


def _beat(lock: Path, mine: Holder, done: threading.Event) -> None:
    while not done.wait(BEAT):
        with contextlib.suppress(OSError):  # the file system may be back at the next beat
            if read_lock(lock) == mine:
                os.utime(lock)


def _myself() -> Holder:
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    mine = {"process": os.getpid(), "host": platform.node(), "since": now, "token": uuid4().hex}
    return mine | {"place": _place(), "began": _began(os.getpid())}


def _place() -> str:
    """Returns where process ids mean the same: host, machine and namespace; empty where that cannot be known."""
    try:
        machine = MACHINE.read_text("utf-8").strip() if MACHINE.exists() else ""
        # Containers may share the name of a host and number their processes alike.
        return f"{platform.node()} {machine} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _began(process: int) -> str:
    """Returns when a process began: the boot of the host, and ticks since then; empty if there is no such process."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()
        return "" if state in "ZX" else f"{BOOT.read_text('utf-8').strip()} {fields[18]}"  # Z: ended, not yet waited for
    except (OSError, IndexError):
        return ""


def _has_ended(holder: Holder, lock: Path) -> bool:
    place, process = _place(), holder.get("process")
    if not place or holder.get("place") != place or not isinstance(process, int):
        return _silence(lock) > SILENCE
    began = _began(process)
    return began != holder.get("began") if began else not _is_hidden(process)


def _is_hidden(process: int) -> bool:
    """Returns whether a process is another user's and this one may not see more of it than that."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:  # there is no such process
        pass
    return False


def _silence(lock: Path) -> float:
    """Returns the seconds since a lock was touched, by the clock of its file system, which may be a server's."""
    now = time.time()
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=lock.parent) as probe:  # the clock of this host will do
        now = os.fstat(probe.fileno()).st_mtime
    try:
        return now - lock.stat().st_mtime
    except OSError:
        return 0.0


def _who(holder: Holder) -> str:
    process = f"process {holder.get('process', '?')} on {holder.get('host', 'an unknown host')}"
    return f"{process} has been working there since {holder.get('since', 'an unknown time')}"


def _held(holder: Holder, lock: Path) -> RunError:
    """Returns the error of a lock that another process holds."""
    where = f"{lock.parent}: {_who(holder)}"
    if holder.get("place") == _place():
        return RunError(f"{where}.\nWait until it has ended, or stop it.")
    return RunError(
        f"{where}; its last sign of life is {max(0.0, _silence(lock)):.0f} s old.\nWait until it has ended. After "
        f"{SILENCE / 60:.0f} minutes without a sign of life it counts as ended. If you know that it has, remove {lock}."
    )
