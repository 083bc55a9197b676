"""HpBandSter's model and brackets, adapted for the BOHB backend, and the conversion of a space for them.

HpBandSter searches a unit cube. Each range becomes the interval from 0 to 1, and each choice its position in the list
of choices. So ConfigSpace neither rounds our values nor compares them in its own way. Two defects are corrected:

- HpBandSter estimates the bandwidths of choices as if these were numbers. A choice that is common among the good
  configurations may then become less likely than all others. It also counts only the choices that it has seen, and
  divides by zero if it has seen only one. Here a bandwidth is limited to that of the uniform distribution, and the
  number of choices is taken from the space.
- The order of equal losses must not depend on the machine. Here the earlier trial is promoted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from ConfigSpace import (
    AndConjunction,
    CategoricalHyperparameter,
    ConfigurationSpace,
    InCondition,
    UniformFloatHyperparameter,
)
from hpbandster.core.dispatcher import Job
from hpbandster.optimizers.config_generators import bohb
from hpbandster.optimizers.iterations import SuccessiveHalving
from numpy.typing import NDArray
from statsmodels.nonparametric.kernels import aitchison_aitken, gaussian

from hpo.backends._configurations import Configurations
from hpo.backends._quiet import ignored_warnings
from hpo.backends._random_state import with_random_state
from hpo.space import Categorical, Domain, Float, Int, SearchSpace
from hpo.space.values import is_one_of
from hpo.trial import Config, Scalar, Value

Native = Mapping[str, Any]
"""A configuration in the form of HpBandSter: positions in the unit cube and positions of choices."""

Key = tuple[int, int, int]
"""The identifier of a trial in HpBandSter: its bracket, the rung at which it began, and its position there."""


class SuggestionInfo(NamedTuple):
    """What HpBandSter keeps with the configuration of a trial."""

    config: Config
    """The configuration as one of our space."""
    notes: Mapping[str, Scalar]
    """The notes of the suggestion."""


class Model:
    """BOHB's model of the space: at each rung, a density of the good configurations and one of the bad ones."""

    def __init__(self, space: SearchSpace, seed: int, options: Mapping[str, object]) -> None:
        self._space = space
        self.configurations = Configurations(space, seed)
        with _quiet():
            self._generator = _generator(np.random.RandomState(seed), _configspace(space, seed), options)

    def halving(self, index: int, sizes: Sequence[int], rungs: Sequence[int]) -> Halving:
        """Bracket number `index`, whose configurations come from this model.

        `sizes` are the numbers of trials at its rungs, `rungs` the epochs of the rungs.
        """
        return Halving(index, list(sizes), rungs, config_sampler=self.suggest)

    def suggest(self, rung: int) -> tuple[Native, SuggestionInfo]:
        """A configuration for a trial that starts at the rung with this epoch, and whether the model picked it.

        It is the next one of `configurations`. At least one must be left.
        """
        draws: list[tuple[Native, Config, bool]] = []

        def draw() -> Config:
            with _quiet():
                native, info = self._generator.get_config(rung)
            draws.append((native, self._config(native), bool(info["model_based_pick"])))
            return draws[-1][1]

        config = self.configurations.next(draw)
        for native, drawn, is_model_based in draws:
            if drawn == config:
                return native, SuggestionInfo(config, {"model_based_pick": is_model_based})
        return self._native(config), SuggestionInfo(config, {"model_based_pick": False})

    def learn(self, job: Job) -> None:
        """Update the model with the loss of a configuration at a rung."""
        with _quiet():
            self._generator.new_result(job)

    def _config(self, native: Native) -> Config:
        """Convert a configuration of HpBandSter into one of our space."""
        return {name: _value(domain, native[name]) for name, domain in self._space.domains.items() if name in native}

    def _native(self, config: Config) -> Native:
        """Convert a configuration of our space into one of HpBandSter."""
        return {name: _position(self._space.domains[name], value) for name, value in config.items()}


class Halving(SuccessiveHalving):  # type: ignore[misc]
    """One bracket of Hyperband. Its properties can be read without changing it, unlike HpBandSter's `get_next_run`."""

    @property
    def queued(self) -> list[Key]:
        """The trials that are promoted but not yet running again."""
        return [key for key, datum in self.data.items() if datum.status == "QUEUED"]

    @property
    def has_vacancy(self) -> bool:
        """Whether the current rung needs new configurations. The first rung does, and after crashes a later one may."""
        return bool(not self.is_finished and self.actual_num_configs[self.stage] < self.num_configs[self.stage])

    @property
    def rung_is_complete(self) -> bool:
        """Whether all results of the current rung are there."""
        return not (self.is_finished or self.num_running or self.queued or self.has_vacancy)

    def may_promote(self, *, is_closed: bool) -> bool:
        """Whether the results of the running trials can lead to a promotion without any new trial.

        `is_closed` says that vacancies will not be filled.
        """
        is_full = is_closed or not self.has_vacancy
        return bool(self.num_running and is_full and self.stage + 1 < len(self.num_configs))

    def close(self) -> None:
        """Leave the vacancies of the current rung empty, because no configuration is left for them."""
        if self.has_vacancy:
            self.num_configs[self.stage] = self.actual_num_configs[self.stage]

    def is_eliminated(self, key: Key) -> bool:
        """Whether a trial will never run again."""
        return self.data[key].status not in ("QUEUED", "RUNNING", "REVIEW")

    def mark_running(self, key: Key) -> None:
        """Mark a queued trial as running."""
        self.data[key].status = "RUNNING"
        self.num_running += 1

    def record_loss(self, key: Key, loss: float) -> Job:
        """Record the loss of a running trial at its rung. Returns the job from which the model learns."""
        datum = self.data[key]
        job = Job(key, config=datum.config, budget=datum.budget)
        job.result = {"loss": loss}
        self.register_result(job)
        return job

    def _advance_to_next_stage(self, config_ids: Sequence[Key], losses: NDArray[np.float64]) -> NDArray[np.bool_]:
        ranks = np.argsort(np.argsort(losses, kind="stable"), kind="stable")
        return np.asarray(ranks < self.num_configs[self.stage])


