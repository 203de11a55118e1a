"""The log of a run: what libraries warn of while mmzoo works for the run. Light."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

QUIET = "absl"
"""A logger whose warnings no terminal shows; the log does."""


class RunLog(logging.Handler):
    """Writes records to a file. Until the file may be written, it keeps them.

    Args:
        path: The file; lines are added to it.
        begun: Whether it may be written.
    """

    def __init__(self, path: Path, begun: bool):
        super().__init__(logging.WARNING)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self.path, self.begun, self.lines = path, begun, list[str]()

    def begin(self, message: str) -> None:
        """Writes a message and what was kept, and from now on each line at once."""
        self.begun = True
        self.keep(logging.INFO, "mmzoo", message)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record) + "\n")
        self._write()
        if not _is_shown(record, self) and logging.lastResort is not None:
            logging.lastResort.handle(record)  # as if this handler were not there

    def keep(self, level: int, name: str, message: str) -> None:
        """Adds a line that no other handler sees."""
        self.lines.append(self.format(logging.LogRecord(name, level, "", 0, message, (), None)) + "\n")
        self._write()

    def _write(self) -> None:
        # On a full disk the lines wait for the next one; what cannot go on without the disk says so itself.
        with suppress(OSError):
            if self.begun and self.lines:
                with self.path.open("a", encoding="utf-8") as file:
                    file.writelines(self.lines)
                self.lines.clear()


@contextmanager
def logged(path: Path, begun: bool = True) -> Iterator[RunLog]:
    """Adds to a file what libraries warn of in the block, by Python's `warnings` or `logging`. Terminals show what they did.

    What TensorFlow's C++ code writes to the standard error is not in it: a crash must be seen there.

    Args:
        path: The file. If it is the log already, nothing changes.
        begun: Whether the file may be written at once, or after `RunLog.begin`.
    """
    root, quiet = logging.getLogger(), logging.getLogger(QUIET)
    known = [handler for handler in root.handlers if isinstance(handler, RunLog) and handler.path == path]
    if known:
        yield known[0]
        return
    log, level, show = RunLog(path, begun), quiet.level, warnings.showwarning

    def quieted(record: logging.LogRecord) -> bool:
        shown = record.levelno >= (level or logging.WARNING)
        if not shown:
            log.keep(record.levelno, record.name, record.getMessage())
        return shown

    def warn(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any, **more: Any) -> None:
        log.keep(logging.WARNING, category.__name__, f"{message} ({filename}:{lineno})")
        show(message, category, filename, lineno, *rest, **more)

    root.addHandler(log)
    quiet.addFilter(quieted)
    quiet.setLevel(logging.WARNING)
    warnings.showwarning = warn
    try:
        yield log
    finally:
        warnings.showwarning = show
        quiet.setLevel(level)
        quiet.removeFilter(quieted)
        root.removeHandler(log)


def _is_shown(record: logging.LogRecord, log: RunLog) -> bool:
    """Returns whether another handler takes a record, too."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(handler is not log for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
