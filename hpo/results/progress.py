"""Progress display of a search: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import Progress, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpo import cache
from hpo.output_width import output_width
from hpo.quantities import duration, with_plural
from hpo.record import STUDY_FILE, Budget, Event, History, Ledger, State, configuration
from hpo.results.rendering import wrap
from hpo.trial import Crash, Report

if TYPE_CHECKING:
    from trainables.store.progress_files import RunningComputation

REDRAW_SECONDS = 0.25
"""The least time between two updates of what takes a look at all trials: epochs saved, failures, the time left."""
LINE_SECONDS = 10.0
"""The least time between two lines about the epochs of a training."""
OTHER_LINES = 8
"""The lines of a terminal that the table of running trials leaves to what stands above and below it."""
MIN_ROWS = 3
"""The least number of running trials that the table shows, if there are so many."""
BAR_WIDTH = 24
"""The width of a progress bar in characters."""


def print_note(note: str) -> None:
    """Print a note to stderr, above a live table. Lines that are too wide are broken between words."""
    width = output_width(sys.stderr)
    if width is not None:
        note = "\n".join(line for text in note.splitlines() for line in wrap(text, width, indent=" " * 5))[5:]
    print(f"hpo: {note}", file=sys.stderr)


def interrupted_line(folder: Path | None, *, again: str, go_on: str) -> str:
    """The line that says how to go on after Ctrl-C: `again` before the search began, `go_on` later.

    `folder` is that of the study, None if it is not known yet. It contains a study only when the search has begun.
    """
    if folder is None or not (folder / STUDY_FILE).exists():
        return f"interrupted before the search began; {again}"
    return f"interrupted; nothing is lost. {go_on}"


@contextmanager
def epoch_progress(*, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show on stderr how many epochs of one training are done: a bar in a terminal, else a line now and then.

    Yields the function to call after each epoch, with its number and that of all epochs. The bar appears at its first
    call. What is printed to stderr meanwhile, such as a note, stands above the bar.
    """
    console = Console(stderr=True)
    last_line = time.monotonic()
    disable = quiet or not console.is_terminal
    with Progress(console=console, transient=True, disable=disable, redirect_stdout=False) as progress:
        tasks: list[TaskID] = []

        def watch(epoch: int, n_epochs: int) -> None:
            nonlocal last_line
            if not tasks:
                tasks.append(progress.add_task("epochs"))
            progress.update(tasks[0], completed=epoch, total=n_epochs)
            if not quiet and not console.is_terminal and time.monotonic() - last_line >= LINE_SECONDS:
                last_line = time.monotonic()
                print_note(f"epoch {epoch} of {n_epochs}")

        yield watch


