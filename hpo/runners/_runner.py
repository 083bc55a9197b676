"""What a runner is. A runner executes; it decides nothing, records nothing, and knows no backend.

A file of this folder (or a module named by an entry point of the group `hpo.runners`) offers

    build(job: Job, checkpoints: Path, *, devices: str, slots: int | None) -> Runner
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from hpo.training.checkpoints import conclude, discard
from hpo.trial import Crash, Decision, Report, Suggestion


class Runner(Protocol):
    """Trains suggestions on its slots and hands back what happens, one event an epoch."""

    def free(self) -> int:
        """The number of slots that could start a suggestion now."""
        ...

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        """Train a trial up to `suggestion.until` on a free slot.

        `after` is the last epoch of the trial that is on record: its first report is `after + 1`,
        from the checkpoint where there is one. An epoch that the checkpoint holds and the record
        does not is reported without being trained again.
        """
        ...

    def events(self) -> Iterable[Report | Crash]:
        """What happened since the last call; blocks for at least one event.

        A trial that has reported waits for `settle` before it goes on. An exception of the training is
        a Crash; a MachineError, such as a full disk, and a TaskError, such as missing data, are
        raised: they are no fault of the trial.
        """
        ...

    def settle(self, trial: int, decision: Decision) -> None:
        """Tell a trial its fate.

        CONTINUE to a trial that has reached its `until`, has said `last` or has crashed frees its
        slot. PAUSE frees the slot and keeps the checkpoint. STOP frees it and deletes the
        checkpoint, also that of a trial that was paused before.
        """
        ...

    def close(self) -> None:
        """End every worker. Whatever runs is left where its last checkpoint is."""
        ...


def goes_on(suggestion: Suggestion, event: Report | Crash | None, decision: Decision) -> bool:
    """Whether a trial trains another epoch after its last event and the decision on it."""
    if decision is not Decision.CONTINUE or isinstance(event, Crash):
        return False
    return event is None or not (event.last or event.fidelity >= suggestion.until)


def tidy(checkpoints: Path, high: int, trial: int, event: Report | Crash | None, decision: Decision) -> None:
    """Delete what a settled trial needs no more; `event` is the one just settled, None if it was paused before.

    Nothing stays of a trial that was stopped or crashed; of one that has ended, its best epoch.
    """
    if decision is Decision.STOP or isinstance(event, Crash):
        discard(checkpoints, trial)
    elif event is not None and (event.last or event.fidelity >= high):
        conclude(checkpoints, trial)


def crash(trial: int, error: Exception) -> Crash:
    """An exception of a trial as an event: its text first, then the end of its traceback."""
    text = "".join(traceback.format_exception(error))
    return Crash(trial, type(error).__name__, f"{error}\n{text[-4000:]}")
