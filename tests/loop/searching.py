"""What the tests of the search share."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from hpo.record import Event, History, Ledger, Settings, StudyFolder
from hpo.trial import Report

BACKENDS = ["optuna", "asha", "bohb", "freeze_thaw", "random"]
INLINE = Settings(runner="inline", devices="cpu", seed=3)


def history(folder: Path) -> History:
    return StudyFolder.reopen(folder).history()[0]


def timeless(events: list[Event]) -> list[Event]:
    """Events without the seconds that they took."""
    return [replace(event, seconds=0.0) if isinstance(event, Report) else event for event in events]


def check_sound(history: History) -> None:
    """Every epoch of every trial is on record once, in order, and no trial is left hanging."""
    for trial in history.trials.values():
        assert [report.fidelity for report in trial.reports] == list(range(1, trial.epoch + 1))


class KillAfter:
    """Kills this process, as `kill -9` does, when so many events are on record."""

    def __init__(self, n_events: int) -> None:
        self.left = n_events

    def __call__(self, event: Event, ledger: Ledger) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
