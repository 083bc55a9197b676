"""The worker of one slot of the runner `ray`: a Ray actor, which trains one trial after another.

It runs on any node of the cluster. It keeps the data set in memory between trials, as a worker process does.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hpo
from hpo import cache
from hpo.errors import MachineError, TaskError
from hpo.runners._runner import crash
from hpo.training import notices
from hpo.training.builder import Job
from hpo.training.out_of_memory import n_oom_kills
from hpo.training.sent_checkpoints import Change, FolderPlace, ReportPlace, SentCheckpoints
from hpo.training.sent_predictions import SentPredictions, Write
from hpo.training.url_checkpoints import UrlPlace
from hpo.training.worker import Worker
from hpo.trial import Crash, Report, Suggestion

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class WorkerSettings:
    """The inputs of a worker that do not depend on its node."""

    folder: Path
    """The folder of the checkpoints on the machine that searches."""
    token: Path
    """A file beside this folder, with a random name. A node that has it sees the same folder."""
    url: str | None
    """Where checkpoints are written, if not in the folder."""
    threads: int
    """The number of threads of torch's CPU operations."""
    uses_gpu: bool
    environment: Mapping[str, str]
    """Environment variables of the machine that searches. A variable that the node has itself stays."""
    count_oom_kills: Callable[[], int | None] = n_oom_kills
    """How many processes of a node the kernel has killed because memory ran out. It is called on the node."""


@dataclass(frozen=True)
class Placement:
    """Where a worker runs."""

    node: str
    """The id of the node in Ray."""
    host: str
    """The name of the machine."""
    process: int
    """The number of the process."""
    version: str
    """The version of hpo on the node."""
    sees_folder: bool
    """Whether the node sees the folder of the checkpoints."""
    gpus: tuple[str, ...] = ()
    """The GPUs of the worker, as Ray numbers them on the node. Workers may share one."""
    oom_kills: int | None = None
    """How many processes on the node the kernel has killed because memory ran out. None if this is not known."""


@dataclass(frozen=True)
class Answer:
    """What a worker returns after an epoch."""

    event: Report | Crash | MachineError | TaskError
    changes: Sequence[Change]
    """The changes of the trial's checkpoints, which the process that searches makes."""
    predictions: Sequence[Write]
    """The files of predictions, which the process that searches writes before the checkpoints."""
    notices: Sequence[str]
    """The notices of the training code so far."""
    oom_kills: int | None = None
    """As in `Placement`."""


class RayWorker:
    """Trains the trials of one slot. Its methods are called remotely, one at a time."""

    def __init__(self, job: Job, settings: WorkerSettings) -> None:
        for name, value in settings.environment.items():
            os.environ.setdefault(name, value)
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(settings.threads)))
        if not settings.uses_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        self._sees_folder = settings.token.exists() and os.access(settings.folder, os.W_OK)
        self._place: FolderPlace | UrlPlace | ReportPlace
        if settings.url is not None:
            self._place = UrlPlace(settings.url)
        else:
            self._place = FolderPlace(settings.folder) if self._sees_folder else ReportPlace()
        self._checkpoints = SentCheckpoints(self._place)
        self._scratch = tempfile.TemporaryDirectory(prefix="hpo-ray-")
        self._notices = Path(self._scratch.name)
        device = "cuda" if settings.uses_gpu else "cpu"
        self._predictions = SentPredictions()
        self._worker = Worker(job, self._notices, device, checkpoints=self._checkpoints, predictions=self._predictions)
        self._count_oom_kills = settings.count_oom_kills
        self._trial = -1
        self._reports: Iterator[Report] = iter(())

    def placement(self) -> Placement:
        """Return where this worker runs."""
        import ray

        node, gpus = ray.get_runtime_context().get_node_id(), tuple(map(str, ray.get_gpu_ids()))
        kills = self._count_oom_kills()
        return Placement(node, platform.node(), os.getpid(), hpo.__version__, self._sees_folder, gpus, kills)

    def ping(self) -> None:
        """Do nothing: the call fails if the worker has died."""

    def train(self, suggestion: Suggestion, after: int, given: Any, micro_batches: int | None) -> Answer:
        """Begin or continue a trial, and train its next epoch.

        `after` is its last epoch on record. `given` is the content of its checkpoint, or its URL. It is None if the
        trial has none, or if this node sees the folder. `micro_batches` is that of `Worker.begin`.
        """
        self._trial, self._place.given = suggestion.trial, given
        self._checkpoints.taken_changes()
        self._predictions.taken_writes()
        self._reports = self._worker.train(suggestion, after=after, micro_batches=micro_batches)
        return self.go_on()

    def go_on(self) -> Answer:
        """Train the next epoch of the trial."""
        event: Report | Crash | MachineError | TaskError
        try:
            event = next(self._reports)
        except (MachineError, TaskError) as error:
            event = error
        except Exception as error:
            event = crash(self._trial, error)
        changes, predictions = self._checkpoints.taken_changes(), self._predictions.taken_writes()
        return Answer(event, changes, predictions, notices.read(self._notices), self._count_oom_kills())


def prepares_data(process: int) -> bool:
    """Whether a worker on this node prepares data for the store, or waits for that. `process` is its number."""
    return bool(cache.in_progress(process))
