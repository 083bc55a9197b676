"""The tracker `mlflow`, on a tracking server of MLflow with a SQLite file, on the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric

from hpo.trackers import Target, TrackedStudy, Tracker
from hpo.trackers._mlflow_runs import requests
from tests.cli.commands import ROOT
from tests.trackers.contract import Shown, Tool, TrackerContract, points, same, study_in, trial_at, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking server."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=10).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class MLflow:
    """A tracking server."""

    def __init__(self, address: str) -> None:
        from mlflow.tracking import MlflowClient

        self.address = address
        self.client: Any = MlflowClient(tracking_uri=address)

    @property
    def target(self) -> Target:
        return Target("mlflow", self.address)

    def tracker(self, study: TrackedStudy) -> Tracker:
        return self.target.build(study)

    def wait(self, study: TrackedStudy, epoch: int) -> None:
        wait_until(lambda: [run.data.metrics.get("epoch") for run in self.runs(study)] == [epoch])

    def runs(self, study: TrackedStudy) -> list[Any]:
        """The runs of a study."""
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, f"tags.`hpo.study` = '{study.digest}'"))

    def shown(self, study: TrackedStudy) -> dict[int, Shown]:
        return {int(run.data.tags["hpo.trial"]): self._shown(run) for run in self.runs(study)}

    def _shown(self, run: Any) -> Shown:
        histories = {name: self.client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        curves = {name: sorted((each.step, each.value) for each in history) for name, history in histories.items()}
        return Shown(dict(run.data.params), curves, run.data.tags["hpo.state"])


@pytest.fixture
def mlflow(server: str, monkeypatch: pytest.MonkeyPatch) -> MLflow:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return MLflow(server)


class TestMLflow(TrackerContract):
    @pytest.fixture
    def study(self, tmp_path: Path) -> TrackedStudy:
        return study_in(tmp_path / "flowers", f"{abs(hash(str(tmp_path))):016x}")

    @pytest.fixture
    def tool(self, mlflow: MLflow) -> Tool:
        return mlflow

    def test_an_epoch_that_is_sent_again_is_there_once(self, mlflow: MLflow, study: TrackedStudy) -> None:
        first, second = mlflow.tracker(study), None
        first.update(trial_at(2))
        second = mlflow.tracker(study)
        first.update(trial_at(3))
        second.update(trial_at(4, "complete"))  # it does not know that epoch 3 was sent
        (shown,) = mlflow.shown(study).values()
        assert same(shown.curves["val_loss"], points(4))

    @pytest.mark.parametrize(
        ("state", "status"), [("complete", "FINISHED"), ("stopped", "KILLED"), ("paused", "RUNNING")]
    )
    def test_the_status_of_a_run_follows_the_state(
        self, mlflow: MLflow, study: TrackedStudy, state: str, status: str
    ) -> None:
        mlflow.tracker(study).update(trial_at(1, state))
        (run,) = mlflow.runs(study)
        assert run.info.status == status
        assert run.info.run_name == "trial 0"


def test_requests_have_whole_epochs_and_no_more_points_than_a_server_takes() -> None:
    def sizes(n_epochs: int, n_points: int) -> list[tuple[int, int]]:
        epochs = [[Metric("m", 0.0, 0, epoch)] * n_points for epoch in range(1, n_epochs + 1)]
        return [(len(points), last) for points, last in requests(epochs)]

    assert sizes(0, 5) == []
    assert sizes(3, 5) == [(15, 3)]
    assert sizes(5, 400) == [(800, 2), (800, 4), (400, 5)]
    assert sizes(2, 1000) == [(1000, 1), (1000, 2)]
    assert sizes(2, 2300) == [(1000, 0), (1000, 0), (300, 1), (1000, 0), (1000, 0), (300, 2)]


def test_an_epoch_with_more_points_than_a_request_takes_is_sent(mlflow: MLflow, tmp_path: Path) -> None:
    study = study_in(tmp_path, f"{abs(hash(str(tmp_path))):016x}")
    values = {f"class_{number}": float(number) for number in range(1500)}
    trial = trial_at(1)
    trial = replace(trial, reports=(replace(trial.reports[0], metrics=values),))
    mlflow.tracker(study).update(trial)
    (shown,) = mlflow.shown(study).values()
    assert shown.curves.keys() == {*values, "seconds", "epoch"}


def test_an_experiment_that_was_renamed_in_mlflow_is_found(mlflow: MLflow, tmp_path: Path) -> None:
    study = study_in(tmp_path, f"{abs(hash(str(tmp_path))):016x}")
    mlflow.tracker(study).update(trial_at(1))
    (run,) = mlflow.runs(study)
    mlflow.client.rename_experiment(run.info.experiment_id, f"renamed {study.digest}")
    mlflow.tracker(study).update(trial_at(2))
    (shown,) = mlflow.shown(study).values()
    assert same(shown.curves["val_loss"], points(2))


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_without_an_address_the_runs_lie_in_a_file_of_the_study_and_nothing_is_printed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom hpo.trackers import Target\n"
        "from tests.trackers.contract import study_in, trial_at\n"
        f"study = study_in(Path({str(tmp_path / 'study')!r}))\nstudy.folder.mkdir()\n"
        "tracker = Target('mlflow').build(study)\ntracker.update(trial_at(2))\ntracker.close()\n"
        "print(Target('mlflow').place(study))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    (tmp_path / "here").mkdir()
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "here",
        env={**environment, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    file = tmp_path / "study" / "mlflow.db"
    assert (result.stdout, result.stderr) == (f"sqlite:///{file}\n", "")
    assert list((tmp_path / "here").iterdir()) == []
    (shown,) = MLflow(f"sqlite:///{file}").shown(study_in(tmp_path / "study")).values()
    assert same(shown.curves["val_loss"], points(2))
