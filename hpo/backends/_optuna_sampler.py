"""A sampler of Optuna that repeats no configuration, and the values of a domain as values of Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hpo.backends._configurations import Configurations
from hpo.space import Categorical, Domain, Int, SearchSpace
from hpo.trial import Config, Value


class SamplerWithoutRepeats(optuna.samplers.BaseSampler):
    """Gives a new Optuna trial the next one of `configurations`, which asks the sampler inside for its draws.

    For Optuna the whole configuration is sampled at once, so that a repeat is found before the trial has any value.
    """

    def __init__(
        self, space: SearchSpace, configurations: Configurations, sampler: optuna.samplers.BaseSampler
    ) -> None:
        self._space = space
        self._configurations = configurations
        self.sampler = sampler
        self._distributions = {name: _distribution(domain) for name, domain in space.domains.items()}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        config = self._configurations.next(lambda: self._draw(study, trial))
        return {name: _to_optuna(self._space.domains[name], value) for name, value in config.items()}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self.sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        self.sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        state: optuna.trial.TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self.sampler.after_trial(study, trial, state, values)

    def _draw(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> Config:
        """A configuration from the sampler inside: values that it samples together, and the others one by one."""
        together = self.sampler.sample_relative(study, trial, self.sampler.infer_relative_search_space(study, trial))

        def choose(name: str) -> Value:
            distribution = self._distributions[name]
            if distribution.single():
                return self._space.domains[name].value_at(0)
            value = together.get(name)
            if value is None:
                value = self.sampler.sample_independent(study, trial, name, distribution)
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
