"""The simulated runner: what a trial reports is known, and time is simulated.

It trains nothing and writes no checkpoint. It has any number of slots, and its events come in the order of simulated
time, so a search on it is deterministic. It is built in Python code, by `hpo.loop.simulation`: a space file and the
command line cannot name it.

What the trials report comes from an object with the methods of `KnownTrials`: `Curves` takes it from a function, and
`hpo.loop.recorded_trials` from a recorded study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hpo.errors import HpoError, TaskError
from hpo.runners._runner import crash, goes_on
from hpo.space import SearchSpace
from hpo.training.early_stopping import EarlyStopping
from hpo.training.trial_run import N_REPORTS, Progress
from hpo.trial import Config, Crash, Decision, Report, Suggestion

Curve: TypeAlias = Callable[[Config, int], Mapping[str, float]]
"""The metrics of a configuration after an epoch, counted from 1. The same call must always return the same."""
Seconds: TypeAlias = Callable[[Config], float]
"""The simulated seconds of each epoch of a configuration."""


class KnownTrials(Protocol):
    """What the trials of a simulated search report, and how long their epochs take."""

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The simulated seconds of an epoch of a trial. It is called when the epoch begins, before `report`."""
        ...

    def report(self, suggestion: Suggestion, epoch: int) -> Report:
        """The report of an epoch of a trial. An exception is a crash of the trial; a TaskError ends the search."""
        ...

    def forget(self, trial: int) -> None:
        """Is called when a trial will not go on."""
        ...


class Curves:
    """Trials whose metrics are those of a function. They end by early stopping, as trained ones do."""

    def __init__(self, space: SearchSpace, curve: Curve, seconds: float | Seconds = 1.0) -> None:
        """`seconds` is the simulated time of an epoch: a constant, or a function of the configuration."""
        self._space = space
        self._curve = curve
        self._seconds = seconds
        self._progress: dict[int, tuple[Progress, EarlyStopping]] = {}
        """The reports of the trials so far, in place of checkpoints, and when each trial ends by itself."""

    def seconds(self, suggestion: Suggestion, epoch: int) -> float:
        """The time of the epoch, 0 if it was played before."""
        if suggestion.trial in self._progress and self._progress[suggestion.trial][0].epoch >= epoch:
            return 0.0
        return self._epoch_seconds(suggestion)

    def report(self, suggestion: Suggestion, epoch: int) -> Report:
        """The report of the epoch. Epochs before it that were not played are played first."""
        trial, config = suggestion.trial, suggestion.config
        if trial in self._progress:
            progress, rule = self._progress[trial]
        else:
            rule = EarlyStopping.read({**self._space.fixed, **config})
            progress = Progress(self._space.metric, max(N_REPORTS, rule.window or 1))
        while progress.epoch < epoch:
            if progress.ended or progress.epoch >= suggestion.until:
                on_record = f"epoch {epoch - 1} of it is on record"
                raise HpoError(f"the trial ended after epoch {progress.epoch}, but {on_record}")
            metrics = self._curve(config, progress.epoch + 1)
            progress.add(metrics, rule, self._epoch_seconds(suggestion), "simulated")
        self._progress[trial] = progress, rule
        return Report(trial=trial, **next(each for each in progress.reports if each["fidelity"] == epoch))

    def forget(self, trial: int) -> None:
        self._progress.pop(trial, None)

    def _epoch_seconds(self, suggestion: Suggestion) -> float:
        return self._seconds(suggestion.config) if callable(self._seconds) else self._seconds


@dataclass
class _Slot:
    """A trial on a slot."""

    suggestion: Suggestion
    reported: int
    """The last epoch that was reported, or is on record."""
    order: int
    """The number of the start. Of two events at the same time, that of the earlier start comes first."""
    due: float = 0.0
    """When the next event comes, in simulated time."""
    event: Report | Crash | None = None
    """The last event."""
    waits: bool = False
    """Whether the trial waits for the decision on its last event."""


class Simulated:
    """Plays trials on a number of slots in simulated time."""

    def __init__(self, space: SearchSpace, trials: KnownTrials, *, slots: int = 1) -> None:
        """Raises an HpoError if `slots` is less than 1."""
        if slots < 1:
            raise HpoError(f"`slots` must be at least 1, but is {slots}")
        self._space = space
        self._trials = trials
        self._n_slots = slots
        self._slots: dict[int, _Slot] = {}
        """The trials on slots, by their numbers."""
        self._n_started = 0
        self.now = 0.0
        """The simulated time in seconds: the end of the last epoch that was reported."""

    def free(self) -> int:
        return self._n_slots - len(self._slots)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        slot = self._slots[suggestion.trial] = _Slot(suggestion, after, self._n_started)
        self._n_started += 1
        self._begin_epoch(slot)

    def events(self) -> Iterable[Report | Crash]:
        if not self._slots:
            raise HpoError("no trial is running, so nothing can happen")
        training = [slot for slot in self._slots.values() if not slot.waits]
        if not training:
            return []
        slot = min(training, key=lambda slot: (slot.due, slot.order))
        self.now, slot.waits = slot.due, True
        try:
            slot.event = self._trials.report(slot.suggestion, slot.reported + 1)
            slot.reported = slot.event.fidelity
        except TaskError:
            raise
        except Exception as error:
            slot.event = crash(slot.suggestion.trial, error)
        return [slot.event]

    def settle(self, trial: int, decision: Decision) -> None:
        slot = self._slots.get(trial)
        event = None if slot is None else slot.event
        if slot is not None and goes_on(slot.suggestion, event, decision):
            self._begin_epoch(slot)
            return
        self._slots.pop(trial, None)
        has_ended = isinstance(event, Report) and (event.last or event.fidelity >= self._space.fidelity.high)
        if decision is Decision.STOP or isinstance(event, Crash) or has_ended:
            self._trials.forget(trial)

    def close(self) -> None:
        self._slots.clear()

    def _begin_epoch(self, slot: _Slot) -> None:
        """Set when the next report comes: after the time of its epoch."""
        slot.waits, slot.due = False, self.now + self._trials.seconds(slot.suggestion, slot.reported + 1)
