"""A sampler of Optuna that repeats no configuration, and the values of a domain as values of Optuna."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from importlib import import_module
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from hpo.backends._configurations import Configurations
from hpo.space import Categorical, Domain, Int, SearchSpace
from hpo.trial import Config, Value


class SamplerWithoutRepeats(BaseSampler):
    """Gives a new Optuna trial the next one of `configurations`, which asks the sampler of the trial for its draws.

    For Optuna the whole configuration is sampled at once, so that a repeat is found before the trial has any value.
    """

    def __init__(
        self,
        space: SearchSpace,
        configurations: Configurations,
        sampler_of: Callable[[int], BaseSampler],
        *,
        fixes_inactive: bool,
    ) -> None:
        """`sampler_of` gives the sampler of a trial, by its number.

        With `fixes_inactive`, a hyperparameter that is not active has its first value, so that the configuration
        determines all that the sampler learns from. Otherwise the sampler draws a value.
        """
        self._fixes_inactive = fixes_inactive
        self._space = space
        self._configurations = configurations
        self._sampler_of = sampler_of
        self._sampler = sampler_of(0)
        self._distributions = {name: _distribution(domain) for name, domain in space.domains.items()}
        self.recorded: Config | None = None
        """The configuration of the next trial, if it is on record."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self.recorded is not None:
            config = self._configurations.next_again(self.recorded)
        else:
            config = self._configurations.next(lambda: self._draw(study, trial))
        return {name: _to_optuna(self._space.domains[name], value) for name, value in config.items()}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of a hyperparameter that is not active."""
        if self._fixes_inactive:
            return _to_optuna(self._space.domains[param_name], self._space.domains[param_name].value_at(0))
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if self.recorded is None:
            self._sampler = self._sampler_of(trial.number)
            self._sampler.before_trial(study, trial)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)

    def _draw(self, study: optuna.Study, trial: FrozenTrial) -> Config:
        """A configuration from the sampler inside: values that it samples together, and the others one by one."""
        together = self._sampler.sample_relative(study, trial, self._sampler.infer_relative_search_space(study, trial))

        def choose(name: str) -> Value:
            distribution = self._distributions[name]
            if distribution.single():
                return self._space.domains[name].value_at(0)
            value = together.get(name)
            if value is None:
                value = self._sampler.sample_independent(study, trial, name, distribution)
            return _from_optuna(self._space.domains[name], value)

        return self._space.completed({}, choose)


def _distribution(domain: Domain) -> BaseDistribution:
    """The Optuna distribution of a domain. A choice is its position, because Optuna treats 1 and True as equal."""
    if isinstance(domain, Categorical):
        return CategoricalDistribution(range(len(domain.choices)))
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step or 1)
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def _to_optuna(domain: Domain, value: Value) -> Any:
    """A value of a domain as a value of its Optuna distribution."""
    return domain.index_of(value) if isinstance(domain, Categorical) else value


def _from_optuna(domain: Domain, value: Any) -> Value:
    """A value of an Optuna distribution as the value of the domain."""
    if isinstance(domain, Categorical):
        return domain.value_at(int(value))
    if domain.step is not None:
        return domain.value_at(domain.index_of(value))
    if isinstance(domain, Int):
        return int(value)
    return min(max(float(value), domain.low), domain.high)


def suggest(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    """The value of a hyperparameter of an Optuna trial."""
    if isinstance(domain, Categorical):
        return domain.value_at(trial.suggest_categorical(name, range(len(domain.choices))))
    if isinstance(domain, Int):
        return int(trial.suggest_int(name, domain.low, domain.high, log=domain.log, step=domain.step or 1))
    return float(trial.suggest_float(name, domain.low, domain.high, log=domain.log, step=domain.step))


class CmaEsSampler(optuna.samplers.CmaEsSampler):
    """CMA-ES that copies each pruned trial once. Optuna's copies all of them for each configuration."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._copies: dict[int, FrozenTrial] = {}

    def _get_trials(self, study: optuna.Study) -> list[FrozenTrial]:
        trials = []
        for trial in study.get_trials(deepcopy=False):
            if trial.state is TrialState.COMPLETE:
                trials.append(trial)
            elif trial.state is TrialState.PRUNED and trial.intermediate_values and self._consider_pruned_trials:
                if trial.number not in self._copies:
                    self._copies[trial.number] = copy(trial)
                    self._copies[trial.number].value = max(trial.intermediate_values.items())[1]
                trials.append(self._copies[trial.number])
        return trials


class QmcSampler(optuna.samplers.QMCSampler):
    """QMC that draws the points of its sequence one after another. Optuna's begins again for each configuration.

    All trials have the same hyperparameters, so those of the first trial are found once.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._distributions: dict[str, BaseDistribution] = {}
        self._engine: Any = None

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if not self._distributions:
            self._distributions = super().infer_relative_search_space(study, trial)
        return self._distributions

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        # Optuna's looks at all trials before, only to warn.
        return self._independent_sampler.sample_independent(study, trial, param_name, param_distribution)

    def _sample_qmc(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> Any:
        if self._engine is None:
            qmc = import_module("scipy.stats.qmc")
            self._engine = qmc.Sobol(len(search_space), seed=self._seed, scramble=self._scramble)
        return self._engine.random(1)
