"""The history of a study as plain values: what happened, in order, and what it says of each trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hpo.trial import Config, Crash, Decision, Report, Scalar, Suggestion


@dataclass(frozen=True)
class Settled:
    """What the backend decided on one event: the fate of each trial that it did not let go on."""

    trial: int
    """The trial whose event was told."""
    fidelity: int
    """Its epoch then; 0 for a crash before the first."""
    decisions: Mapping[int, Decision]


Event = Suggestion | Report | Crash | Settled


class State(Enum):
    """Where a trial stands."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    COMPLETE = "complete"
    CRASHED = "crashed"


@dataclass
class Trial:
    """All that is known of one trial."""

    number: int
    config: Config
    until: int
    bracket: int
    notes: Mapping[str, Scalar]
    reports: list[Report] = field(default_factory=list)
    crash: Crash | None = None
    state: State = State.RUNNING

    @property
    def epoch(self) -> int:
        """The last epoch on record; 0 before the first."""
        return self.reports[-1].fidelity if self.reports else 0

    @property
    def loss(self) -> float:
        """The lowest objective so far, of the phase of training that it is in; inf before the first report."""
        return self.reports[-1].loss if self.reports else float("inf")

    @property
    def best(self) -> Report | None:
        """The report of the stopping epoch: the first that reached the lowest objective."""
        if not self.reports:
            return None
        phase = self.reports[-1].metrics.get("phases_left")
        return next(
            report for report in self.reports if report.loss == self.loss and report.metrics.get("phases_left") == phase
        )


class History:
    """The events of one study, in order, and the trials that follow from them."""

    def __init__(self, high: int) -> None:
        self.high = high
        """The top rung: a trial that reports it is complete."""
        self.events: list[Event] = []
        self.trials: dict[int, Trial] = {}
        self.running: set[int] = set()
        """The trials that wait for an epoch or for its decision."""
        self.n_epochs = 0
        """Epochs on record, over all trials."""
        self.n_crashes = 0
        """Trials that crashed."""
        self.crashes_in_a_row = 0
        """Crashes since the last report."""
        self.incumbent: Trial | None = None
        """The trial with the lowest loss so far, crashed ones left out."""

    def append(self, event: Event) -> None:
        """Take in the next event."""
        self.events.append(event)
        match event:
            case Suggestion():
                self._suggested(event)
            case Report():
                self._reported(event)
            case Crash():
                self.trials[event.trial].crash = event
                self.n_crashes += 1
                self.crashes_in_a_row += 1
                self._move(event.trial, State.CRASHED)
                if self.incumbent is self.trials[event.trial]:
                    self.incumbent = next(iter(self.ranked()), None)
            case Settled():
                for number, decision in event.decisions.items():
                    if self.trials[number].state in (State.RUNNING, State.PAUSED):
                        self._move(number, State.STOPPED if decision is Decision.STOP else State.PAUSED)

    def _suggested(self, suggestion: Suggestion) -> None:
        trial = self.trials.get(suggestion.trial)
        if trial is None:
            trial = Trial(
                suggestion.trial, suggestion.config, suggestion.until, suggestion.bracket, dict(suggestion.notes)
            )
            self.trials[suggestion.trial] = trial
        trial.until = suggestion.until
        self._move(suggestion.trial, State.RUNNING)

    def _reported(self, report: Report) -> None:
        trial = self.trials[report.trial]
        trial.reports.append(report)
        self.n_epochs += 1
        self.crashes_in_a_row = 0
        if self.incumbent is trial and len(trial.reports) > 1 and report.loss > trial.reports[-2].loss:
            # Another phase of its training begins.
            self.incumbent = min(self.trials.values(), key=lambda each: (each.loss, each.number))
        elif report.loss < (self.incumbent.loss if self.incumbent else float("inf")):
            self.incumbent = trial
        if report.last or report.fidelity >= self.high:
            self._move(report.trial, State.COMPLETE)

    def _move(self, number: int, state: State) -> None:
        self.trials[number].state = state
        if state is State.RUNNING:
            self.running.add(number)
        else:
            self.running.discard(number)

    @property
    def n_saved(self) -> int:
        """Epochs that were spared by stopping: what the trials that ended early had left to the top rung."""
        ended = (State.STOPPED, State.PAUSED)
        return sum(self.high - trial.epoch for trial in self.trials.values() if trial.state in ended)

    def ranked(self) -> list[Trial]:
        """The trials that have a finite loss, best first; of equals, the earlier."""
        scored = [trial for trial in self.trials.values() if trial.loss < float("inf") and trial.crash is None]
        return sorted(scored, key=lambda trial: (trial.loss, trial.number))


def configuration(config: Config) -> str:
    """A configuration in one line."""
    return ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())
