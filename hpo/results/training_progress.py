"""Progress display of the trainings of a test: live lines in a terminal, one line for each training elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hpo.heldout import ModelResult, RetrainedEpoch
from hpo.quantities import with_plural


class TrainingProgress:
    """Shows the trainings that run now. Other lines that are printed to stderr meanwhile stand above them.

    A separate thread redraws the lines. It reads only a tuple that is replaced and never modified.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: dict[tuple[int, int], RetrainedEpoch] = {}
        self._lines: tuple[str, ...] = ()
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> TrainingProgress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._live.stop()

    def __call__(self, training: RetrainedEpoch) -> None:
        """Take in that a training has started, or has trained another epoch."""
        self._running[training.trial, training.seed] = training
        self._update()
        if not self._console.is_terminal and training.epoch == 0:
            line = f"{_words(training)}, {with_plural(training.n_epochs, 'epoch')}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def end(self, result: ModelResult) -> None:
        """Take in that the model of a training is tested, which takes its line away."""
        self._running.pop((result.trial, result.seed), None)
        self._update()

    def _update(self) -> None:
        self._lines = tuple(f"{_words(each)}, epoch {each.epoch}/{each.n_epochs}" for each in self._running.values())

    def _render(self) -> Group:
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in self._lines))


def _words(training: RetrainedEpoch) -> str:
    order = f" ({training.number} of {training.n_trainings})" if training.n_trainings > 1 else ""
    return f"training trial {training.trial}, seed {training.seed}{order}"
