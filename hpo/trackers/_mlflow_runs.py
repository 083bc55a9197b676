"""The runs of the tracker `mlflow`, one a trial, in an experiment a study.

Each run has tags with the study and the number of its trial, so what a server has already is asked for with one query.
The metric `epoch` is the last that is sent of an epoch. The time of a point follows from the record alone, and MLflow
keeps equal points only once. So an epoch that is sent again after a kill changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from mlflow.entities import Metric, Param, Run, ViewType
from mlflow.tracking import MlflowClient

from hpo.trackers._tracker import TrackedStudy, TrackedTrial, metrics
from hpo.trial import Report

DIGEST, TRIAL, STATE = "hpo.study", "hpo.trial", "hpo.state"
"""The tags of a run: the digest of its study, the number of its trial, and the state of the trial."""
EPOCH = "epoch"
"""The metric that says which epochs a run has. Its value is the epoch itself."""
STATUS = {"complete": "FINISHED", "stopped": "KILLED", "crashed": "FAILED", "infeasible": "FAILED"}
"""The status of a run in MLflow by the state of its trial. It is RUNNING in any other state."""
PAGE, PARAMETERS, POINTS = 1000, 100, 1000
"""The most runs in one answer of a server, and the most parameters and points in one request, as MLflow limits them."""
LARGEST = 1.7976931348623157e308


class MLflow:
    """Sends trials to a tracking server."""

    def __init__(self, client: MlflowClient, study: TrackedStudy) -> None:
        self._client = client
        self._study = study
        self._experiment = _experiment(client, study)
        self._runs = {int(run.data.tags[TRIAL]): run for run in self._known_runs()}
        """The runs of the trials that the server had before, as they were then."""
        self._sent: dict[int, tuple[str, int, str]] = {}
        """The id of the run of each trial that was updated here, its last epoch, and its state."""

    def update(self, trial: TrackedTrial) -> None:
        run_id, last, state = self._sent.get(trial.number) or self._begin(trial)
        new = [report for report in trial.reports if report.fidelity > last]
        for points, epoch in requests(self._points(trial, report) for report in new):
            self._client.log_batch(run_id, metrics=points)
            last = epoch or last
            self._sent[trial.number] = run_id, last, state
        if trial.state != state:
            self._set_state(run_id, trial)
        self._sent[trial.number] = run_id, last, trial.state

    def close(self) -> None:
        """There is nothing to close: each request is complete."""

    def _begin(self, trial: TrackedTrial) -> tuple[str, int, str]:
        """Find the run of a trial or create it, with its parameters. Returns its id, its last epoch and its state."""
        run = self._runs.pop(trial.number, None)
        if run is None:
            tags = {DIGEST: self._study.digest, TRIAL: str(trial.number)}
            run = self._client.create_run(
                self._experiment, start_time=self._time(0), tags=tags, run_name=f"trial {trial.number}"
            )
        missing = [Param(name, str(value)) for name, value in trial.parameters.items() if name not in run.data.params]
        for first in range(0, len(missing), PARAMETERS):
            self._client.log_batch(run.info.run_id, params=missing[first : first + PARAMETERS])
        return run.info.run_id, int(run.data.metrics.get(EPOCH, 0)), run.data.tags.get(STATE, "")

    def _points(self, trial: TrackedTrial, report: Report) -> list[Metric]:
        """The metrics of an epoch as points of MLflow. The last one says that the epoch is complete."""
        at = self._time(trial.seconds(report.fidelity))
        values = {**metrics(report), EPOCH: float(report.fidelity)}
        return [Metric(name, _number(value), at, report.fidelity) for name, value in values.items()]

    def _set_state(self, run_id: str, trial: TrackedTrial) -> None:
        status = STATUS.get(trial.state)
        if status is None:
            self._client.update_run(run_id, status="RUNNING")
        else:
            last = trial.reports[-1].fidelity if trial.reports else 0
            self._client.set_terminated(run_id, status, end_time=self._time(trial.seconds(last)))
        if trial.error is not None:
            self._client.set_tag(run_id, "hpo.error", trial.error)
        self._client.set_tag(run_id, STATE, trial.state)

    def _known_runs(self) -> list[Run]:
        """All runs of the study that the server has."""
        found: list[Run] = []
        page: Any = None
        while page is None or page.token:
            page = self._client.search_runs(
                [self._experiment],
                filter_string=f"tags.`{DIGEST}` = '{self._study.digest}'",
                max_results=PAGE,
                page_token=None if page is None else page.token,
            )
            found += [run for run in page if TRIAL in run.data.tags]
        return found

    def _time(self, seconds: float) -> int:
        """The time of a point after so many seconds of training, in milliseconds since 1970."""
        return int((self._study.began + seconds) * 1000)


def requests(epochs: Iterable[list[Metric]]) -> Iterator[tuple[list[Metric], int]]:
    """Split the points of epochs into requests that a server takes, each with the last epoch that it completes, or 0.

    An epoch is in one request, unless it has more points than a request may have.
    """
    request: list[Metric] = []
    for points in epochs:
        if request and len(request) + len(points) > POINTS:
            yield request, request[-1].step
            request = []
        request = request + points
        while len(request) > POINTS:
            yield request[:POINTS], 0
            request = request[POINTS:]
    if request:
        yield request, request[-1].step


def _experiment(client: MlflowClient, study: TrackedStudy) -> str:
    """The id of the experiment of a study, which is created if there is none. It may have been renamed meanwhile.

    A new one has the name of the study, unless another study has taken this name.
    """
    known = client.search_experiments(ViewType.ALL, filter_string=f"tags.`{DIGEST}` = '{study.digest}'")
    for found in sorted(known, key=lambda each: int(each.experiment_id))[:1]:
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)
    name = study.name
    if client.get_experiment_by_name(name) is not None:
        name = f"{study.name} {study.digest}"
    return str(client.create_experiment(name, tags={DIGEST: study.digest}))


def _number(value: float) -> float:
    """A metric as a server stores it: some databases hold no infinity."""
    return math.copysign(LARGEST, value) if math.isinf(value) else value
