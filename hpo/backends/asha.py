"""ASHA: a trial is stopped at a rung unless it is among the best 1/eta that reached it so far.

The decisions are those of Ray Tune's AsyncHyperBandScheduler, taken without a Ray cluster.
Li, Jamieson, Rostamizadeh, Gonina, Hardt, Recht, Talwalkar, A System for Massively Parallel
Hyperparameter Tuning, MLSys 2020.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING

from hpo.backends import optuna
from hpo.backends._backend import Backend
from hpo.backends._numpy_state import OwnNumpyState
from hpo.backends._options import needs, no_others, one_of, seed32, whole
from hpo.backends._stopping import Searcher, Stopping, end_time, rung_times
from hpo.space import SearchSpace
from hpo.trial import Config

if TYPE_CHECKING:
    from ray.tune.schedulers import AsyncHyperBandScheduler


def build(space: SearchSpace, *, seed: int, searcher: str = "random", brackets: int = 1, **unknown: object) -> Backend:
    """ASHA over `space`.

    Args:
        space: what to search; the rungs are those of its fidelity.
        seed: of the searcher, and of the draw of brackets.
        searcher: random as in the paper, or tpe: Optuna's, which learns from stopped trials too.
        brackets: bracket s decides for the first time at rung s; most trials enter the first.
    """
    no_others(unknown, ("searcher", "brackets"))
    chosen = one_of("searcher", searcher, ("random", "tpe"))
    whole("brackets", brackets, 1, len(space.fidelity.rungs()))
    seed32(seed)
    with needs("asha"):
        from ray.tune.schedulers import AsyncHyperBandScheduler
    schedulers = [
        AsyncHyperBandScheduler(
            time_attr="time",
            metric="loss",
            mode="min",
            max_t=end_time(space.fidelity),
            grace_period=space.fidelity.eta**s,
            reduction_factor=space.fidelity.eta,
        )
        for s in range(brackets)
    ]
    draws: Searcher = _Draws(space, random.Random(seed)) if chosen == "random" else optuna.tpe(space, seed=seed)
    return Stopping(
        space, rung_times(space.fidelity), draws, _Schedulers(schedulers, random.Random(f"brackets {seed}"))
    )


class _Draws:
    """Independent configurations, whatever was observed."""

    def __init__(self, space: SearchSpace, rng: random.Random) -> None:
        self._space, self._rng = space, rng

    def suggest(self) -> Config:
        return self._space.sample(self._rng)

    def observe(self, trial: int, time: int, loss: float) -> None: ...

    def end(self, trial: int, loss: float, *, stopped: bool) -> None: ...


class _Schedulers:
    """One of Ray's schedulers a bracket, so that the bracket of a trial is ours to draw and to tell."""

    def __init__(self, schedulers: list[AsyncHyperBandScheduler], rng: random.Random) -> None:
        self._schedulers = schedulers
        self._rng = rng
        self._numpy = OwnNumpyState(0)
        self._brackets: dict[int, int] = {}

    def begin(self, trial: int) -> int:
        """Enter a trial into bracket s with a probability in proportion to e**-s, as Ray does among its own."""
        weights = [math.exp(-s) for s in range(len(self._schedulers))]
        bracket = self._rng.choices(range(len(weights)), weights)[0]
        self._brackets[trial] = bracket
        with self._numpy:
            self._schedulers[bracket].on_trial_add(None, _as_ray(trial))
        return bracket

    def stops(self, trial: int, time: int, loss: float) -> bool:
        scheduler = self._schedulers[self._brackets[trial]]
        result: Mapping[str, float] = {"time": time, "loss": loss}
        return bool(scheduler.on_trial_result(None, _as_ray(trial), result) == scheduler.STOP)

    def end(self, trial: int) -> None:
        self._schedulers[self._brackets.pop(trial)].on_trial_remove(None, _as_ray(trial))


def _as_ray(trial: int) -> SimpleNamespace:
    """As much of a Ray trial as a scheduler looks at."""
    return SimpleNamespace(trial_id=str(trial))
