"""The builder (floor 2): names in, a trainable and its data out. With the worker, the door between the two houses.

`trainables` is imported only inside functions: importing this module imports no torch. A builder lives as
long as its slot and keeps its data set warm from trial to trial.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import HpoError, Mistake, TaskError
from hpo.space import Data, SearchSpace
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.images import Form
    from trainables.inputs import Input
    from trainables.preparation import Preparation
    from trainables.splits import DataSet, Part, SearchData, Source
    from trainables.trainable import Trainable, TransferModel

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


class Builder:
    """Builds the trainables of one slot, and holds what they share."""

    def __init__(self, job: Job, device: str) -> None:
        # Read when torch is imported. Threads that spin while they wait for each other make an epoch several
        # times as long wherever other work shares the cores.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self._job = job
        self._device = device
        self._prepared: Preparation | None = None
        self._load = functools.cache(plugins.load)
        self._fitting: set[tuple[object, ...]] = set()
        """The models that are known to fit the data set: their names and forms."""

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
        from trainables import preparation

        family = self._load("trainables.models", name)
        weights = self._weights(name, family) if pretrained else "none"
        model: TransferModel = family.build(
            settings, shape=data.train.shape, n_classes=len(data.classes), weights=weights
        )
        if weights != "none":
            model.settle()
        preparation.normalize(model, settings, self._expected(settings), data.train)
        self._fit(name, model, data, settings, keys=("image_size", *getattr(family, "HYPERPARAMETERS", ())))
        return model

    def _fit(
        self, name: str, model: TransferModel, data: SearchData, settings: Config, *, keys: tuple[str, ...]
    ) -> None:
        """Check a model against the data set where none of its form was before; `keys` are those of its own.

        All that is set may be of its form but real numbers that it does not declare. Modules that make their
        weights when they see the first image are shown one in every trial.
        """
        from trainables import fitting

        formed = sorted(item for item in settings.items() if item[0] in keys or not isinstance(item[1], float))
        form = (name, data.train.shape, len(data.classes), *formed)
        if form in self._fitting:
            return
        if fitting.check(name, model, data, keys=keys):
            self._fitting.add(form)

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


def trial_seed(seed: int, trial: int) -> int:
    """The seed of one trial: 32 bits that depend on the study's seed and the trial's number alone."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{trial}".encode()).digest()[:4], "big")
