"""Budget and Settings: how long a study may run, and how it searches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo.errors import UserError
from hpo.trial import Scalar


@dataclass(frozen=True)
class Budget:
    """The budget of a study, over all its runs. None is no limit. Raises a UserError if a value is negative."""

    trials: int | None = None
    """The number of trials."""
    epochs: int | None = None
    """The number of epochs, over all trials."""
    seconds: float | None = None
    """The wall time of the search, in seconds."""

    def __post_init__(self) -> None:
        for name in ("trials", "epochs", "seconds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UserError(f"the budget of {name} must be at least 0, but is {value}")

    def or_default(self) -> Budget:
        """Return this budget, or 64 trials if no limit is set."""
        return self if self != Budget() else Budget(trials=64)


def data_folder(given: str | None = None) -> Path:
    """The folder of the data sets and weights: `given`, or else $HPO_DATA, or else ~/.cache/hpo."""
    return Path(given or os.environ.get("HPO_DATA") or "~/.cache/hpo").expanduser()


@dataclass(frozen=True)
class Settings:
    """The settings of a search. They are stored in `study.yaml`."""

    backend: str = "optuna"
    """The name of the backend."""
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Options of the backend, such as `sampler: gp`."""
    seed: int = 0
    """The seed of the backend. The seed of each trial follows from it and from the number of the trial."""
    runner: str = "processes"
    """The name of the runner, or `auto` for the one that suits the search space."""
    devices: str = "auto"
    """`auto`, `cpu`, or a list such as `cuda:0,cuda:1`."""
    slots: int | None = None
    """The number of trials at once on each device. None is the default of the runner.

    The default of `processes` is 1 on a GPU, and 1 for each core on the CPU. The default of `fused` is 16 on a GPU, and
    8 on the CPU.
    """
    storage: str | None = None
    """The URL of an Optuna storage. None is the journal in the study's folder."""
    data: str | None = None
    """The folder of the data sets. None is $HPO_DATA, or else ~/.cache/hpo."""
