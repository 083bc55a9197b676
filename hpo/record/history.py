"""The History of a study: its events in order, and the state of each trial. It reads and writes no files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from hpo.space.values import list_as_text
from hpo.trial import PEAKS, Config, Crash, Decision, Rank, Report, Scalar, Suggestion, is_better, rank


@dataclass(frozen=True)
class Decisions:
    """The decisions of the backend on one report or crash."""

    trial: int
    """The trial of the report or crash."""
    fidelity: int
    """The epoch of the report, 0 for a crash."""
    decisions: Mapping[int, Decision]
    """The decisions by trial number: PAUSE or STOP. Trials that continue are left out."""


@dataclass(frozen=True)
class Retry:
    """Crashed and infeasible trials are tried again: new trials take their configurations before any other."""

    trials: tuple[int, ...]
    """The numbers of these trials."""


Event = Suggestion | Report | Crash | Decisions | Retry
"""An entry of the history."""


class State(Enum):
    """The state of a trial."""

    RUNNING = "running"
    """It trains, or waits for a decision."""
    PAUSED = "paused"
    """It may be promoted later."""
    INTERRUPTED = "interrupted"
    """It has no epoch yet, and no process trains it. This is only shown, and never on record."""
    STOPPED = "stopped"
    """The backend stopped it early."""
    COMPLETE = "complete"
    """It reached the top rung, or ended itself by early stopping."""
    CRASHED = "crashed"
    INFEASIBLE = "infeasible"
    """It does not fit into memory."""


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
    objective: str = "val_loss"
    """The name of the metric that the search minimises."""
    best: Report | None = field(default=None, init=False)
    """The report of the stopping epoch, see `better_report`. None before the first report."""

    def __post_init__(self) -> None:
        for report in self.reports:
            self.best = better_report(self.objective, report, self.best)

    def add(self, report: Report) -> None:
        """Add the report of the next epoch."""
        self.reports.append(report)
        self.best = better_report(self.objective, report, self.best)

    @property
    def suggestion(self) -> Suggestion:
        """The latest suggestion of the trial."""
        return Suggestion(self.number, self.config, self.until, self.bracket, self.notes)

    @property
    def rank(self) -> Rank:
        """The rank of the stopping epoch."""
        return report_rank(self.objective, self.best) if self.best else (math.inf, math.inf)

    @property
    def epoch(self) -> int:
        """The last epoch on record, 0 before the first report."""
        return self.reports[-1].fidelity if self.reports else 0

    @property
    def peaks(self) -> dict[str, float]:
        """The most memory that the trial took in an epoch, in GiB, by the names of PEAKS. Unknown ones are left out."""
        measured = {name: [getattr(report, name) for report in self.reports] for name in PEAKS}
        known = {name: [peak for peak in peaks if peak is not None] for name, peaks in measured.items()}
        return {name: max(peaks) for name, peaks in known.items() if peaks}

    @property
    def loss(self) -> float:
        """The lowest objective so far in the current phase of the training, inf if none is finite."""
        return self.rank[0]


class History:
    """The events of one study in order, and the trials that result from them."""

    def __init__(self, high: int, objective: str = "val_loss") -> None:
        self.high = high
        """The top rung: the epoch at which a trial is complete."""
        self.objective = objective
        """The name of the metric that the search minimises."""
        self.events: list[Event] = []
        self.trials: dict[int, Trial] = {}
        self.running: set[int] = set()
        """The numbers of the trials that train or wait for a decision."""
        self.n_epochs = 0
        """The number of epochs on record, over all trials."""
        self.n_crashes = 0
        """The number of crashed and infeasible trials."""
        self.retried: set[int] = set()
        """The numbers of the crashed trials that were tried again, as new trials."""
        self.crashes_in_a_row = 0
        """The number of crashes since the last report."""
        self.infeasible_in_a_row = 0
        """The number of trials since the last report that did not fit into memory."""
        self.incumbent: Trial | None = None
        """The first of `ranked`, the best trial so far."""

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
                if event.is_out_of_memory:
                    self.infeasible_in_a_row += 1
                else:
                    self.crashes_in_a_row += 1
                self._set_state(event.trial, State.INFEASIBLE if event.is_out_of_memory else State.CRASHED)
                if self.incumbent is self.trials[event.trial]:
                    self.incumbent = next(iter(self.ranked()), None)
            case Retry():
                self.retried |= set(event.trials)
            case Decisions():
                for number, decision in event.decisions.items():
                    if self.trials[number].state in (State.RUNNING, State.PAUSED):
                        self._set_state(number, State.STOPPED if decision is Decision.STOP else State.PAUSED)

    def _add_suggestion(self, suggestion: Suggestion) -> None:
        trial = self.trials.get(suggestion.trial)
        if trial is None:
            notes = dict(suggestion.notes)
            trial = Trial(suggestion.trial, suggestion.config, suggestion.until, suggestion.bracket, notes)
            trial.objective = self.objective
            self.trials[suggestion.trial] = trial
        trial.until = suggestion.until
        self._set_state(suggestion.trial, State.RUNNING)

    def _add_report(self, report: Report) -> None:
        trial = self.trials[report.trial]
        rank_before = trial.rank
        trial.add(report)
        self.n_epochs += 1
        self.crashes_in_a_row = self.infeasible_in_a_row = 0
        if self.incumbent is trial and trial.rank > rank_before:
            # The rank of a trial rises only when a new phase of its training begins. Another may be better now.
            self.incumbent = next(iter(self.ranked()), None)
        elif trial.loss < math.inf and (self.incumbent is None or _key(trial) < _key(self.incumbent)):
            self.incumbent = trial
        if report.last or report.fidelity >= self.high:
            self._set_state(report.trial, State.COMPLETE)

    def _set_state(self, number: int, state: State) -> None:
        self.trials[number].state = state
        if state is State.RUNNING:
            self.running.add(number)
        else:
            self.running.discard(number)

    def objective_of(self, report: Report) -> float:
        """Return the objective of the epoch of a report. It may be NaN or infinite."""
        return _objective(self.objective, report)

    @property
    def loss_name(self) -> str:
        """The name of the objective in displays: "loss" for `val_loss`, else its own."""
        return "loss" if self.objective == "val_loss" else self.objective

    @property
    def n_trials(self) -> int:
        """The number of trials that a budget counts. A trial that crashed and was tried again counts once."""
        return len(self.trials) - len(self.retried)

    @property
    def crashed(self) -> list[Trial]:
        """The trials that crashed and were not tried again, without the infeasible ones."""
        return [trial for trial in self._not_retried() if trial.state is State.CRASHED]

    @property
    def infeasible(self) -> list[Trial]:
        """The trials that did not fit into memory and were not tried again."""
        return [trial for trial in self._not_retried() if trial.state is State.INFEASIBLE]

    def _not_retried(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.number not in self.retried]

    def n_saved(self, *, closed: bool = False) -> int:
        """The number of epochs saved by stopping: those from the stopped trials up to the top rung.

        Paused trials may continue. They count as stopped only if the search is `closed`.
        """
        stopped = (State.STOPPED, State.PAUSED) if closed else (State.STOPPED,)
        return sum(self.high - trial.epoch for trial in self.trials.values() if trial.state in stopped)

    def ranked(self) -> list[Trial]:
        """The trials with a finite loss that did not crash, best first.

        They are sorted by the objective at their stopping epoch, then by `val_loss` there, then by number.
        """
        scored = [trial for trial in self.trials.values() if trial.loss < math.inf and trial.crash is None]
        return sorted(scored, key=_key)


def _key(trial: Trial) -> tuple[Rank, int]:
    return trial.rank, trial.number


def report_rank(objective: str, report: Report) -> Rank:
    """Return the rank of the epoch of a report. `objective` is the name of the metric that the search minimises."""
    return rank(_objective(objective, report), report.metrics)


def better_report(objective: str, report: Report, best: Report | None) -> Report:
    """Return the better of a trial's new report and the best before it, which is None for the first report."""
    if best is None:
        return report
    losses = _objective(objective, report), _objective(objective, best)
    return report if is_better(losses[0], report.metrics, losses[1], best.metrics) else best


def _objective(name: str, report: Report) -> float:
    return report.metrics.get(name, report.loss)


def shown_state(trial: Trial, *, closed: bool, searching: bool) -> State:
    """Return the state in which a trial is shown.

    In a closed study no trial waits or runs, so a paused or running trial is shown as stopped. While no process
    searches the study, a running trial is shown as paused, or as interrupted if it has no epoch yet.
    """
    if trial.state not in (State.PAUSED, State.RUNNING):
        return trial.state
    if closed:
        return State.STOPPED
    if searching or trial.state is State.PAUSED:
        return trial.state
    return State.PAUSED if trial.reports else State.INTERRUPTED


def configuration(config: Config) -> str:
    """A configuration as one line of text."""
    return ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={list_as_text(v)}" for k, v in config.items())
