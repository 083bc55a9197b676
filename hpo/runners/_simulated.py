"""The simulated runner: the metrics of an epoch are those of a given function, and time is simulated.

It trains nothing and writes no checkpoint. It has any number of slots, and its events come in the order of simulated
time, so a search on it is deterministic. It is built in Python code, by `hpo.loop.simulation` and by benchmarks: a
space file and the command line cannot give the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

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


@dataclass
class _Slot:
    """A trial on a slot."""

    suggestion: Suggestion
    reported: int
    """The last epoch that was reported, or is on record."""
    seconds: float
    """The simulated seconds of an epoch."""
    order: int
    """The number of the start. Of two events at the same time, that of the earlier start comes first."""
    due: float = 0.0
    """When the next event comes, in simulated time."""
    event: Report | Crash | None = None
    """The last event."""
    waits: bool = False
    """Whether the trial waits for the decision on its last event."""
    rule: EarlyStopping | None = None
    """When the trial ends by itself. None before the first epoch."""


class Simulated:
    """Plays trials on a number of slots in simulated time."""

    def __init__(self, space: SearchSpace, curve: Curve, *, slots: int = 1, seconds: float | Seconds = 1.0) -> None:
        """`seconds` is the simulated time of an epoch: a constant, or a function of the configuration.

        Raises an HpoError if `slots` is less than 1.
        """
        if slots < 1:
            raise HpoError(f"`slots` must be at least 1, but is {slots}")
        self._space = space
        self._curve = curve
        self._n_slots = slots
        self._seconds = seconds
        self._slots: dict[int, _Slot] = {}
        """The trials on slots, by their numbers."""
        self._progress: dict[int, Progress] = {}
        """The reports of the trials so far, in place of checkpoints."""
        self._n_started = 0
        self.now = 0.0
        """The simulated time in seconds: the end of the last epoch that was reported."""

    def free(self) -> int:
        return self._n_slots - len(self._slots)

    def start(self, suggestion: Suggestion, *, after: int) -> None:
        seconds = self._seconds(suggestion.config) if callable(self._seconds) else self._seconds
        slot = self._slots[suggestion.trial] = _Slot(suggestion, after, seconds, self._n_started)
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
            slot.event = self._report(slot)
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
            self._progress.pop(trial, None)

    def close(self) -> None:
        self._slots.clear()

    def _begin_epoch(self, slot: _Slot) -> None:
        """Set when the next report comes: now, if its epoch was trained before, else after the time of an epoch."""
        progress = self._progress.get(slot.suggestion.trial)
        is_trained = progress is not None and progress.epoch > slot.reported
        slot.waits, slot.due = False, self.now if is_trained else self.now + slot.seconds

    def _report(self, slot: _Slot) -> Report:
        """The report of the next epoch. Epochs on record of which this runner knows nothing are played first."""
        trial, config = slot.suggestion.trial, slot.suggestion.config
        if slot.rule is None:
            slot.rule = EarlyStopping.read({**self._space.fixed, **config})
        progress = self._progress.get(trial)
        if progress is None:
            progress = Progress(self._space.metric, max(N_REPORTS, slot.rule.window or 1))
        while progress.epoch <= slot.reported:
            if progress.ended or progress.epoch >= slot.suggestion.until:
                on_record = f"epoch {slot.reported} of it is on record"
                raise HpoError(f"the trial ended after epoch {progress.epoch}, but {on_record}")
            progress.add(self._curve(config, progress.epoch + 1), slot.rule, slot.seconds, "simulated")
        self._progress[trial] = progress
        return Report(trial=trial, **next(each for each in progress.reports if each["fidelity"] == slot.reported + 1))
