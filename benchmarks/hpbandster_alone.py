"""HpBandSter's BOHB, its model and its brackets, without its server. A backend for `search_quality.py` alone.

`--backends benchmarks.hpbandster_alone`

As in its examples, a worker is told a budget and trains for it from the first epoch: what is promoted trains again, so
it is a new trial here. (The backend `bohb` goes on from the checkpoint.)
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from hpo.backends._backend import Answer
from hpo.space import Categorical, Domain, Int, SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion, Value


class HpBandSterAlone:
    """Asks the brackets for runs, in the way of HpBandSter's master."""

    def __init__(self, space: SearchSpace, optimizer: Any) -> None:
        self._space, self._optimizer = space, optimizer
        self._brackets: list[Any] = []
        self._numbers = count()
        self._runs: dict[int, tuple[Any, Any, Any, float]] = {}
        """The bracket, the key, the configuration and the budget of each running trial."""

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        for bracket in self._brackets:
            if (run := bracket.get_next_run()) is not None:
                return self._started(bracket, *run)
        self._brackets = [bracket for bracket in self._brackets if not bracket.is_finished]
        self._brackets.append(self._optimizer.next_bracket())
        return self._started(self._brackets[-1], *self._brackets[-1].get_next_run())

    def _started(self, bracket: Any, key: Any, native: Mapping[str, Any], budget: float) -> Suggestion:
        trial = next(self._numbers)
        self._runs[trial] = bracket, key, native, budget
        config = self._space.completed({}, lambda name: self._value(name, native[name]))
        return Suggestion(trial, config, until=max(1, round(budget)))

    def _value(self, name: str, native: Any) -> Value:
        domain = self._space.domains[name]
        if isinstance(domain, Categorical):
            return domain.value_at(int(native))
        value = min(max(float(native), domain.low), domain.high)
        return round(value) if isinstance(domain, Int) else value

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        bracket, key, native, budget = self._runs[event.trial]
        loss = math.inf
        if isinstance(event, Report):
            if not event.last and event.fidelity < round(budget):
                return {}
            loss = event.metrics[self._space.objective]
        from hpbandster.core.dispatcher import Job

        job = Job(key, config=native, budget=budget)
        job.result = {"loss": loss} if math.isfinite(loss) else None
        job.exception = None if math.isfinite(loss) else "diverged"
        bracket.register_result(job)
        self._optimizer.generator.new_result(job)
        del self._runs[event.trial]
        ended = isinstance(event, Crash) or event.last or event.fidelity >= self._space.fidelity.high
        return {} if ended else {event.trial: Decision.STOP}


class Brackets:
    """The sizes and budgets of the brackets, by the formulas of `hpbandster.optimizers.BOHB`."""

    def __init__(self, space: SearchSpace, generator: Any) -> None:
        fidelity = space.fidelity
        self.generator, self._eta, self._numbers = generator, fidelity.eta, count()
        self._n = -int(np.log(fidelity.low / fidelity.high) / np.log(fidelity.eta)) + 1
        self._budgets = fidelity.high * np.power(float(fidelity.eta), -np.linspace(self._n - 1, 0, self._n))

    def next_bracket(self) -> Any:
        """A new bracket of successive halving."""
        from hpbandster.optimizers.iterations import SuccessiveHalving

        index = next(self._numbers)
        s = self._n - 1 - index % self._n
        first = int(np.floor(self._n / (s + 1)) * self._eta**s)
        sizes = [max(int(first * self._eta ** (-i)), 1) for i in range(s + 1)]
        budgets = [float(budget) for budget in self._budgets[-s - 1 :]]
        return SuccessiveHalving(index, sizes, budgets, config_sampler=self.generator.get_config)


def build(space: SearchSpace, *, seed: int) -> HpBandSterAlone:
    """BOHB with the defaults of HpBandSter."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    from hpbandster.optimizers.config_generators.bohb import BOHB

    np.random.seed(seed)  # HpBandSter draws from the global state
    return HpBandSterAlone(space, Brackets(space, BOHB(configspace=_configspace(space, seed))))


def _configspace(space: SearchSpace, seed: int) -> Any:
    from ConfigSpace import (
        AndConjunction,
        CategoricalHyperparameter,
        ConfigurationSpace,
        InCondition,
        UniformFloatHyperparameter,
        UniformIntegerHyperparameter,
    )

    made = ConfigurationSpace(seed=seed)
    for name, domain in space.domains.items():
        if isinstance(domain, Categorical):
            made.add(CategoricalHyperparameter(name, list(range(domain.n_values))))
            continue
        kind = UniformIntegerHyperparameter if isinstance(domain, Int) else UniformFloatHyperparameter
        made.add(kind(name, domain.low, domain.high, log=domain.log))
    for name, domain in space.domains.items():
        conditions = [
            InCondition(made[name], made[parent], _positions(space.domains[parent], allowed))
            for parent, allowed in domain.when.items()
        ]
        if conditions:
            made.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return made


def _positions(parent: Domain, allowed: Sequence[Value]) -> list[int]:
    """The positions of values among the choices of a domain. Only choices have conditions that depend on them."""
    assert isinstance(parent, Categorical)
    return [parent.index_of(value) for value in allowed]
