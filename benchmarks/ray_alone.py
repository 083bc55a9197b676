"""Ray Tune's ASHA scheduler with random search, told every epoch, as Ray does. A backend for `search_quality.py` alone.

`--backends benchmarks.ray_alone`
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np

from hpo.backends._backend import Answer
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion


class RayAlone:
    """Random configurations, which Ray's scheduler stops."""

    def __init__(self, space: SearchSpace, scheduler: Any, seed: int) -> None:
        self._space, self._scheduler = space, scheduler
        self._rng, self._numbers = random.Random(seed), count()
        self._running: dict[int, SimpleNamespace] = {}

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        trial = next(self._numbers)
        self._running[trial] = SimpleNamespace(trial_id=str(trial))  # all that the scheduler reads
        self._scheduler.on_trial_add(None, self._running[trial])
        return Suggestion(trial, self._space.sample(self._rng), until=self._space.fidelity.high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        trial, ended = self._running[event.trial], True
        if isinstance(event, Report):
            result = {"training_iteration": event.fidelity, "loss": event.metrics[self._space.objective]}
            ended = event.last or event.fidelity >= self._space.fidelity.high
            if ended:
                self._scheduler.on_trial_complete(None, trial, result)
            elif self._scheduler.on_trial_result(None, trial, result) == self._scheduler.STOP:
                del self._running[event.trial]
                return {event.trial: Decision.STOP}
        if ended:
            del self._running[event.trial]
        return {}


def build(space: SearchSpace, *, seed: int) -> RayAlone:
    """ASHA with one bracket, over the epochs of the space's fidelity."""
    warnings.simplefilter("ignore")
    from ray.tune.schedulers import AsyncHyperBandScheduler

    np.random.seed(seed)  # the scheduler draws brackets from it, even if there is only one
    fidelity = space.fidelity
    scheduler = AsyncHyperBandScheduler(
        time_attr="training_iteration",
        metric="loss",
        mode="min",
        max_t=fidelity.high,
        grace_period=fidelity.low,
        reduction_factor=fidelity.eta,
    )
    return RayAlone(space, scheduler, seed)
