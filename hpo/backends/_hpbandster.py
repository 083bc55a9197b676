"""HpBandSter's parts for the BOHB backend: its model, its brackets, and our space in its terms.

HpBandSter searches a unit cube: each range is the interval from 0 to 1 and each choice a position in its
list, so neither ConfigSpace's rounding nor its notion of equal values reaches ours. Two things are mended:

- HpBandSter estimates its bandwidths as if choices were numbers, which may make a category that is
  common among the good configurations less likely than any other, and it counts only the levels that it
  has seen, so that one level divides by zero. Here bandwidths end at the uniform distribution, and
  the levels are those of the space.
- Of equal losses, the earlier trial is promoted, on every machine.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
)
from hpbandster.core.dispatcher import Job
from hpbandster.optimizers.config_generators.bohb import BOHB
from hpbandster.optimizers.iterations import SuccessiveHalving
from numpy.typing import NDArray
from statsmodels.nonparametric.kernels import aitchison_aitken, gaussian

from hpo.backends._numpy_state import OwnNumpyState
from hpo.space import Categorical, Domain, Float, Int, SearchSpace
from hpo.space.values import holds
from hpo.trial import Config, Scalar

Native = Mapping[str, Any]
"""A configuration in HpBandSter's terms."""

Key = tuple[int, int, int]
"""A trial in HpBandSter's terms: bracket, rung at which it began, position there."""


class Model:
    """BOHB's model of the space: one pair of densities a rung, of good and of bad configurations."""

    def __init__(self, space: SearchSpace, seed: int, options: Mapping[str, object]) -> None:
        self._space = space
        self._numpy = OwnNumpyState(seed)
        with self._quiet():
            self._generator = _Generator(configspace=_configspace(space, seed), **options)

    def halving(self, index: int, sizes: Sequence[int], rungs: Sequence[int]) -> Halving:
        """Bracket number `index`, of so many trials at these rungs, filled by this model."""
        return Halving(index, sizes, rungs, config_sampler=self.suggest)

    def suggest(self, rung: int) -> tuple[Native, dict[str, Scalar]]:
        """A configuration for a trial that starts at `rung`, and whether the model picked it."""
        with self._numpy, self._quiet():
            native, info = self._generator.get_config(rung)
        return native, {"model_based_pick": bool(info["model_based_pick"])}

    def learn(self, job: Job) -> None:
        """Take in the loss of a configuration at a rung."""
        with self._numpy, self._quiet():
            self._generator.new_result(job)

    @staticmethod
    @contextmanager
    def _quiet() -> Iterator[None]:
        """HpBandSter calls ConfigSpace and statsmodels by ways that they are about to give up."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)
            yield

    def config(self, native: Native) -> Config:
        """A configuration in our terms."""
        return {name: _value(domain, native[name]) for name, domain in self._space.domains.items() if name in native}


class Halving(SuccessiveHalving):  # type: ignore[misc]
    """One bracket. What it says of itself changes nothing in it, as HpBandSter's own questions would."""

    @property
    def queued(self) -> list[Key]:
        """The trials whose promotion waits to be handed out."""
        return [key for key, datum in self.data.items() if datum.status == "QUEUED"]

    @property
    def vacant(self) -> bool:
        """Whether the current rung takes new configurations: the first does, and one that crashes left short."""
        return bool(not self.is_finished and self.actual_num_configs[self.stage] < self.num_configs[self.stage])

    @property
    def complete(self) -> bool:
        """Whether nothing more is to come at the current rung."""
        return not (self.is_finished or self.num_running or self.queued or self.vacant)

    @property
    def promising(self) -> bool:
        """Whether the trials that run may bring a promotion, without new ones."""
        return bool(self.num_running and not self.vacant and self.stage + 1 < len(self.num_configs))

    def is_out(self, key: Key) -> bool:
        """Whether a trial will never run again."""
        return self.data[key].status not in ("QUEUED", "RUNNING", "REVIEW")

    def begin(self, key: Key) -> None:
        """Let a queued trial count as running."""
        self.data[key].status = "RUNNING"
        self.num_running += 1

    def enter(self, key: Key, loss: float) -> Job:
        """Enter the loss of a running trial at its rung; return what the model learns from."""
        datum = self.data[key]
        job = Job(key, config=datum.config, budget=datum.budget)
        job.result = {"loss": loss}
        self.register_result(job)
        return job

    def _advance_to_next_stage(self, config_ids: Sequence[Key], losses: NDArray[np.float64]) -> NDArray[np.bool_]:
        ranks = np.argsort(np.argsort(losses, kind="stable"), kind="stable")
        return np.asarray(ranks < self.num_configs[self.stage])


class _Density:
    """A kernel density over ranges and categories, in place of one of statsmodels'."""

    def __init__(self, estimate: Any, levels: NDArray[np.int_]) -> None:
        uniform = np.where(levels > 0, 1 - 1 / np.maximum(levels, 1), np.inf)
        self.data: NDArray[np.float64] = estimate.data
        self.bw: NDArray[np.float64] = np.minimum(estimate.bw, uniform)
        self._levels = levels

    def pdf(self, vector: Sequence[float]) -> float:
        columns = zip(self.bw, self.data.T, vector, self._levels, strict=True)
        kernels = [
            aitchison_aitken(width, column, value, levels) if levels else gaussian(width, column, value) / width
            for width, column, value, levels in columns
            if levels != 1
        ]
        return float(np.mean(np.prod(kernels, axis=0)))


class _Generator(BOHB):  # type: ignore[misc]
    """HpBandSter's generator of configurations, with our densities."""

    def new_result(self, job: Job, update_model: bool = True) -> None:
        super().new_result(job, update_model)
        for pair in self.kde_models.values():
            for side, estimate in pair.items():
                if not isinstance(estimate, _Density):
                    pair[side] = _Density(estimate, self.vartypes)


def _configspace(space: SearchSpace, seed: int) -> ConfigurationSpace:
    configspace = ConfigurationSpace(seed=seed)
    for name, domain in space.domains.items():
        values = _positions(domain)
        configspace.add(
            UniformFloatHyperparameter(name, 0.0, 1.0) if values is None else CategoricalHyperparameter(name, values)
        )
    for name, domain in space.domains.items():
        conditions = [
            InCondition(configspace[name], configspace[parent], _allowed(space.domains[parent], allowed))
            for parent, allowed in domain.when.items()
        ]
        if conditions:
            configspace.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return configspace


def _positions(domain: Domain) -> list[int] | None:
    """The positions of the choices; one for a range of one value; None for any other range."""
    if isinstance(domain, Categorical):
        return list(range(len(domain.choices)))
    return [0] if domain.low == domain.high else None


def _allowed(parent: Domain, allowed: Sequence[Scalar]) -> list[int]:
    assert isinstance(parent, Categorical)
    return [position for position, choice in enumerate(parent.choices) if holds(choice, allowed)]


def _value(domain: Domain, native: Any) -> Scalar:
    if isinstance(domain, Categorical):
        return domain.choices[int(native)]
    if domain.low == domain.high:
        return domain.low
    return _at(domain, float(native))


def _at(domain: Float | Int, unit: float) -> float | int:
    """The value at `unit`, from 0 to 1 along the scale of the range; each whole number has an equal share."""
    margin = 0.5 if isinstance(domain, Int) else 0.0
    low, high = domain.low - margin, domain.high + margin
    if domain.log:
        value = math.exp((1 - unit) * math.log(low) + unit * math.log(high))
    else:
        value = (1 - unit) * low + unit * high
    value = min(max(value, domain.low), domain.high)
    return round(value) if isinstance(domain, Int) else value
