"""A display of a fit that keeps what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpo.fit.display import WatchTraining
from hpo.loop import Watch
from hpo.record import Budget


class Notes:
    """Keeps what a fit shows."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.lines: list[str] = []

    def step(self, number: int, words: str, seconds_left: float) -> None:
        self.steps.append(words)

    def note(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def search(self, study: Path, budget: Budget) -> Iterator[Watch | None]:
        yield None

    @contextmanager
    def training(self) -> Iterator[WatchTraining]:
        yield (lambda model: None), (lambda epoch: None)
