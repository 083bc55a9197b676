"""The Builder, which makes a trainable and its data from the task of a study and the hyperparameters of a trial.

`trainables.assembly` does the work. The Builder loads the plug-ins by name, and turns errors that the user can fix into
a TaskError.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import plugins
from hpo.errors import TaskError, UserError
from hpo.space import SearchSpace
from hpo.space.values import with_lists
from hpo.training import code_pickling, user_code
from hpo.training.own_objective import own_metric
from hpo.training.user_code import Build
from hpo.trial import Config

if TYPE_CHECKING:
    from trainables.assembly import Assembly
    from trainables.assembly.recording import Comparison
    from trainables.data.dataset import DataSet, Part, SearchData, Source
    from trainables.data.decoding import DecodingOptions
    from trainables.trainable import Trainable


SCHEDULE_EPOCHS = "schedule_epochs"
"""The hyperparameter with the epochs of the whole training. The default is the `high` of the fidelity."""


@dataclass(frozen=True)
class Job:
    """The inputs that all trials of a study share."""

    space: SearchSpace
    seed: int
    data: Path
    """The folder of the data sets."""
    trainable: Build | None = None
    """The user's own training code, which replaces the regime of the task. None if the regime is trained."""
    manifest: Mapping[str, Any] | None = None
    """The parts of the data set, as the study recorded them. None to split the data set anew."""
    allow_generator: bool = True
    """Whether the trainable may be a generator function."""
    predictions: Path | None = None
    """The folder of the validation predictions of the study. None if they are not kept."""
    regime_defaults: Config = field(default_factory=dict)
    """Hyperparameters that a regime reads where the space has none of its own. Training code of the user gets none."""
    refits: bool = False
    """Whether trials are trained on the training and the validation part together. With folds, there is one training.
    """

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the trainable with cloudpickle, so that it can be sent to a worker process.

        Code that the worker cannot import is sent by value: code of a script or a notebook, a lambda, or code of a
        module that was loaded from a file outside `sys.path`.
        """
        return {**vars(self), "trainable": (self._trainable_name, code_pickling.pickled(self.trainable))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle the trainable. If this fails, the trainable is a function that raises a TaskError."""
        import cloudpickle

        name, pickled = state["trainable"]
        try:
            trainable = cloudpickle.loads(pickled)
        except Exception as error:  # the modules that it imports may raise any error
            trainable = functools.partial(_raise_not_loaded, name, str(error).partition("\n")[0])
        for key, value in (state | {"trainable": trainable}).items():
            object.__setattr__(self, key, value)

    def check_can_be_sent(self) -> None:
        """Raise a UserError if the trainable cannot be sent to a worker process."""
        try:
            code_pickling.pickled(self.trainable)
        except Exception as error:  # the objects in the trainable may raise any error when they are pickled
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the trainable {self._trainable_name} cannot be sent to worker processes: {reason}; "
                "make what it needs inside it, or search with runner='inline'"
            ) from None

    @property
    def _trainable_name(self) -> str:
        return user_code.name_of(self.trainable or Job)


def _raise_not_loaded(name: str, reason: str, config: Config) -> Trainable:
    """The trainable of a worker process that cannot load the user's. Raises a TaskError."""
    raise TaskError(
        f"a worker process cannot load the trainable {name}: {reason}; "
        "define it in a module that the worker can import, or search with runner='inline'"
    )


