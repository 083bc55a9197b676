"""The settings of a study: what it may spend, and how it is searched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hpo.errors import Mistake
from hpo.trial import Scalar


@dataclass(frozen=True)
class Budget:
    """What a study may spend, over all its runs; None is no limit."""

    trials: int | None = None
    epochs: int | None = None
    """Epochs of training, over all trials."""
    seconds: float | None = None
    """Wall time of the search."""

    def __post_init__(self) -> None:
        for name in ("trials", "epochs", "seconds"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise Mistake(f"a budget of {value} {name}: at least 0 is allowed")

    def or_default(self) -> Budget:
        """This budget; 64 trials where nothing was said."""
        return self if self != Budget() else Budget(trials=64)


def data_folder(given: str | None = None) -> Path:
    """The folder of the data sets and weights: as given, else $HPO_DATA, else ~/.cache/hpo."""
    return Path(given or os.environ.get("HPO_DATA") or "~/.cache/hpo").expanduser()


@dataclass(frozen=True)
class Settings:
    """Everything that says how a study is searched; `study.yaml` holds it."""

    backend: str = "optuna"
    options: Mapping[str, Scalar] = field(default_factory=dict)
    """Options of the backend, such as `sampler: gp`."""
    seed: int = 0
    """Decides the backend's draws, and with the trial's number the seed of each trial."""
    runner: str = "processes"
    """A runner by name, or auto for the one that suits the space."""
    devices: str = "auto"
    """auto, cpu, or a list such as cuda:0,cuda:1."""
    slots: int | None = None
    """Trials at once on each device; None is what the runner holds right.

    processes: one on a GPU, one a core on the CPU. fused: 64 and 16.
    """
    storage: str | None = None
    """The URL of an Optuna storage; None is the journal in the study's folder."""
    data: str | None = None
    """The folder of the data sets; None is $HPO_DATA, else ~/.cache/hpo."""
