"""The tracker `mlflow`: an experiment a study and a run a trial, on any tracking server of MLflow.

Each run has tags with the study and the number of its trial, so what a server has already is asked for with one query.
A request has whole epochs. Their time follows from the record alone, and MLflow keeps equal points only once. So an
epoch that is sent again after a kill changes nothing.
"""

from __future__ import annotations

import math
import os
from typing import Any

from mlflow.entities import Experiment, Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from hpo.trackers._tracker import TrackedStudy, TrackedTrial, metrics
from hpo.trial import Report

REQUIRES = "mlflow"
DIGEST, TRIAL, STATE = "hpo.study", "hpo.trial", "hpo.state"
"""The tags of a run: the digest of its study, the number of its trial, and the state of the trial."""
EPOCH = "epoch"
"""The metric that says which epochs a run has. Its value is the epoch itself."""
STATUS = {"complete": "FINISHED", "stopped": "KILLED", "crashed": "FAILED", "infeasible": "FAILED"}
"""The status of a run in MLflow by the state of its trial. It is RUNNING in any other state."""
PAGE, AT_ONCE, EPOCHS = 1000, 100, 25
"""The most runs in one answer of a server, and the most parameters and epochs in one request."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Settings of MLflow, unless the environment has its own. By default it tries for minutes before it gives up."""
LARGEST = 1.7976931348623157e308


def build(study: TrackedStudy, where: str | None) -> MLflow:
    """Build the tracker. `where` is the tracking URI; $MLFLOW_TRACKING_URI by default."""
    for name, value in IMPATIENT.items():
        os.environ.setdefault(name, value)
    return MLflow(MlflowClient(tracking_uri=where), study)


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
        for first in range(0, len(new), EPOCHS):
            epochs = new[first : first + EPOCHS]
            self._client.log_batch(run_id, metrics=[point for each in epochs for point in self._points(trial, each)])
            last = epochs[-1].fidelity
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
        for first in range(0, len(missing), AT_ONCE):
            self._client.log_batch(run.info.run_id, params=missing[first : first + AT_ONCE])
        return run.info.run_id, int(run.data.metrics.get(EPOCH, 0)), run.data.tags.get(STATE, "")

    def _points(self, trial: TrackedTrial, report: Report) -> list[Metric]:
        """The metrics of an epoch as points of MLflow."""
        at = self._time(trial.seconds(report.fidelity))
        values = {EPOCH: float(report.fidelity), **metrics(report)}
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


def _experiment(client: MlflowClient, study: TrackedStudy) -> str:
    """The id of the experiment of a study, which is created if there is none.

    It has the name of the study, unless another study has taken this name.
    """
    for name in (study.name, f"{study.name} {study.digest}"):
        found: Experiment | None = client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(client.create_experiment(name, tags={DIGEST: study.digest}))
            except MlflowException:  # another process has created it just now
                found = client.get_experiment_by_name(name)
        if found is not None and found.tags.get(DIGEST) == study.digest:
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
    raise ValueError(f"the server refuses the experiment {study.name!r}")


def _number(value: float) -> float:
    """A metric as a server stores it: some databases hold no infinity."""
    return math.copysign(LARGEST, value) if math.isinf(value) else value
