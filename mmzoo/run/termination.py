"""SIGTERM: what a process does when it is asked to end, as schedulers and containers do before they kill it. Light."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


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


def terminate() -> None:
    """Ends what runs.

    Raises:
        Terminated: Always.
    """
    raise Terminated
