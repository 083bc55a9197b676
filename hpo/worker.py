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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import HpoError, MachineError, Mistake, TaskError
from hpo.space import Data, SearchSpace
from hpo.trial import Config, Report, Suggestion

if TYPE_CHECKING:
    from trainables.images import Form
    from trainables.inputs import Input
    from trainables.preparation import Preparation
    from trainables.splits import DataSet, Part, SearchData, Source
    from trainables.trainable import Trainable, TransferModel

HYPERPARAMETERS = {
    "patience": "epochs without improvement after which a trial ends itself, a whole number of at least 1",
    "threshold": "least drop of the objective that counts as an improvement for patience, at least 0",
    "window": "a trial ends itself when its validation accuracy exceeds none of so many before, at least 1",
}
READS_ALSO = ("trainables.preparation",)

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
    def phase(self) -> float | None:
        """How many phases of the training are left after the last epoch; None where it has none."""
        return self.reports[-1]["metrics"].get("phases_left") if self.reports else None

    @property
    def at_best(self) -> bool:
        """Whether the last epoch is the best so far of its phase; of equals, the first is."""
        of_phase = [report for report in self.reports[-2:] if report["metrics"].get("phases_left") == self.phase]
        before = of_phase[0]["loss"] if len(of_phase) > 1 else math.inf
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
        self._prepared: Preparation | None = None
        self._proven = False
        self._load = functools.cache(plugins.load)

    def train(self, suggestion: Suggestion, *, after: int) -> Iterator[Report]:
        """Train a trial up to `until`; yield the report of each epoch after `after`, its checkpoint written.

        The generator may be closed after any report: the trial goes on from there another time.
        """
        from trainables import hyperparameters

        path = checkpoint(self._checkpoints, suggestion.trial)
        settings = {**self._job.space.fixed, **suggestion.config}
        patience = _Patience(
            hyperparameters.whole(settings, "patience", default=sys.maxsize),
            hyperparameters.real(settings, "threshold", 0.0, hyperparameters.AT_LEAST_0),
            hyperparameters.optional(settings, "window"),
        )
        trainable = self.build(settings, trial_seed(self._job.seed, suggestion.trial))
        progress = self._load_into(trainable, path)
        for content in progress.reports[after:]:
            yield Report(trial=suggestion.trial, **content)
        while progress.epoch < suggestion.until and not progress.ended:
            was_best = progress.at_best
            self._epoch(trainable, progress, patience)
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
        """A fresh trainable, everything random in it drawn from `seed`.

        A TaskError where what the task names is not there or does not go together. Where that hangs on a
        hyperparameter that is searched, it is a SetupError: other values may do.
        """
        from trainables import faults, folds, seeding

        seeding.seed_everything(seed)
        task, named = self._job.space.task, ""
        try:
            data = self.search_data(settings)
            parts = {key: settings.get(key, getattr(task, key)) for key in ("regime", "model")}
            named = ", ".join(f"{key} {part}" for key, part in parts.items() if part is not None)
            made = [self._trainable(settings, each) for each in data]
        except faults.SetupError as error:
            if any(key in self._job.space.domains for key in error.keys):
                raise
            raise TaskError(f"{named}: {error}" if named else str(error)) from error
        except Mistake as error:
            raise TaskError(str(error)) from error
        return made[0] if len(made) == 1 else folds.Folds(made)

    def held_out(self, look: Callable[[DataSet], Source], settings: Config) -> Part:
        """The part that `look` gets of the data set, in the form that the model of `settings` expects."""
        from trainables import faults, images

        try:
            preparation = self._preparation()
            data = self._job.space.task.dataset
            assert preparation is not None
            assert data is not None
            source = preparation.grouped(look(self._dataset(data)))
            return images.load(source, self._form(settings))
        except faults.SetupError as error:
            raise TaskError(str(error)) from error

    def _trainable(self, settings: Config, data: SearchData | None) -> Trainable:
        """The regime's trainable on one fold."""
        task, model = self._job.space.task, None
        regime = settings.get("regime", task.regime)
        plugin = None if self._job.trainable else self._load("trainables.regimes", str(regime))
        name = settings.get("model", task.model)
        if name is not None:
            if data is None:
                raise HpoError(f"the model {name!r} needs a data set: `task.dataset` names none")
            model = self._model(str(name), settings, data, pretrained=getattr(plugin, "PRETRAINED", True))
        build: Build = self._job.trainable or plugin.build  # type: ignore[union-attr]
        return build(settings, model, data, self._device)

    def _model(self, name: str, settings: Config, data: SearchData, *, pretrained: bool) -> TransferModel:
        """A fresh model, normalising as `settings` say; with random weights unless `pretrained`.

        A SetupError where it does not fit the data set.
        """
        from trainables import fitting, preparation

        family = self._load("trainables.models", name)
        weights = self._weights(name, family) if pretrained else "none"
        model: TransferModel = family.build(
            settings, shape=data.train.shape, n_classes=len(data.classes), weights=weights
        )
        preparation.normalize(model, settings, self._expected(settings), data.train)
        fitting.check(name, model, data, keys=("image_size", *getattr(family, "HYPERPARAMETERS", ())))
        return model

    def _weights(self, name: str, family: Any) -> str:
        """none, or the path of a state dict: of `imagenet`, in the folder of the weights."""
        weights = self._job.space.task.weights
        if weights != "imagenet":
            return weights
        from trainables import faults
        from trainables import weights as stored

        if not hasattr(family, "WEIGHTS"):
            raise faults.SetupError(f"`task.weights`: there are no ImageNet weights of the model {name!r}")
        return str(stored.find(family.WEIGHTS, self._job.data / "weights", name))

    def search_data(self, settings: Config) -> Sequence[SearchData | None]:
        """What the regime receives, once a fold; None where the task names no data set."""
        preparation = self._preparation()
        return (None,) if preparation is None else preparation.folds(self._form(settings))

    def _form(self, settings: Config) -> Form:
        from trainables import preparation

        return preparation.form(settings, self._expected(settings))

    def _expected(self, settings: Config) -> Input:
        """What the model of `settings` expects of its images."""
        from trainables.inputs import Input

        name = settings.get("model", self._job.space.task.model)
        expected: Input = (
            Input() if name is None else getattr(self._load("trainables.models", str(name)), "INPUT", Input())
        )
        return expected

    def _preparation(self) -> Preparation | None:
        """The data set of the task, cut; its images are read when a form is known. None where there is none."""
        task = self._job.space.task
        if self._prepared is None and task.dataset is not None:
            from trainables import preparation

            validation = preparation.Validation(**vars(task.validation))
            first = None
            if task.pretraining is not None and task.pretraining != task.dataset:  # else it is the training part
                first = preparation.First(self._dataset(task.pretraining), task.pretraining.groups)
            self._prepared = preparation.Preparation(
                self._dataset(task.dataset),
                validation,
                groups=task.dataset.groups,
                first=first,
                device=self._device,
            )
        return self._prepared

    def _dataset(self, data: Data) -> DataSet:
        built: DataSet = self._load("trainables.datasets", data.name).build(self._job.data, **data.options)
        return built

    def _epoch(self, trainable: Trainable, progress: _Progress, patience: _Patience) -> None:
        """Train one epoch and add its report to the progress."""
        started = time.perf_counter()
        metrics = {key: float(value) for key, value in trainable.step().items()}
        loss, best = objective(self._job.space.objective, metrics), progress.loss
        if metrics.get("phases_left") != progress.phase:
            # What an earlier phase reached is no result of this one.
            best, progress.reference, progress.stale = math.inf, math.inf, 0
        if loss < progress.reference - patience.threshold:
            progress.reference, progress.stale = loss, 0
        elif not metrics.get("phases_left"):  # a phase that only prepares for the last may take its time
            progress.stale += 1
        report = {
            "fidelity": progress.epoch + 1,
            "loss": loss if loss < best else best,
            "metrics": metrics,
            "seconds": time.perf_counter() - started,
            "last": patience.is_spent(progress, metrics) or not math.isfinite(loss),
            "device": self._place,
        }
        progress.reports.append(report)


@dataclass(frozen=True)
class _Patience:
    """When a trial ends itself."""

    epochs: int
    threshold: float
    window: int | None

    def is_spent(self, progress: _Progress, metrics: Mapping[str, float]) -> bool:
        """Whether the epoch with these metrics, the first that is not yet among the reports, is the last.

        By the window: its validation accuracy is no higher than the lowest of the `window` before it.
        """
        if progress.stale >= self.epochs:
            return True
        if self.window is None or "val_accuracy" not in metrics:
            return False
        phase = metrics.get("phases_left")
        before = [report["metrics"] for report in progress.reports[-self.window :]]
        before = [each["val_accuracy"] for each in before if each.get("phases_left") == phase]
        return len(before) == self.window and metrics["val_accuracy"] <= min(before)


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
