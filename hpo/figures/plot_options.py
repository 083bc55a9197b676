"""What a figure shows: the options of `plot`, and the labels of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpo.record import configuration
from hpo.trial import Config


@dataclass(frozen=True)
class PlotOptions:
    """What a figure shows. `plot` explains the options."""

    trials: Sequence[int] = ()
    top: int | None = None
    stage: str | None = None
    image: str | None = None
    skip_changed_files: bool = False


def labels(configs: Mapping[int, Config]) -> list[str]:
    """Return a label for each trial: its number, and its hyperparameters that differ between the trials."""
    first = next(iter(configs.values()))
    keys = {key: None for config in configs.values() for key in config}
    differing = [key for key in keys if any(_differ(first, config, key) for config in configs.values())]
    texts = {
        n: configuration({key: config[key] for key in differing if key in config}) for n, config in configs.items()
    }
    return [f"trial {number}: {text}" if text else f"trial {number}" for number, text in texts.items()]


def _differ(config: Config, other: Config, key: str) -> bool:
    return (key in config, config.get(key)) != (key in other, other.get(key))