class _Density:
    """A kernel density over ranges and choices, which replaces one of statsmodels. See the top of the file.

    HpBandSter reads `data`, `bw` and `pdf`.
    """

    def __init__(self, estimate: Any, n_levels: NDArray[np.int_]) -> None:
        """`n_levels` is, for each hyperparameter, the number of choices, or 0 for a range."""
        # At this bandwidth the Aitchison-Aitken kernel is the uniform distribution.
        max_bandwidths = np.where(n_levels > 0, 1 - 1 / np.maximum(n_levels, 1), np.inf)
        self.data: NDArray[np.float64] = estimate.data
        self.bw: NDArray[np.float64] = np.minimum(estimate.bw, max_bandwidths)
        self._n_levels = n_levels

    def pdf(self, vector: Sequence[float]) -> float:
        columns = zip(self.bw, self.data.T, vector, self._n_levels, strict=True)
        kernels = [
            aitchison_aitken(width, column, value, n_levels) if n_levels else gaussian(width, column, value) / width
            for width, column, value, n_levels in columns
            if n_levels != 1
        ]
        return float(np.mean(np.prod(kernels, axis=0)))


def _generator(
    random_state: np.random.RandomState, configspace: ConfigurationSpace, options: Mapping[str, object]
) -> Any:
    """HpBandSter's generator of configurations, with the densities of this file. It draws from `random_state`."""
    module = with_random_state(bohb, random_state)

    class Generator(module.BOHB):  # type: ignore[misc, name-defined]
        def new_result(self, job: Job, update_model: bool = True) -> None:
            super().new_result(job, update_model)
            for pair in self.kde_models.values():
                for side, estimate in pair.items():
                    if not isinstance(estimate, _Density):
                        pair[side] = _Density(estimate, self.vartypes)

    return Generator(configspace=configspace, **options)


def _quiet() -> AbstractContextManager[None]:
    """Hide the warnings about deprecated functions of ConfigSpace and statsmodels that HpBandSter calls."""
    return ignored_warnings(DeprecationWarning, FutureWarning)


def _configspace(space: SearchSpace, seed: int) -> ConfigurationSpace:
    """The space for HpBandSter: a unit cube, with the conditions of the space."""
    configspace = ConfigurationSpace(seed=seed)
    for name, domain in space.domains.items():
        values = _choice_positions(domain)
        configspace.add(
            UniformFloatHyperparameter(name, 0.0, 1.0) if values is None else CategoricalHyperparameter(name, values)
        )
    for name, domain in space.domains.items():
        conditions = [
            InCondition(configspace[name], configspace[parent], _allowed_positions(space.domains[parent], allowed))
            for parent, allowed in domain.when.items()
        ]
        if conditions:
            configspace.add(conditions[0] if len(conditions) == 1 else AndConjunction(*conditions))
    return configspace


def _choice_positions(domain: Domain) -> list[int] | None:
    """The positions of the choices of a domain. A range of a single value has one choice; another range gives None."""
    if isinstance(domain, Categorical):
        return list(range(len(domain.choices)))
    return [0] if domain.low == domain.high else None


def _allowed_positions(parent: Domain, allowed: Sequence[Value]) -> list[int]:
    """The positions of those choices of a parent that make a child active."""
    assert isinstance(parent, Categorical)
    return [position for position, choice in enumerate(parent.choices) if is_one_of(choice, allowed)]


def _value(domain: Domain, native: Any) -> Value:
    """Convert a value of HpBandSter into a value of a domain."""
    if isinstance(domain, Categorical):
        return domain.choices[int(native)]
    if domain.low == domain.high:
        return domain.low
    return _value_at(domain, float(native))


def _position(domain: Domain, value: Value) -> float | int:
    """Convert a value of a domain into one of HpBandSter. It reverses `_value`."""
    if isinstance(domain, Categorical):
        return domain.index_of(value)
    if domain.low == domain.high:
        return 0
    low, high = _scale(domain)
    assert isinstance(value, int | float)
    scaled = math.log(value) if domain.log else float(value)
    return min(max((scaled - low) / (high - low), 0.0), 1.0)


def _value_at(domain: Float | Int, unit: float) -> float | int:
    """The value at the position `unit`, from 0 to 1, on the linear or logarithmic scale of a range."""
    low, high = _scale(domain)
    value = (1 - unit) * low + unit * high
    value = min(max(math.exp(value) if domain.log else value, domain.low), domain.high)
    if domain.step is not None:
        return domain.value_at(domain.index_of(value))
    return round(value) if isinstance(domain, Int) else value


def _scale(domain: Float | Int) -> tuple[float, float]:
    """The ends of a range on its linear or logarithmic scale.

    A range of whole numbers, or with a step, is half a step wider on both sides. So the rounding gives `low` and `high`
    as large a share as the values between them.
    """
    margin = (domain.step or (1 if isinstance(domain, Int) else 0)) / 2
    low, high = domain.low - margin, domain.high + margin
    return (math.log(low), math.log(high)) if domain.log else (low, high)
