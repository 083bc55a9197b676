"""What shows a fit to its user."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hpo.heldout import ModelResult, RetrainedEpoch
from hpo.loop import Watch
from hpo.record import Budget

WatchTraining = tuple[Callable[[ModelResult], None], Callable[[RetrainedEpoch], None]]
"""A function that takes in the tested model, and one that takes in each epoch of its training."""


class Display(Protocol):
    """Shows a fit to its user."""

    def step(self, number: int, words: str, seconds_left: float) -> None:
        """A step begins. `seconds_left` is what is left of the time of the fit."""
        ...

    def note(self, line: str) -> None:
        """Show a line."""
        ...

    def search(self, study: Path, budget: Budget) -> AbstractContextManager[Watch | None]:
        """Show the progress of a search inside the context, by the function that it yields."""
        ...

    def training(self) -> AbstractContextManager[WatchTraining]:
        """Show the progress of the last training inside the context, by the functions that it yields."""
        ...
