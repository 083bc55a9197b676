"""The History of a study: its events in order, and the state of each trial. It reads and writes no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hpo.trial import Config, Crash, Decision, Report, Scalar, Suggestion


@dataclass(frozen=True)
class Decisions:
    """The decisions of the backend on one report or crash."""

    trial: int
    """The trial of the report or crash."""
    fidelity: int
    """The epoch of the report, 0 for a crash."""
    decisions: Mapping[int, Decision]
    """The decisions by trial number: PAUSE or STOP. Trials that continue are left out."""


Event = Suggestion | Report | Crash | Decisions
"""An entry of the history."""


class State(Enum):
    """The state of a trial."""

    RUNNING = "running"
    """It trains, or waits for a decision."""
    PAUSED = "paused"
    """It may be promoted later."""
    STOPPED = "stopped"
    """The backend stopped it early."""
    COMPLETE = "complete"
    """It reached the top rung, or ended itself by early stopping."""
    CRASHED = "crashed"


@dataclass
class Trial:
    """The record of one trial. The fields from `config` to `notes` are those of its Suggestion."""

    number: int
    config: Config
    until: int
    """The epoch at which the trial waits for a decision, from its latest suggestion."""
    bracket: int
    notes: Mapping[str, Scalar]
    reports: list[Report] = field(default_factory=list)
    crash: Crash | None = None
    state: State = State.RUNNING

    @property
    def epoch(self) -> int:
        """The last epoch on record, 0 before the first report."""
        return self.reports[-1].fidelity if self.reports else 0

    @property
    def loss(self) -> float:
        """The lowest objective so far in the current phase of the training, inf before the first report."""
        return self.reports[-1].loss if self.reports else float("inf")

    @property
    def best(self) -> Report | None:
        """The report of the stopping epoch, the first with the lowest objective. None before the first report."""
        if not self.reports:
            return None
        phase = self.reports[-1].metrics.get("phases_left")
        return next(
            report for report in self.reports if report.loss == self.loss and report.metrics.get("phases_left") == phase
        )


class History:
    """The events of one study in order, and the trials that result from them."""

    def __init__(self, high: int) -> None:
        self.high = high
        """The top rung: the epoch at which a trial is complete."""
        self.events: list[Event] = []
        self.trials: dict[int, Trial] = {}
        self.running: set[int] = set()
        """The numbers of the trials that train or wait for a decision."""
        self.n_epochs = 0
        """The number of epochs on record, over all trials."""
        self.n_crashes = 0
        """The number of crashed trials."""
        self.crashes_in_a_row = 0
        """The number of crashes since the last report."""
        self.incumbent: Trial | None = None
        """The trial with the lowest loss so far, among the trials that did not crash."""

    def append(self, event: Event) -> None:
        """Add the next event, and update the trials."""
        self.events.append(event)
        match event:
            case Suggestion():
                self._add_suggestion(event)
            case Report():
                self._add_report(event)
            case Crash():
                self.trials[event.trial].crash = event
                self.n_crashes += 1
                self.crashes_in_a_row += 1
                self._set_state(event.trial, State.CRASHED)
                if self.incumbent is self.trials[event.trial]:
                    self.incumbent = next(iter(self.ranked()), None)
            case Decisions():
                for number, decision in event.decisions.items():
                    if self.trials[number].state in (State.RUNNING, State.PAUSED):
                        self._set_state(number, State.STOPPED if decision is Decision.STOP else State.PAUSED)

    def _add_suggestion(self, suggestion: Suggestion) -> None:
        trial = self.trials.get(suggestion.trial)
        if trial is None:
            trial = Trial(
                suggestion.trial, suggestion.config, suggestion.until, suggestion.bracket, dict(suggestion.notes)
            )
            self.trials[suggestion.trial] = trial
        trial.until = suggestion.until
        self._set_state(suggestion.trial, State.RUNNING)

    def _add_report(self, report: Report) -> None:
        trial = self.trials[report.trial]
        trial.reports.append(report)
        self.n_epochs += 1
        self.crashes_in_a_row = 0
        if self.incumbent is trial and len(trial.reports) > 1 and report.loss > trial.reports[-2].loss:
            # The lowest loss of a trial rises only when a new phase of its training begins. Another may be better now.
            self.incumbent = next(iter(self.ranked()), None)
        elif report.loss < (self.incumbent.loss if self.incumbent else float("inf")):
            self.incumbent = trial
        if report.last or report.fidelity >= self.high:
            self._set_state(report.trial, State.COMPLETE)

    def _set_state(self, number: int, state: State) -> None:
        self.trials[number].state = state
        if state is State.RUNNING:
            self.running.add(number)
        else:
            self.running.discard(number)

    @property
    def n_saved(self) -> int:
        """The number of epochs saved by early stopping: those from the stopped and paused trials up to the top rung."""
        ended = (State.STOPPED, State.PAUSED)
        return sum(self.high - trial.epoch for trial in self.trials.values() if trial.state in ended)

    def ranked(self) -> list[Trial]:
        """The trials with a finite loss that did not crash, best first. Among equals, the earlier is first."""
        scored = [trial for trial in self.trials.values() if trial.loss < float("inf") and trial.crash is None]
        return sorted(scored, key=lambda trial: (trial.loss, trial.number))


def configuration(config: Config) -> str:
    """A configuration as one line of text."""
    return ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in config.items())
