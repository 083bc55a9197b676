"""The check that a study can train each trial on several devices: its runner and all its regimes must be able to."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from hpo import plugins
from hpo.errors import UserError
from hpo.plugins.traits import is_data_parallel
from hpo.space import SearchSpace
from hpo.training.user_code import Build

REGIMES = "trainables.regimes"
NAME = "devices_per_trial"


def check(n_devices: int, runner: str, space: SearchSpace, trainable: Build | None) -> None:
    """Raise a UserError if trials cannot be trained on `n_devices` devices each, which is above 1.

    It names those that can.
    """
    if trainable is not None:
        raise UserError(f"{NAME} {n_devices}: training code of your own trains on one device (allowed: 1)")
    if not _takes_several(runner):
        able = _listed(name for name in plugins.names(plugins.RUNNERS) if _is_installed(name) and _takes_several(name))
        raise UserError(f"{NAME} {n_devices}: the runner {runner} trains a trial on one device (allowed: {able})")
    for regime in _regimes(space):
        if not is_data_parallel(plugins.module_name(REGIMES, regime), plugins.find):
            able = _listed(
                name for name, module in plugins.names(REGIMES).items() if is_data_parallel(module, plugins.find)
            )
            raise UserError(f"{NAME} {n_devices}: the regime {regime} trains on one device (allowed: {able})")


def _takes_several(runner: str) -> bool:
    return NAME in inspect.signature(plugins.load(plugins.RUNNERS, runner).build).parameters


def _is_installed(runner: str) -> bool:
    """Whether all packages that a runner needs are installed."""
    try:
        plugins.load(plugins.RUNNERS, runner)
    except UserError:
        return False
    return True


def _regimes(space: SearchSpace) -> list[str]:
    """The regimes of a space."""
    if "regime" in space.domains:
        return [str(name) for name in getattr(space.domains["regime"], "choices", ())]
    return [] if space.task.regime is None else [space.task.regime]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
