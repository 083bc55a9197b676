"""The Tracker protocol: what every tracker offers, and what it is given.

A tracker shows the trials of a study in another tool. To add one, write a module with one function:

    build(study: TrackedStudy, where: str | None) -> Tracker

`where` is what the user wrote after the name of the tracker, as `mlflow=http://127.0.0.1:5000`: a URL, a folder, or
whatever the tool needs. It is None if there is none. `build` may take long and may raise any error: a search goes on
without the tracker, and `hpo track` sends later what is missing.

The module is a file in this folder, a module that is registered under the entry point group `hpo.trackers`, or any
module named `package.module`. It may have two more functions, and a dictionary:

    check(where: str | None) -> str | None
        Called before a search begins and before anything is written. Raises a UserError if `where` is wrong, and
        returns it as the study records it: with absolute paths.
    place(study: TrackedStudy, where: str | None) -> str
        Where the user finds the trials, such as the path of a folder. It must not hold a password.
    WHERE = {"FOLDER": "what may be written after `=`; default `runs`"}
        What `hpo describe tracker NAME` shows.

The process of a search imports the module, so import the tool itself only inside of `build`. The test of a tracker
subclasses `tests/trackers/contract.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from hpo.record import State, StudyFolder, Trial
from hpo.space import SearchSpace
from hpo.space.values import list_as_text
from hpo.trial import Report, Scalar


@dataclass(frozen=True)
class TrackedStudy:
    """The study whose trials are tracked."""

    name: str
    """The name that the study was begun with. It stays when the study is renamed."""
    digest: str
    """What tells the study from another one of its name. It stays when the study goes on, and when it is renamed."""
    folder: Path
    """The absolute path of the study's folder, for a tracker that writes files by default."""
    objective: str
    """The name of the metric that is minimised, such as `val_loss`."""
    began: float
    """When the study was begun, in seconds since 1970."""


@dataclass(frozen=True)
class TrackedTrial:
    """All that is on record of a trial."""

    number: int
    parameters: Mapping[str, Scalar]
    """All hyperparameters, searched and fixed, and the names of the regime, the model and the data set."""
    reports: Sequence[Report]
    """The reports of all epochs so far, in order."""
    state: str
    """running, paused, stopped, complete, crashed or infeasible."""
    error: str | None = None
    """The first line of the error of a trial that crashed or is infeasible."""

    @property
    def is_over(self) -> bool:
        """Whether the trial does not go on, unless its study is resumed."""
        return self.state not in (State.RUNNING.value, State.PAUSED.value)

    def seconds(self, epoch: int) -> float:
        """The seconds of training and validation of all epochs up to `epoch`."""
        return sum(report.seconds for report in self.reports if report.fidelity <= epoch)


class Tracker(Protocol):
    """Sends trials to a tool. Of each study and kind of tracker there is one at a time: its process holds a lock."""

    def update(self, trial: TrackedTrial) -> None:
        """Bring the tool up to date with a trial. Add its parameters, the epochs that the tool lacks, and its state.

        It is called with ever newer versions of a trial, some of which may be left out. What the tool has already is
        not added again, also if an earlier process was killed in the middle of an update. Any error may be raised.
        """

    def close(self) -> None:
        """Send what is not sent yet, and release what is open."""


def tracked_study(study: StudyFolder) -> TrackedStudy:
    """What trackers are told of a study."""
    began = datetime.fromisoformat(study.made["at"]).timestamp()
    return TrackedStudy(study.recorded_name, study.digest, study.folder, study.space.metric, began)


def tracked_trial(space: SearchSpace, trial: Trial, state: State) -> TrackedTrial:
    """What trackers are told of a trial, which is shown with a state. It does not change when the trial goes on."""
    task = space.task
    names = {
        "regime": task.regime,
        "model": task.model,
        "dataset": None if task.dataset is None else task.dataset.name,
    }
    fixed = {name: value for name, value in names.items() if value is not None} | dict(space.fixed)
    parameters = {name: list_as_text(value) for name, value in {**fixed, **trial.config}.items()}
    error = None if trial.crash is None else trial.crash.summary
    return TrackedTrial(trial.number, parameters, tuple(trial.reports), state.value, error)


def metrics(report: Report) -> dict[str, float]:
    """The metrics of an epoch that a tracker shows: those of the training, and its seconds."""
    return {**report.metrics, "seconds": report.seconds}