def passive_threads() -> None:
    """Let threads of torch sleep while they wait for each other. Call it before torch is imported.

    By default they spin. If other work shares the cores, an epoch then takes several times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Builder:
    """Builds the trainables of one slot. It lives as long as the slot and keeps the data set in memory."""

    def __init__(self, job: Job, device: str) -> None:
        passive_threads()
        self._job = job
        self._device = device

    def build(self, settings: Config, seed: int) -> Trainable:
        """Build a new trainable. All its random numbers follow from `seed`.

        Raises a TaskError if a part of the task is missing or does not fit. If this depends on a searched
        hyperparameter, raises a SetupError instead: only this trial fails, because other values may fit.
        """
        with self._task_errors():
            self._check_objective(_as_in_yaml(settings))
            return self._assembly.build(_as_in_yaml(settings), seed)

    def build_on_all(
        self, settings: Config, seed: int, get_held_out: Callable[[DataSet], Source | None]
    ) -> tuple[Trainable, SearchData]:
        """Build a trainable that trains on all parts: see `Assembly.build_on_all`.

        Raises the errors of `build`.
        """
        with self._task_errors():
            return self._assembly.build_on_all(_as_in_yaml(settings), seed, get_held_out)

    def search_data(self, settings: Config) -> Sequence[SearchData | None]:
        """Return the data that the regime receives for each fold: one entry, unless the task asks for folds.

        The only entry is None if the task names no data set.
        """
        return self._assembly.search_data(_as_in_yaml(settings))

    def held_out(self, get_held_out: Callable[[DataSet], Source | None], settings: Config) -> Part:
        """Return the part that `get_held_out` returns, in the image format that the model of `settings` expects.

        Raises the errors of `build`.
        """
        with self._task_errors():
            return self._assembly.held_out(get_held_out, _as_in_yaml(settings))

    def record_data(self, get_held_out: Callable[[DataSet], Source | None]) -> dict[str, Any]:
        """Return the record of the data and weights of the task: see `trainables.assembly.recording`.

        `get_held_out` gets the held-out part, whose files are checked to be readable. Raises the errors of `build`.
        """
        from trainables.assembly import recording

        with self._task_errors():
            return recording.record(
                self._assembly,
                get_held_out,
                self._pretrained_models(),
                check_with=self._decoding_options(),
                skip_unreadable=self._job.space.fixed.get("skip_unreadable") is True,
            )

    def compare_data(
        self, record: Mapping[str, Any], get_held_out: Callable[[DataSet], Source | None] | None
    ) -> Comparison:
        """Compare the data and weights of the task with a record: see `trainables.assembly.recording`."""
        from trainables.assembly import recording

        with self._task_errors():
            return recording.compare(self._assembly, record, get_held_out)

    def _check_objective(self, settings: dict[str, Any]) -> None:
        """Raise a TaskError if the objective is not defined on the validation part of the task."""
        objective = self._job.space.objective
        if objective not in ("val_auroc_error", "val_top5_error") or self._job.trainable is not None:
            return
        for data in self._assembly.search_data(settings):
            if data is None:
                continue
            labels, n_classes = data.validation.labels, len(data.classes)
            if objective == "val_top5_error" and n_classes <= 10:
                raise TaskError(
                    f"objective: val_top5_error needs more than 10 classes, but there are {n_classes}; "
                    "val_error is 1 - accuracy"
                )
            if objective == "val_auroc_error" and bool((labels == labels[0]).all()):
                raise TaskError(
                    f"objective: val_auroc_error: AUROC with one class is not defined, and all {len(labels)} "
                    f"validation images show {data.classes[int(labels[0])]!r}; val_error is defined"
                )

    def _decoding_options(self) -> DecodingOptions | None:
        """The options that all trials read files with. None if trials differ in them or in `skip_unreadable`."""
        from trainables.data import preprocessing

        fixed = _as_in_yaml(self._job.space.fixed)
        keys = ("skip_unreadable", *preprocessing.DECODING_KEYS)
        if any(key in self._job.space.domains for key in keys):
            return None
        try:
            return preprocessing.decoding_options(fixed)
        except ValueError as error:
            raise TaskError(f"fixed: {error}") from error

    def _pretrained_models(self) -> list[str]:
        """The models of the task, unless all its regimes train from random weights."""
        regimes, models = (
            [getattr(self._job.space.task, key)] if key not in self._job.space.domains else self._choices(key)
            for key in ("regime", "model")
        )
        from_scratch = self._job.trainable is None and not any(
            getattr(plugins.load("trainables.regimes", name), "PRETRAINED", True) for name in regimes
        )
        return [] if from_scratch else [name for name in models if name is not None]

    def _choices(self, key: str) -> list[str]:
        return [str(choice) for choice in getattr(self._job.space.domains[key], "choices", ())]

    @functools.cached_property
    def _assembly(self) -> Assembly:
        from trainables.assembly import Assembly

        job, load = self._job, functools.cache(plugins.load)
        code = None
        if job.trainable is not None:
            code = functools.partial(user_code.build, job.trainable, allow_generator=job.allow_generator)
        inputs = job.space.task, load, job.data, self._device
        defaults = {SCHEDULE_EPOCHS: job.space.fidelity.high, **_as_in_yaml(job.regime_defaults)}
        metric = own_metric(job.space)
        return Assembly(
            *inputs, code=code, own_metric=metric, manifest=job.manifest, defaults=defaults, refits=job.refits
        )

    @contextlib.contextmanager
    def _task_errors(self) -> Iterator[None]:
        """Raise a TaskError for each error that the user can fix, unless it depends on a searched hyperparameter."""
        from trainables import errors

        try:
            yield
        except errors.SetupError as error:
            if any(key in self._job.space.domains for key in error.keys):
                raise
            raise TaskError(str(error)) from error
        except TaskError:
            raise
        except UserError as error:
            raise TaskError(str(error)) from error


def _as_in_yaml(settings: Config) -> dict[str, Any]:
    """The settings with new lists, as a space file has them, for the code that trains."""
    return {name: with_lists(value) for name, value in settings.items()}


def trial_seed(seed: int, trial: int) -> int:
    """The seed of one trial: 32 bits that depend only on the study's seed and the trial's number."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{trial}".encode()).digest()[:4], "big")
