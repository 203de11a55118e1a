"""SIGTERM: what a process does when it is asked to end, as schedulers and containers do before they kill it. Light."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

GRACE = 10.0
"""Seconds that a process has to end in order."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end. Like Ctrl-C, it passes through everything that handles errors."""


@contextlib.contextmanager
def on_termination(act: Callable[[], Any]) -> Iterator[None]:
    """Calls a function when the process is asked to end within the block. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def terminating() -> Iterator[None]:
    """Ends its block when the process is asked to end.

    Raises:
        Terminated: It was asked.
    """
    # Python ignores what is raised while it destroys an object. Then the second signal ends the process.
    again = threading.Timer(GRACE, os.kill, (os.getpid(), signal.SIGTERM))
    again.daemon = True

    def end() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        again.start()
        raise Terminated

    with on_termination(end):
        try:
            yield
        finally:
            again.cancel()
