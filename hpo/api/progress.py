"""Progress in a notebook or a terminal; none if the output is neither."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.record import Budget, Event, Ledger, StudyFolder
from hpo.results.progress import Screen, interrupted_line, print_note
from hpo.training import notices

if TYPE_CHECKING:
    from hpo.loop import Watch

REDRAW_SECONDS = 0.5
WIDTH = 100
"""Characters of a line in a notebook."""


@contextlib.contextmanager
def show_progress(budget: Budget, *, quiet: bool) -> Iterator[Watch | None]:
    """What to call after each event of a search; None where nothing is to be shown."""
    console = Console(stderr=True)
    if quiet:
        yield None
    elif in_notebook():
        cell = NotebookCell(budget)
        try:
            yield cell
        finally:
            cell.draw()
    elif console.is_terminal:
        with Screen(console, budget) as screen:
            yield screen
    else:
        yield None


@contextlib.contextmanager
def interrupt_note(folder: Callable[[], Path | None], *, quiet: bool) -> Iterator[None]:
    """Print how to go on if Ctrl-C ends the `with` block, unless `quiet`. The KeyboardInterrupt is raised in any case.

    `folder` returns the folder of the study, or None as long as it is not known.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not quiet:
            go_on = "Make the same call again to continue"
            print_note(interrupted_line(folder(), again="make the same call again", go_on=go_on))
        raise


def print_notices(study: StudyFolder, *, quiet: bool) -> None:
    """Print the notices of a study, such as how a weights file was read, unless `quiet`."""
    for line in () if quiet else notices.read(study.checkpoints):
        print(line, file=sys.stderr)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


class NotebookCell:
    """The same table as in a terminal, in the output of a cell; drawn anew at most twice a second."""

    def __init__(self, budget: Budget) -> None:
        from IPython.display import display

        self._screen = Screen(Console(quiet=True, force_jupyter=False), budget)
        self._ledger: Ledger | None = None
        self._drawn = time.monotonic()
        self._handle: Any = display({"text/plain": "starting"}, raw=True, display_id=True)

    def __call__(self, event: Event, ledger: Ledger) -> None:
        self._ledger = ledger
        if time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self.draw()

    def draw(self) -> None:
        """Show what is on record now."""
        self._drawn = time.monotonic()
        if self._ledger is not None:
            self._screen.summarise(self._ledger)
        text = self._screen.text(WIDTH)
        self._handle.update({"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}, raw=True)
