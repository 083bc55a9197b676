"""Budget and Settings: how long a study may run, and how it searches."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import UnionType
from typing import Any

from hpo.devices import plan_slots
from hpo.errors import UserError
from hpo.record.files import command
from hpo.space.values import with_lists, with_tuples
from hpo.trial import Config, Scalar


@dataclass(frozen=True)
class Budget:
    """The budget of a study, over all its runs. None is no limit.

    Raises a UserError if a value is negative or no number.
    """

    trials: int | None = None
    """The number of trials."""
    epochs: int | None = None
    """The number of epochs, over all trials."""
    seconds: float | None = None
    """The wall time of the search, in seconds."""

    def __post_init__(self) -> None:
        for name in ("trials", "epochs", "seconds"):
            value: Any = _plain(getattr(self, name))
            object.__setattr__(self, name, value)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float) if name == "seconds" else int):
                kind = "a number" if name == "seconds" else "a whole number"
                raise UserError(f"the budget in {name} must be {kind}, but is {value!r}")
            if not value >= 0:
                raise UserError(f"the budget in {name} must be at least 0, but is {value}")

    def overspent(self, n_trials: int, n_epochs: int, seconds: float) -> str | None:
        """Return a message if a study has spent more trials, epochs or seconds than this budget; else None.

        A budget of 0 seconds is never overspent. It ends a study where it is.
        """
        ends_now = self.seconds == 0
        limits: list[tuple[str, float | None, float]] = [
            ("trials", self.trials, n_trials),
            ("epochs", self.epochs, n_epochs),
            ("seconds", None if ends_now else self.seconds, seconds),
        ]
        for name, allowed, spent in limits:
            if allowed is not None and allowed < spent:
                return (
                    f"the study has spent {spent:.10g} {name} already, more than the {allowed:.10g} given: "
                    "the budget counts all runs together"
                )
        return None

    def or_default(self) -> Budget:
        """Return this budget, or 64 trials if no limit is set."""
        return self if self != Budget() else Budget(trials=64)


def data_folder(given: str | None = None) -> Path:
    """The absolute path of the folder of the data sets and weights: `given`, or else $HPO_DATA or ~/.cache/hpo."""
    return Path(os.path.expanduser(given or os.environ.get("HPO_DATA") or "~/.cache/hpo")).absolute()


def check_devices(settings: Settings, folder: Path) -> None:
    """Raise a UserError if this machine lacks a device of the study in `folder`. It says how to choose another."""
    try:
        plan_slots(settings.devices, settings.given_slots)
    except UserError as error:
        remedy = command("resume", folder, "--devices cpu")
        raise UserError(f"{error}; `{remedy}` goes on with the CPU, now and later") from None


AUTO_SLOTS = "auto"
"""The setting `slots` for which the number is measured, see `hpo.runners._measured_slots`."""


@dataclass(frozen=True)
class Source:
    """An earlier study that informs a search, as it was when the search began."""

    study: str
    """Its name."""
    digest: str
    """What tells it from another study of this name. It stays when the study goes on."""
    learns: bool
    """Whether the backend learns from its trials."""
    top: int | None = None
    """How many of its best trials the search was told to try first. None if the backend chooses by itself."""
    first: Sequence[Config] = ()
    """The configurations of these trials, as far as they lie in the space. They come after `Settings.try_first`."""


@dataclass(frozen=True)
class Settings:
    """The settings of a search. They are stored in `study.yaml`. Raises a UserError if a value has the wrong type."""

    backend: str = "freeze_thaw"
    """The name of the backend."""
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Options of the backend, such as `sampler: gp`."""
    seed: int = 0
    """The seed of the backend. The seed of each trial follows from it and from the number of the trial."""
    runner: str = "processes"
    """The name of the runner, or `auto` for the one that suits the search space."""
    devices: str = "auto"
    """`auto`, `cpu`, or a list such as `cuda:0,cuda:1`."""
    slots: int | str | None = None
    """The number of trials at once on each device. None is the default of the runner.

    With `auto`, it is measured how many fit into memory whenever the search begins or goes on.

    The default of `processes` is 1 on a GPU, and 1 for each core on the CPU. The default of `fused` is 16 on a GPU, and
    8 on the CPU.
    """
    storage: str | None = None
    """The URL of an Optuna storage. None is the journal in the study's folder."""
    data: str | None = None
    """The folder of the data sets. None is $HPO_DATA, or else ~/.cache/hpo."""
    max_crashes: int | None = None
    """The number of crashes in a row that end the search. None is 5, and 3 before the first epoch of the study."""
    try_first: Sequence[Config] = ()
    """The configurations that the search tries first. Hyperparameters that one lacks are chosen by the backend."""

    from_study: Source | None = None
    """The earlier study that informs the search, see `hpo.loop.earlier_study`."""

    curves: str | None = None
    """Where the runner `simulated` takes learning curves from: a CSV file, or a function as package.module:function."""

    curves_digest: str | None = None
    """A hash of the curves. It is set when the study begins."""

    report_timeout: float | None = None
    """The longest time without a report, in seconds. A trial that takes longer has hung, and crashes.

    It counts from the start of the trial or its last report, without the time in which data are prepared for the store.
    None and 0 are no limit.
    """

    devices_per_trial: int = 1
    """The number of devices that train each trial together. On the CPU, it is the number of processes."""

    runner_options: Mapping[str, Scalar] = field(default_factory=dict)
    """Options of the runner, such as `address: auto` of the runner `ray`."""

    predictions: bool = True
    """Whether the validation logits of each trial's best epoch are kept."""

    track: Sequence[str] = ()
    """The trackers that the search sends its trials to, such as `tensorboard` or `mlflow=http://127.0.0.1:5000`."""

    @property
    def runner_arguments(self) -> dict[str, Any]:
        """The keyword arguments of a runner's `build` that not all runners take, as far as they are set."""
        several = self.devices_per_trial if self.devices_per_trial > 1 else None
        options = {"report_timeout": self.report_timeout, "curves": self.curves, "devices_per_trial": several}
        given = {name: value for name, value in options.items() if value is not None}
        return {**given, **self.runner_options}

    @property
    def given_slots(self) -> int | None:
        """The number of slots on each device, if it is given. None if it is measured or the default of the runner."""
        return self.slots if isinstance(self.slots, int) else None

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, in the form of `study.yaml`."""
        source = self.from_study
        informed = None if source is None else {**asdict(source), "first": _listed(source.first)}
        options = {"options": dict(self.options), "runner_options": dict(self.runner_options)}
        plain = {**options, "try_first": _listed(self.try_first), "from_study": informed, "track": list(self.track)}
        return {**asdict(self), **plain}

    def __post_init__(self) -> None:
        source = self.from_study
        if isinstance(source, Mapping):  # it was read from `study.yaml`
            source = Source(**source)
        if isinstance(source, Source):
            source = replace(source, first=tuple(map(_plain_config, source.first)))
            object.__setattr__(self, "from_study", source)
        for name, (kinds, words) in _TYPES.items():
            value = _plain(getattr(self, name))
            object.__setattr__(self, name, value)
            if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
                raise UserError(f"{name} must be {words}, but is {value!r}")
        for name in ("options", "runner_options"):
            options = {str(key): _plain(value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, options)
            for key, value in options.items():
                if not isinstance(value, str | int | float | None):
                    raise UserError(f"{name}: {key} must be a plain value, but is {value!r}")
        object.__setattr__(self, "try_first", tuple(map(_plain_config, self.try_first)))
        object.__setattr__(self, "track", tuple(map(str, self.track)))
        if isinstance(self.slots, str) and self.slots != AUTO_SLOTS:
            raise UserError(f"slots must be a whole number of at least 1, or {AUTO_SLOTS!r}, but is {self.slots!r}")
        for name, least in (("seed", 0), ("slots", 1), ("max_crashes", 1), ("devices_per_trial", 1)):
            if isinstance(number := getattr(self, name), int) and number < least:
                raise UserError(f"{name} must be at least {least}, but is {number}")
        object.__setattr__(self, "report_timeout", self.report_timeout or None)
        if self.report_timeout is not None and not self.report_timeout > 0:
            raise UserError(f"report_timeout must be at least 0, but is {self.report_timeout}")


def _plain(value: Any) -> Any:
    """A scalar of NumPy or torch as a plain value, which YAML can hold. Any other value is returned as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _listed(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """Configurations with lists for tuples, as YAML holds them."""
    return [{name: with_lists(value) for name, value in config.items()} for config in configs]


def _plain_config(config: Any) -> Config:
    """A configuration with plain values, and tuples for lists. Raises a UserError if it is no dictionary."""
    if not isinstance(config, Mapping):
        raise UserError(f"try_first must hold dictionaries such as {{'lr': 0.01}}, but holds {config!r}")
    return {str(name): with_tuples(_plain(value)) for name, value in config.items()}


_TYPES: dict[str, tuple[type | UnionType, str]] = {
    "backend": (str, "the name of a backend"),
    "options": (Mapping, "a dictionary such as {'sampler': 'gp'}"),
    "runner_options": (Mapping, "a dictionary such as {'address': 'auto'}"),
    "seed": (int, "a whole number"),
    "runner": (str, "the name of a runner"),
    "devices": (str, "a text such as 'auto', 'cpu' or 'cuda:0,cuda:1'"),
    "slots": (int | str | None, "a whole number, 'auto' or None"),
    "max_crashes": (int | None, "a whole number or None"),
    "devices_per_trial": (int, "a whole number"),
    "storage": (str | None, "a URL or None"),
    "from_study": (Source | None, "a Source or None"),
    "report_timeout": (int | float | None, "a number of seconds or None"),
    "predictions": (bool, "True or False"),
    "data": (str | None, "the path of a folder or None"),
    "curves": (str | None, "the path of a CSV file, or the name of a function, such as 'package.module:function'"),
    "curves_digest": (str | None, "a hash, which is set when the study begins"),
    "track": (list | tuple, "a list of trackers such as ['tensorboard']"),
    "try_first": (list | tuple, "a list of dictionaries such as [{'lr': 0.01}]"),
}
"""The allowed types of the fields of Settings, and how a message names them."""
