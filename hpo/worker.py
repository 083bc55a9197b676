"""The door between the two houses (floor 2): names in, a trainable out; the epoch loop; the checkpoints.

Only here does `hpo` import `trainables` for training, and only inside functions: importing this module
imports no torch. A worker lives as long as its slot and keeps its data set warm from trial to trial.

A checkpoint holds the reports of the trial so far beside its state. So a trial whose last epochs were
trained but not recorded (the process was killed in between) reports them again without training them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import HpoError, MachineError
from hpo.space import SearchSpace
from hpo.trial import Config, Report, Suggestion

if TYPE_CHECKING:
    from trainables.splits import SearchData
    from trainables.trainable import Trainable

HYPERPARAMETERS = {
    "patience": "epochs without improvement after which a trial ends itself, a whole number of at least 1",
    "threshold": "least drop of the objective that counts as an improvement for patience, at least 0",
}

Build = Callable[..., "Trainable"]
"""A regime's `build(config, model, data, device)`."""


@dataclass(frozen=True)
class Job:
    """What all trials of a study share."""

    space: SearchSpace
    seed: int
    data: Path
    """The folder of the data sets."""
    trainable: Build | None = None
    """Builds the trainable in place of the space's regime."""


@dataclass
class _Progress:
    """What the epoch loop must know to go on; it stands in the checkpoint."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    reference: float = math.inf
    """The loss that the next improvement is measured against."""
    stale: int = 0
    """Epochs since the last improvement."""

    @property
    def epoch(self) -> int:
        return len(self.reports)

    @property
    def loss(self) -> float:
        return float(self.reports[-1]["loss"]) if self.reports else math.inf

    @property
    def at_best(self) -> bool:
        """Whether the last epoch is the best so far; of equals, the first is."""
        before = self.reports[-2]["loss"] if len(self.reports) > 1 else math.inf
        return self.loss < before

    @property
    def ended(self) -> bool:
        return bool(self.reports and self.reports[-1]["last"])


class Worker:
    """Trains the trials of one slot, one after another."""

    def __init__(self, job: Job, checkpoints: Path, device: str) -> None:
        # Read when torch is imported. Threads that spin while they wait for each other make an epoch several
        # times as long wherever other work shares the cores.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        checkpoints.mkdir(parents=True, exist_ok=True)
        self._job = job
        self._checkpoints = checkpoints
        self._device = device
        # A slot sees its own GPU alone, and calls it cuda; on record it goes by the machine's number.
        self._place = f"cuda:{os.environ['CUDA_VISIBLE_DEVICES']}" if device == "cuda" else device
        self._data: SearchData | None = None
        self._proven = False
        self._load = functools.cache(plugins.load)

    def train(self, suggestion: Suggestion, *, after: int) -> Iterator[Report]:
        """Train a trial up to `until`; yield the report of each epoch after `after`, its checkpoint written.

        The generator may be closed after any report: the trial goes on from there another time.
        """
        from trainables import hyperparameters

        path = checkpoint(self._checkpoints, suggestion.trial)
        settings = {**self._job.space.fixed, **suggestion.config}
        patience = hyperparameters.whole(settings, "patience", default=sys.maxsize)
        threshold = hyperparameters.real(settings, "threshold", 0.0, hyperparameters.AT_LEAST_0)
        trainable = self.build(settings, trial_seed(self._job.seed, suggestion.trial))
        progress = self._load_into(trainable, path)
        for content in progress.reports[after:]:
            yield Report(trial=suggestion.trial, **content)
        while progress.epoch < suggestion.until and not progress.ended:
            was_best = progress.at_best
            self._epoch(trainable, progress, patience, threshold)
            self._save(trainable, progress, path, was_best=was_best)
            if progress.epoch > after:
                yield Report(trial=suggestion.trial, **progress.reports[-1])
        if progress.epoch <= after:
            raise HpoError(f"the trial ended after epoch {progress.epoch}, but epoch {after} of it is on record")

    def _load_into(self, trainable: Trainable, path: Path) -> _Progress:
        """Set a trainable to where its checkpoint is; a lost or damaged one is as good as none.

        Without it, the epochs on record are trained once more, and not reported.
        """
        from trainables import checkpoints

        with _disk_faults(path):
            try:
                saved = checkpoints.read(path)
            except checkpoints.DamagedCheckpoint:
                saved = None
        if saved is None:
            return _Progress()
        trainable.load_state_dict(saved.pop("state"))
        progress = _Progress(**saved)
        if progress.at_best and self._is_over(progress):
            with _disk_faults(path):
                checkpoints.keep_best(path, _best_beside(path))  # a kill may have come in between
        return progress

    def _save(self, trainable: Trainable, progress: _Progress, path: Path, *, was_best: bool) -> None:
        """Write the checkpoint; keep that of the best epoch when a worse one takes its place, or none follows."""
        from trainables import checkpoints

        content = {**vars(progress), "state": trainable.state_dict()}
        with _disk_faults(path):
            if was_best and not progress.at_best:
                checkpoints.keep_best(path, _best_beside(path))
            checkpoints.write(path, content)
            self._prove(path)
            if progress.at_best and self._is_over(progress):
                checkpoints.keep_best(path, _best_beside(path))

    def _prove(self, path: Path) -> None:
        """Read the first checkpoint back: one that cannot be read would cost every epoch when it is needed."""
        from trainables import checkpoints

        if not self._proven:
            try:
                checkpoints.read(path)
            except checkpoints.DamagedCheckpoint as error:
                raise HpoError(
                    f"state_dict() of the trainable may hold only tensors and plain Python values: {error}"
                ) from error
            self._proven = True

    def _is_over(self, progress: _Progress) -> bool:
        """Whether a trial trains no further, so that of its checkpoints only the best will be kept."""
        return progress.ended or progress.epoch >= self._job.space.fidelity.high

    def build(self, settings: Config, seed: int) -> Trainable:
        """A fresh trainable, everything random in it drawn from `seed`."""
        from trainables import seeding

        task = self._job.space.task
        seeding.seed_everything(seed)
        data, model = self.data(), None
        name = settings.get("model", task.model)
        if name is not None:
            if data is None:
                raise HpoError(f"the model {name!r} needs a data set: `task.dataset` names none")
            shape, n_classes = tuple(data.train.images.shape[1:]), len(data.classes)
            build_model = self._load("trainables.models", str(name)).build
            model = build_model(settings, shape=shape, n_classes=n_classes, weights=task.weights)
        build: Build
        if self._job.trainable is not None:
            build = self._job.trainable
        else:
            build = self._load("trainables.regimes", str(settings.get("regime", task.regime))).build
        return build(settings, model, data, self._device)

    def data(self) -> SearchData | None:
        """The training and validation parts, read once; None where the task names no data set."""
        task = self._job.space.task
        if self._data is None and task.dataset is not None:
            from trainables import splits

            dataset = self._load("trainables.datasets", task.dataset).build(self._job.data)
            self._data = splits.split(dataset, fraction=task.validation.fraction, seed=task.validation.seed)
        return self._data

    def _epoch(self, trainable: Trainable, progress: _Progress, patience: int, threshold: float) -> None:
        """Train one epoch and add its report to the progress."""
        started = time.perf_counter()
        metrics = {key: float(value) for key, value in trainable.step().items()}
        loss = objective(self._job.space.objective, metrics)
        best = progress.loss
        if loss < progress.reference - threshold:
            progress.reference, progress.stale = loss, 0
        else:
            progress.stale += 1
        report = {
            "fidelity": progress.epoch + 1,
            "loss": loss if loss < best else best,
            "metrics": metrics,
            "seconds": time.perf_counter() - started,
            "last": progress.stale >= patience or not math.isfinite(loss),
            "device": self._place,
        }
        progress.reports.append(report)


def objective(name: str, metrics: dict[str, float]) -> float:
    """The value to minimise; val_error is added to the metrics. HpoError where the trainable lacks it."""
    if name == "val_error" and "val_accuracy" in metrics:
        metrics["val_error"] = 1 - metrics["val_accuracy"]
    if name not in metrics:
        needed = "val_accuracy" if name == "val_error" else name
        raise HpoError(f"step() of the trainable returned no {needed!r}, but {', '.join(metrics) or 'nothing'}")
    return metrics[name]


def trial_seed(seed: int, trial: int) -> int:
    """The seed of one trial: 32 bits that depend on the study's seed and the trial's number alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{trial}".encode()).digest()[:4], "big")


