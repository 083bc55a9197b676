"""Our sides of the comparison: a search whose training is free, a backend alone, growth and resume.

A `Cost` is taken between the start of one trial, when everything is imported and warm, and the end of
the last, so that model-based samplers are compared over the same trials.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from benchmarks import free, timed
from benchmarks.report import peak_megabytes
from hpo.loop import Session, begin, build_backend, resume
from hpo.record import Budget, Event, Ledger, Settings
from hpo.trial import Report, Suggestion

SLOTS = 2
"""Trials at once on the processes runner."""


@dataclass(frozen=True)
class Cost:
    """What trials took."""

    trials: int
    """How many were measured, the first few left out."""
    wall: float
    """Milliseconds a trial."""
    cpu: float
    """Milliseconds of CPU time a trial, of this process alone."""
    sampler: tuple[float, float] = (0.0, 0.0)
    """Of these, those of wall and of CPU time that passed within the backend's own `ask` and `tell` in a search."""


class Clock:
    """The times at which trials start, and that of the last event."""

    def __init__(self) -> None:
        self.starts: list[tuple[float, ...]] = []
        self.last: tuple[float, ...] = ()

    def start(self) -> None:
        self.starts.append(self._now())

    def tick(self) -> None:
        self.last = self._now()

    def __call__(self, event: Event, ledger: Ledger) -> None:
        """What a search calls after each event."""
        if isinstance(event, Suggestion):
            self.start()
        self.tick()

    def cost(self) -> Cost:
        """The mean of all trials but the first tenth, which imports and warms up."""
        skipped = max(2 * SLOTS, len(self.starts) // 10)
        first, n_trials = self.starts[skipped], len(self.starts) - skipped
        wall, cpu, *sampler = (1000 * (now - then) / n_trials for then, now in zip(first, self.last, strict=True))
        return Cost(n_trials, wall, cpu, (sampler[0], sampler[1]))

    @staticmethod
    def _now() -> tuple[float, ...]:
        return time.perf_counter(), time.process_time(), *timed.spent


def settings(backend: str, runner: str, slots: int = SLOTS) -> Settings:
    """Settings under which every trial makes all its reports."""
    options = {"backend": backend} | ({"pruner": "none"} if backend == "optuna" else {})
    return Settings(backend="benchmarks.timed", options=options, seed=0, runner=runner, devices="cpu", slots=slots)


def search(
    backend: str, runner: str, trials: int, slots: int = SLOTS, pause: float = 0.0, storage: str | None = None
) -> Cost:
    """A whole search, with the durable ledger and a checkpoint an epoch; each epoch waits for `pause` seconds.

    The ledger is a journal if `storage` is None, else a new file if it is `sqlite`, else in the database at this URL.
    """
    clock = Clock()
    made, budget = settings(backend, runner, slots), Budget(trials=trials)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/study.db" if storage == "sqlite" else storage
        name = Path(folder).name  # a database keeps the studies of earlier measurements, under other names
        begin(
            Path(folder) / name,
            free.space(pause=pause),
            replace(made, storage=url),
            budget,
            session=Session(watch=clock),
        )
    return clock.cost()


def alone(backend: str, trials: int) -> Cost:
    """A backend by itself, asked and told the same: what its sampler costs."""
    clock, made = Clock(), build_backend(free.space(), settings(backend, "inline"))
    for _ in range(trials):
        clock.start()
        suggestion = made.ask()
        assert isinstance(suggestion, Suggestion)
        for epoch in range(1, free.EPOCHS + 1):
            loss = free.loss_at(float(suggestion.config["x"]), epoch)  # type: ignore[arg-type]
            made.tell(Report(suggestion.trial, epoch, loss, {"val_loss": loss}, 0.0))
        clock.tick()
    return replace(clock.cost(), sampler=(0.0, 0.0))


@dataclass(frozen=True)
class Growth:
    """What a long study costs, backend=random, inline."""

    trials: int
    early: tuple[float, float]
    """Milliseconds of wall and of CPU time of a trial after the first few: the median of a hundred."""
    late: tuple[float, float]
    """The same of the last hundred."""
    resume: float
    """Seconds in which `resume` opens and replays the whole record, finds the budget spent and writes the tables."""
    megabytes: float
    """The size of the journal."""
    searched: float
    """Seconds of the search, its tables included."""
    peaks: tuple[float, float]
    """The most memory of this process in megabytes, imports included: after the search, and after the resume."""


def growth(trials: int) -> Growth:
    """Many trials in one study, and its resume."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "s"
        begun = time.perf_counter()
        begin(study, free.space(), settings("random", "inline"), Budget(trials=trials), session=Session(watch=clock))
        searched, peak = time.perf_counter() - begun, peak_megabytes()
        megabytes = os.path.getsize(study / "ledger.log") / 1e6
        started = time.perf_counter()
        resume(study)
        seconds = time.perf_counter() - started
    width = min(100, trials // 4)
    begins = min(50, trials // 4)
    early, late = (_median(clock, first, width) for first in (begins, trials - width - 1))
    return Growth(trials, early, late, seconds, megabytes, searched, (peak, peak_megabytes()))


def _median(clock: Clock, first: int, width: int) -> tuple[float, float]:
    window = clock.starts[first : first + width + 1]
    steps = [(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(window)]
    wall, cpu = zip(*steps, strict=True)
    return 1000 * statistics.median(wall), 1000 * statistics.median(cpu)
