"""ASHA: a trial stops at a rung unless it is among the best 1/eta of the trials that have reached this rung so far.

Ray Tune's AsyncHyperBandScheduler takes the decisions. It runs without a Ray cluster.

Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar, A System for Massively Parallel
Hyperparameter Tuning, MLSys 2020.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from hpo.backends import optuna
from hpo.backends._backend import Backend
from hpo.backends._configurations import Configurations
from hpo.backends._options import needs, one_of, reject_unknown, seed32, whole_number
from hpo.backends._prior import sample
from hpo.backends._random_state import with_random_state
from hpo.backends._sorted_rungs import with_sorted_rungs
from hpo.backends._stopping import Searcher, StoppingBackend, library_max_step, library_steps
from hpo.backends.bohb import bracket_sizes
from hpo.space import SearchSpace
from hpo.trial import Config

if TYPE_CHECKING:
    from ray.tune.schedulers import AsyncHyperBandScheduler


def build(space: SearchSpace, *, seed: int, searcher: str = "random", brackets: int = 1, **unknown: object) -> Backend:
    """ASHA over `space`.

    Args:
        space: what to search. The rungs are those of its fidelity.
        seed: the seed of the searcher and of the random choice of brackets.
        searcher: what draws configurations. `random` as in the paper, or `tpe`, Optuna's TPE, which also learns from
            stopped trials.
        brackets: the number of brackets, at most that of the rungs. Bracket k stops trials from rung k on (both are
            counted from 0). Most trials enter bracket 0.
        unknown: options that ASHA does not have. They raise UnknownName.

    Raises UserError if an option is wrong, or if Ray is not installed.
    """
    reject_unknown("asha", unknown, ("searcher", "brackets"))
    chosen = one_of("searcher", searcher, ("random", "tpe"))
    whole_number("brackets", brackets, 1, len(space.fidelity.rungs()))
    seed32(seed)
    with needs("asha"):
        from ray.tune.schedulers import async_hyperband
    # Ray draws the bracket of a trial from numpy's global state, even if there is only one.
    ray = with_random_state(async_hyperband, np.random.RandomState(0))
    vars(ray)["_Bracket"] = with_sorted_rungs(vars(ray)["_Bracket"])
    schedulers = [
        ray.AsyncHyperBandScheduler(
            time_attr="time",
            metric="loss",
            mode="min",
            max_t=library_max_step(space.fidelity),
            grace_period=space.fidelity.eta**bracket,
            reduction_factor=space.fidelity.eta,
        )
        for bracket in range(brackets)
    ]
    draws: Searcher = _RandomSearcher(space, seed) if chosen == "random" else optuna.tpe(space, seed=seed)
    stopper = _RayPruner(schedulers, random.Random(f"brackets {seed}"))
    return StoppingBackend(space, library_steps(space.fidelity), draws, stopper)


def round_brackets(n_rungs: int, eta: int, options: Mapping[str, object]) -> list[tuple[int, ...]]:
    """The sizes of the brackets of one round, see `hpo.backends._backend`. Its top rung has one trial."""
    n_brackets = options.get("brackets", 1)
    if not isinstance(n_brackets, int) or not 1 <= n_brackets <= n_rungs:
        return []
    return [bracket_sizes(0, n_rungs - bracket, eta) for bracket in range(n_brackets)]


class _RandomSearcher:
    """Draws independent random configurations, which follow the priors of the space. It ignores all losses."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space, self._rng = space, random.Random(seed)
        self.configurations = Configurations(space, seed, uses_priors=True)

    def suggest(self) -> Config:
        return self.configurations.next(lambda: sample(self._space, self._rng))

    def suggest_again(self, recorded: Config) -> Config:
        return self.suggest()

    def observe(self, trial: int, step: int, loss: float) -> None: ...

    def end(self, trial: int, loss: float, *, stopped: bool) -> None: ...


class _RayPruner:
    """One Ray scheduler for each bracket.

    A Ray scheduler can hold several brackets, but it draws and hides the bracket of a trial. Here the bracket is drawn
    outside, so that it is reproducible and can be recorded.
    """

    def __init__(self, schedulers: list[AsyncHyperBandScheduler], rng: random.Random) -> None:
        self._schedulers = schedulers
        self._rng = rng
        self._brackets: dict[int, int] = {}

    def begin(self, trial: int) -> int:
        """Add a trial to a random bracket. The probability of bracket k is proportional to e**-k, as in Ray."""
        weights = [math.exp(-k) for k in range(len(self._schedulers))]
        bracket = self._rng.choices(range(len(weights)), weights)[0]
        self._brackets[trial] = bracket
        self._schedulers[bracket].on_trial_add(None, _ray_trial(trial))
        return bracket

    def stops(self, trial: int, step: int, loss: float) -> bool:
        scheduler = self._schedulers[self._brackets[trial]]
        result: Mapping[str, float] = {"time": step, "loss": loss}
        return bool(scheduler.on_trial_result(None, _ray_trial(trial), result) == scheduler.STOP)

    def end(self, trial: int, *, stopped: bool) -> None:
        self._schedulers[self._brackets.pop(trial)].on_trial_remove(None, _ray_trial(trial))


def _ray_trial(trial: int) -> SimpleNamespace:
    """A stand-in for a Ray trial, with the only attribute that the schedulers read."""
    return SimpleNamespace(trial_id=str(trial))
