"""The simulated runner: what a trial reports is known, and time is simulated.

It trains nothing and writes no checkpoint. It has any number of slots, and its events come in the order of simulated
time, so a search on it is deterministic.

What the trials report comes from an object with the methods of `KnownTrials`. `build` reads it from a table of recorded
curves or a function (`_curve_sources.py`). `hpo.loop.simulation` gives its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from hpo.errors import HpoError, TaskError, UserError
from hpo.runners._curve_sources import load
from hpo.runners._known_trials import KnownTrials
from hpo.runners._runner import crash, goes_on
from hpo.space import SearchSpace
from hpo.training.builder import Job
from hpo.trial import Crash, Decision, Report, Suggestion

PLAYS_CURVES = True


def build(
    job: Job, checkpoints: Path, *, devices: str = "auto", slots: int | None = None, curves: str | None = None
) -> Simulated:
    """Build a runner with `slots` slots, by default one. `devices` is ignored, and `checkpoints` stays empty.

    `curves` is the source of the curves as `hpo.runners._curve_sources.located` returns it. Raises a UserError if it is
    None or wrong.
    """
    del checkpoints, devices
    if curves is None:
        raise UserError("the runner simulated needs `curves`: a CSV file, or a function as package.module:function")
    return Simulated(job.space, load(curves, job.space), slots=slots or 1)


@dataclass
class _Slot:
    """A trial on a slot."""

    suggestion: Suggestion
    reported: int
    """The last epoch that was reported, or is on record."""
    order: int
    """The number of the start. Of two events at the same time, that of the earlier start comes first."""
    event: Report | Crash | None = None
    """The last event."""


class Simulated:
    """Plays trials on a number of slots in simulated time. It has the methods of `SimulatesTime`."""

    def __init__(self, space: SearchSpace, trials: KnownTrials, *, slots: int = 1) -> None:
        """Raises an HpoError if `slots` is less than 1."""
        if slots < 1:
            raise HpoError(f"`slots` must be at least 1, but is {slots}")
        self._space = space
        self._trials = trials
        self._n_slots = slots
        self._slots: dict[int, _Slot] = {}
        """The trials on slots, by their numbers."""
        self._due: list[tuple[float, int, int]] = []
        """When the next event of each training trial comes, in simulated time, its order and the trial: a heap."""
        self._interrupted: dict[int, tuple[float, int]] = {}
        """For each interrupted trial that has not started again: when its next epoch began, and its order."""
        self._n_started = 0
        self._now = 0.0

    @property
    def now(self) -> float:
        """The simulated time in seconds: the end of the last epoch that was reported."""
        return self._now

    def restore(self, events: Iterable[object], running: Collection[int]) -> None:
        """Go on in simulated time where a record ends. It is called before the first `start`.

        `events` are those of the record, and `running` the trials that were training at its end. An epoch that was
        interrupted ends when it would have ended. So the search goes on as if it had not been interrupted. Time never
        goes back: with fewer slots than before, an epoch may end later than its seconds say (see `_begin_epoch`).
        """
        suggestions: dict[int, Suggestion] = {}
        began: dict[int, float] = {}
        orders: dict[int, int] = {}
        epochs: dict[int, int] = {}
        for event in events:
            if isinstance(event, Suggestion):
                suggestions[event.trial], began[event.trial] = event, self._now
                orders[event.trial] = self._n_started
                self._n_started += 1
            elif isinstance(event, Report):
                self._now = began[event.trial] = max(self._now, began[event.trial] + event.seconds)
                epochs[event.trial] = event.fidelity
            elif isinstance(event, Crash):
                epoch = epochs.get(event.trial, 0) + 1
                due = began[event.trial] + self._trials.seconds(suggestions[event.trial], epoch)
                self._now = began[event.trial] = max(self._now, due)
                self._trials.forget(event.trial)
        self._interrupted = {trial: (began[trial], orders[trial]) for trial in running}

    def free(self) -> int:
        return self._n_slots - len(self._slots)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        interrupted = self._interrupted.pop(suggestion.trial, None)
        if interrupted is None:
            interrupted = self._now, self._n_started
            self._n_started += 1
        began, order = interrupted
        slot = self._slots[suggestion.trial] = _Slot(suggestion, after, order)
        self._begin_epoch(slot, began)

    def events(self) -> Iterable[Report | Crash]:
        return self.events_until(None)

    def events_until(self, seconds: float | None) -> list[Report | Crash]:
        """The next event. Empty if it comes after `seconds` of simulated time, which are over then."""
        if not self._slots:
            raise HpoError("no trial is running, so nothing can happen")
        if not self._due:
            return []
        if seconds is not None and self._due[0][0] > seconds:
            self._now = max(self._now, seconds)
            return []
        self._now, _, trial = heapq.heappop(self._due)
        slot = self._slots[trial]
        try:
            slot.event = self._trials.report(slot.suggestion, slot.reported + 1)
            slot.reported = slot.event.fidelity
        except TaskError:
            raise
        except Exception as error:
            slot.event = crash(trial, error)
        return [slot.event]

    def settle(self, trial: int, decision: Decision) -> None:
        slot = self._slots.get(trial)
        event = None if slot is None else slot.event
        if slot is not None and goes_on(slot.suggestion, event, decision):
            self._begin_epoch(slot, self._now)
            return
        self._slots.pop(trial, None)
        has_ended = isinstance(event, Report) and (event.last or event.fidelity >= self._space.fidelity.high)
        if decision is Decision.STOP or isinstance(event, Crash) or has_ended:
            self._trials.forget(trial)

    def close(self) -> None:
        self._slots.clear()
        self._due.clear()

    def _begin_epoch(self, slot: _Slot, began: float) -> None:
        """Set when the next report comes: after the time of its epoch, which began at `began`."""
        due = began + self._trials.seconds(slot.suggestion, slot.reported + 1)
        # With fewer slots than before the interruption, a trial may start again after its epoch would have ended.
        heapq.heappush(self._due, (max(due, self._now), slot.order, slot.suggestion.trial))