def checkpoint(folder: Path, trial: int) -> Path:
    """Where the state of a trial's last epoch stands."""
    return folder / f"{trial}.pt"


def best_checkpoint(folder: Path, trial: int) -> Path:
    """Where the state of a trial's best epoch stands."""
    return _best_beside(checkpoint(folder, trial))


def _best_beside(path: Path) -> Path:
    return path.with_suffix(".best.pt")


@contextlib.contextmanager
def _disk_faults(path: Path) -> Iterator[None]:
    """A disk that fails is no fault of the trial's: it goes on from here when that is mended."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path}: the checkpoint cannot be written or read: {error}") from error


def recover(folder: Path) -> None:
    """Mend what workers that were killed while they wrote a checkpoint left behind."""
    from trainables import replacing

    for temporary in folder.glob(".*.tmp"):
        replacing.recover(folder / temporary.name[1 : -len(".tmp")])


def discard(folder: Path, trial: int) -> None:
    """Delete all checkpoints of a trial that will never be continued."""
    from trainables import replacing

    replacing.remove(checkpoint(folder, trial))
    replacing.remove(best_checkpoint(folder, trial))


def conclude(folder: Path, trial: int) -> None:
    """Keep of a trial that has ended only its best epoch."""
    from trainables import replacing

    replacing.remove(checkpoint(folder, trial))
