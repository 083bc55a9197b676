"""The predictions that each runner keeps of trials on real images, and those that it deletes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.ray_nodes import Nodes
from hpo.runners import fused, inline, processes
from hpo.runners._runner import Runner, discard_unneeded
from hpo.space import DatasetSpec, Fidelity, SearchSpace, Task
from hpo.space.domains import Float
from hpo.training.best_logits import BestLogits
from hpo.training.builder import Job
from hpo.training.prediction_files import PredictionFiles, decode
from hpo.trial import Crash, Decision, Report, Suggestion
from tests.runners.driving import train
from tests.training.kept_predictions import check_kept, kept

HIGH = 4
TASK = Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
SPACE = SearchSpace("digits", {"lr": Float(1e-4, 1.0)}, Fidelity(HIGH), TASK, {"batch_size": 256})
Start = Callable[[Job, Path], Runner]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(SPACE, 0, tmp_path / "data", predictions=tmp_path / "s" / "predictions")


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the predictions that the inline runner keeps of the same trial."""
    folder = tmp_path_factory.mktemp("inline")
    job = Job(SPACE, 0, folder / "data", predictions=folder / "predictions")
    train_in_two_rounds(inline.build, job, folder / "checkpoints")
    return folder / "predictions"


def train_in_two_rounds(start: Start, job: Job, checkpoints: Path) -> list[Report]:
    """Train a trial until its second epoch on one runner, and to its end on another one."""
    events: list[Report | Crash] = []
    for until in (2, HIGH):
        with closing(start(job, checkpoints)) as runner:
            events += train(runner, Suggestion(0, {"lr": 0.01}, until), after=len(events))
    return [event for event in events if isinstance(event, Report)]


def check(start: Start, job: Job, expected: Path, tolerance: float = 0.0) -> None:
    """Check the predictions of a trial, and that they are those that the inline runner keeps."""
    assert job.predictions is not None
    reports = train_in_two_rounds(start, job, job.predictions.parent / "checkpoints")
    assert len(reports) == HIGH
    found, wanted = check_kept(job.predictions, reports), kept(expected)
    assert wanted is not None
    assert (found.labels == wanted.labels).all()
    assert sorted(path.name for path in job.predictions.iterdir()) == ["0.epochs", "0.npz", "targets.npz"]
    if tolerance:
        np.testing.assert_allclose(found.logits.astype(float), wanted.logits.astype(float), atol=tolerance)
    else:
        for name in ("0.epochs", "0.npz", "targets.npz"):
            assert (job.predictions / name).read_bytes() == (expected / name).read_bytes()


def test_the_inline_runner_keeps_the_same_again(job: Job, expected: Path) -> None:
    check(inline.build, job, expected)


@pytest.mark.slow
def test_worker_processes_keep_the_same(job: Job, expected: Path) -> None:
    check(lambda *to: processes.build(*to, devices="cpu", slots=1), job, expected)


@pytest.mark.slow
def test_fused_trials_keep_the_same_up_to_rounding(job: Job, expected: Path) -> None:
    check(lambda *to: fused.build(*to, devices="cpu", slots=2), job, expected, tolerance=0.01)


@pytest.mark.slow
def test_two_devices_keep_the_logits_of_all_images_up_to_rounding(job: Job, expected: Path) -> None:
    check(lambda *to: processes.build(*to, devices="cpu", slots=1, devices_per_trial=2), job, expected, tolerance=0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("checkpoints", ["folder", "reports", "url"])
def test_nodes_of_ray_send_the_same(checkpoints: str, job: Job, expected: Path, nodes: Nodes, tmp_path: Path) -> None:
    from hpo.runners import ray
    from hpo.runners._ray_resources import SlotRequest
    from hpo.runners._ray_runner import Ray, RayRequest
    from hpo.training.checkpoints import prepare
    from hpo.training.received_checkpoints import FolderCheckpoints

    def start(job: Job, folder: Path) -> Runner:
        if checkpoints == "reports":
            prepare(folder)
            uses, received = SlotRequest("cpu", 1, {"CPU": 0.25}), FolderCheckpoints(folder)
            return Ray(RayRequest(job, folder, received, uses, nodes.address, shares_folder=False))
        url: dict[str, Any] = {"checkpoint_url": f"local://{tmp_path}/objects"} if checkpoints == "url" else {}
        return ray.build(job, folder, devices="cpu", slots=1, address=nodes.address, resources="cpu=0.25", **url)

    check(start, job, expected)


@pytest.mark.parametrize(
    ("event", "decision", "stays"),
    [
        (Report(0, 2, 0.1, {}, 0.1), Decision.STOP, True),
        (Report(0, HIGH, 0.1, {}, 0.1), Decision.CONTINUE, True),
        (Report(0, 2, 0.1, {}, 0.1), Decision.PAUSE, True),
        (None, Decision.STOP, True),
        (Crash(0, "ValueError", "broken"), Decision.CONTINUE, False),
    ],
    ids=["stopped", "complete", "paused", "stopped while paused", "crashed"],
)
def test_only_a_crashed_trial_loses_its_predictions_and_one_that_waits_or_ended_keeps_the_newest(
    job: Job, tmp_path: Path, event: Report | Crash | None, decision: Decision, stays: bool
) -> None:
    assert job.predictions is not None
    files = PredictionFiles(job.predictions)
    for epoch in (1, 2):
        files.write(0, BestLogits(epoch, np.zeros((1, 2), np.float16), 0))
    discard_unneeded(tmp_path, job, 0, event, decision)
    assert [int(decode(content)["epoch"]) for content in files.read(0)] == ([2] if stays else [])
