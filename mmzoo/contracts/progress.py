"""Progress on the terminal: lines of text, tables, and bars with the time left."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

WIDTH = 128
"""Width in characters of a table that is written to a file."""


class Screen:
    """Prints progress: with bars on a terminal, as plain lines to a file.

    Args:
        quiet: Print nothing.
        stderr: Print to the standard error, beside an answer on the standard output.
    """

    def __init__(self, quiet: bool = False, stderr: bool = False):
        width = None if (sys.stderr if stderr else sys.stdout).isatty() else WIDTH
        self.console = Console(
            stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width
        )

    def say(self, text: str) -> None:
        """Prints a line of text unchanged."""
        self.console.print(text)

    def show(self, renderable: Any) -> None:
        """Prints a table or another rich object."""
        self.console.print(renderable, soft_wrap=False)

    def track(self, items: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
        """Yields the items and shows a bar with their number and the time left. The bar disappears at the end."""
        with self.bar(transient=True) as bar:
            task = bar.add_task(what, total=total, note="")
            for item in items:
                yield item
                bar.advance(task)

    @contextmanager
    def bar(self, transient: bool = False) -> Iterator[Progress]:
        """Shows a progress bar on a terminal; shows nothing elsewhere."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        shown = self.console.is_terminal and not self.console.quiet
        with Progress(*columns, console=self.console, transient=transient, disable=not shown) as bar:
            yield bar