class Lines:
    """Prints one plain line for each trial that ends, pauses or crashes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        return None

    def __call__(self, event: Event, ledger: Ledger) -> None:
        history = ledger.history
        if not isinstance(event, Report | Crash):
            if len(history.trials) == 1 and not history.n_epochs and not ledger.is_simulated:
                self._console.print("searching; the first epochs take longer, until the data are read", highlight=False)
            return
        trial = history.trials[event.trial]
        if trial.state is State.RUNNING:
            return
        status = f"trial {trial.number:>3}  {trial.state.value:<8}  epoch {trial.epoch:>3}/{history.high}"
        if isinstance(event, Crash):
            result = event.summary
        else:
            result = f"{history.loss_name} {event.loss:.4f}"
        if isinstance(event, Report) and not math.isfinite(history.objective_of(event)):
            result += " (diverged)"
        best = history.incumbent
        # The best may be a trial that has no line yet.
        running = ", running" if best and best.state is State.RUNNING else ""
        incumbent = f"  best {best.loss:.4f} (trial {best.number}{running})" if best else ""
        line = f"{status}  {result}{incumbent}  {with_plural(history.n_epochs, 'epoch')}  {duration(ledger.elapsed)}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Screen:
    """A live table of the running trials; below it the best trial, the budget spent, epochs saved, and the time left.

    A separate thread redraws the screen. It reads only the tuples that `__call__` prepares in the thread of the
    search. `__call__` replaces these tuples and never modifies them, so no lock is needed.
    """

    def __init__(self, console: Console, budget: Budget) -> None:
        self._budget = budget
        self._console = console
        self._trials: tuple[tuple[tuple[str, ...], ...], tuple[str, ...]] = (), ("starting",)
        """The rows of the table, and the lines below it: replaced together, so that they agree."""
        self._loss_name = "loss"
        self._counts = ("", "")
        self._summary_time = 0.0
        self._announcement: tuple[str, ...] = ()
        self._clock: Callable[[], tuple[float, float | None]] = lambda: (0.0, None)
        self._waits: Callable[[], bool] = lambda: False
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def __call__(self, event: Event, ledger: Ledger) -> None:
        if time.monotonic() - self._summary_time >= REDRAW_SECONDS:
            self.summarise(ledger)
        else:
            self._take_in(ledger.history)

    def summarise(self, ledger: Ledger) -> None:
        """Take in all that is on record now."""
        self._loss_name = ledger.history.loss_name
        self._summary_time = now = time.monotonic()
        self._counts = _counts(ledger.history)
        self._take_in(ledger.history)
        left = time_left(ledger, self._budget)
        self._waits = lambda: ledger.outages.is_waiting
        self._clock = lambda: (ledger.elapsed, left and max(0.0, left - (time.monotonic() - now)))

    def _take_in(self, history: History) -> None:
        self._trials = _running(history, self._n_rows), _summary(history, self._budget, self._counts)

    @property
    def _n_rows(self) -> int:
        """The number of running trials for which the terminal has room."""
        return max(MIN_ROWS, self._console.height - OTHER_LINES)

    def announce(self, line: str) -> None:
        """Show a line above all others from now on. May be called in the middle of other code.

        If the terminal has too few rows, the last lines are cut off.
        """
        self._announcement = (line,)

    def text(self, width: int) -> str:
        """Return the current content of the screen as plain text, in lines of `width` characters."""
        console = Console(width=width, record=True, file=io.StringIO(), color_system=None, force_jupyter=False)
        console.print(self._render())
        return console.export_text()

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, expand=True)
        # Both the last and the best are values of the objective.
        for name, width in (("trial", 5), ("epoch", 7), (f"last {self._loss_name}", 9), ("best", 7)):
            table.add_column(name, justify="right", no_wrap=True, min_width=width)
        table.add_column("configuration", ratio=1, no_wrap=True, overflow="ellipsis")
        rows, summary = self._trials
        for row in rows:
            table.add_row(*row)
        elapsed, left = self._clock()
        clock = f"time     {duration(elapsed)}" + (f", about {duration(left)} left" if left is not None else "")
        if self._waits():
            clock = f"time     {duration(elapsed)}, waiting for the database of the record"
        first, last = (
            [Text(line, no_wrap=True, overflow="ellipsis") for line in lines]
            for lines in (self._announcement, (*summary, clock))
        )
        return Group(*first, table, *map(_bar, cache.in_progress()), *last)


def _bar(running: RunningComputation) -> Table:
    """A line for a computation that prepares data: a progress bar, the share done, and the time left."""
    line = Table.grid(padding=(0, 1))
    left = "" if running.left is None else f", about {duration(running.left)} left"
    bar = ProgressBar(total=1.0, completed=running.done, width=BAR_WIDTH)
    share = Text(f"{running.done:4.0%}{left}", no_wrap=True)
    line.add_row(Text("prepare "), bar, share, Text(running.words, no_wrap=True))
    return line


def _running(history: History, n_rows: int) -> tuple[tuple[str, ...], ...]:
    """The rows of the table, one for each running trial. The last one counts those beyond `n_rows`."""
    rows: list[tuple[str, ...]] = []
    numbers = sorted(history.running)
    shown = numbers if len(numbers) <= n_rows else numbers[: n_rows - 1]
    for number in shown:
        trial = history.trials[number]
        last, best = (
            (f"{history.objective_of(trial.reports[-1]):.4f}", f"{trial.loss:.4f}") if trial.reports else ("", "")
        )
        rows.append((str(number), f"{trial.epoch}/{trial.until}", last, best, configuration(trial.config)))
    if len(shown) < len(numbers):
        rows.append(("...", "", "", "", f"and {len(numbers) - len(shown)} more trials"))
    return tuple(rows)


def _counts(history: History) -> tuple[str, str]:
    """The failed trials and the epochs saved, as the line of the budget shows them."""
    crashed = f", {len(history.crashed)} crashed" if history.crashed else ""
    crashed += f", {len(history.infeasible)} too large for memory" if history.infeasible else ""
    return crashed, f" ({n_saved} saved by stopping)" if (n_saved := history.n_saved()) else ""


def _summary(history: History, budget: Budget, counts: tuple[str, str]) -> tuple[str, ...]:
    """The lines below the table: the best trial and the budget spent. `counts` is what `_counts` returned."""
    lines = []
    best = history.incumbent
    if best is not None and best.best is not None:
        accuracy = best.best.metrics.get("val_accuracy")
        shown = "" if accuracy is None else f", accuracy {accuracy:.4f}"
        name = "" if history.objective == "val_loss" else f"{history.objective} "
        lines.append(f"best     {name}{best.loss:.4f}{shown}, trial {best.number}: {configuration(best.config)}")
    trials = f"{history.n_trials}" + (f" of {budget.trials}" if budget.trials is not None else "")
    nouns = ["trial" if trials == "1" else "trials", "epochs"]
    epochs = f"{history.n_epochs}" + (f" of {budget.epochs}" if budget.epochs is not None else "")
    if epochs == "1":
        nouns[1] = "epoch"
    crashed, saved = counts
    lines.append(f"spent    {trials} {nouns[0]}{crashed}, {epochs} {nouns[1]}{saved}")
    return tuple(lines)


def time_left(ledger: Ledger, budget: Budget) -> float | None:
    """Estimate the seconds until the first budget is spent, at the pace so far.

    Returns None if there is no budget, or not enough progress for an estimate.
    """
    history, elapsed = ledger.history, ledger.elapsed
    estimates = []
    if budget.seconds is not None:
        estimates.append(budget.seconds - elapsed)
    if budget.epochs is not None and history.n_epochs:
        estimates.append(elapsed * (budget.epochs / history.n_epochs - 1))
    ended = history.n_trials - len(history.running)
    if budget.trials is not None and ended:
        estimates.append(elapsed * (budget.trials / ended - 1))
    return max(0.0, min(estimates)) if estimates else None
