"""HpBandSter's model, adapted for the BOHB backend, and the conversion of a space for it.

HpBandSter searches a unit cube. Each range becomes the interval from 0 to 1, and each choice its position in the list
of choices. So ConfigSpace neither rounds our values nor compares them in its own way.

One defect is corrected. HpBandSter estimates the bandwidths of choices as if these were numbers. A choice that is
common among the good configurations may then become less likely than all others. It also counts only the choices that
it has seen, and divides by zero if it has seen only one. Here a bandwidth is limited to that of the uniform
distribution, and the number of choices is taken from the space.
"""

from __future__ import annotations

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
from numpy.typing import NDArray

from hpo.backends._configurations import Configurations
from hpo.backends._halving import Halving
from hpo.backends._quiet import ignored_warnings
from hpo.backends._random_state import derived_seed, with_random_state
from hpo.space import Categorical, Domain, SearchSpace
from hpo.space.unit_interval import position, value_at
from hpo.space.values import is_one_of
from hpo.trial import Config, Scalar, Suggestion, Value

GAUSSIAN_SCALE = 1 / np.sqrt(2 * np.pi)
"""The density of the standard normal distribution at 0."""
Native = Mapping[str, Any]
"""A configuration in the form of HpBandSter: positions in the unit cube and positions of choices."""


class SuggestionInfo(NamedTuple):
    """What HpBandSter keeps with the configuration of a trial."""

    config: Config
    """The configuration as one of our space."""
    notes: Mapping[str, Scalar]
    """The notes of the suggestion."""


class Model:
    """BOHB's model of the space: at each rung, a density of the good configurations and one of the bad ones.

    What it suggests depends only on the seed, the number of the suggestion and the results so far. So a replay can skip
    the suggestions that are on record.
    """

    def __init__(self, space: SearchSpace, seed: int, options: Mapping[str, object]) -> None:
        self._space = space
        self._seed = seed
        self.configurations = Configurations(space, seed)
        self.recorded: Suggestion | None = None
        """The next suggestion, if it is on record."""
        self._random_state = np.random.RandomState()
        self._n_suggested = self._n_learned = 0
        self._new_results: dict[int, list[tuple[int, Job]]] = {}
        """The results since the densities were last estimated, each with its number, by rung."""
        with _quiet():
            self._configspace = _configspace(space, seed)
            self._generator = _generator(self._random_state, self._configspace, options)

    def halving(self, index: int, sizes: Sequence[int], rungs: Sequence[int]) -> Halving:
        """Bracket number `index`, whose configurations come from this model.

        `sizes` are the numbers of trials at its rungs, `rungs` the epochs of the rungs.
        """
        return Halving(index, list(sizes), rungs, config_sampler=self.suggest)

    def suggest(self, rung: int) -> tuple[Native, SuggestionInfo]:
        """A configuration for a trial that starts at the rung with this epoch, and whether the model picked it.

        It is the next one of `configurations`. At least one must be left.
        """
        number, self._n_suggested = self._n_suggested, self._n_suggested + 1
        if self.recorded is not None:
            config, notes = self.configurations.next_again(self.recorded.config), self.recorded.notes
        else:
            config, notes = self._draw(rung, number)
        # The model learns from the position of the value on record, so that a replay teaches it the same.
        return self._native(config), SuggestionInfo(config, notes)

    def _draw(self, rung: int, number: int) -> tuple[Config, Mapping[str, Scalar]]:
        """The configuration and the notes of suggestion number `number`."""
        with _quiet():
            self._update()
        self._random_state.seed(derived_seed(self._seed, 0, number))
        self._configspace.seed(derived_seed(self._seed, 1, number))
        picks: list[tuple[Config, bool]] = []

        def draw() -> Config:
            with _quiet():
                native, info = self._generator.get_config(rung)
            picks.append((self._config(native), bool(info["model_based_pick"])))
            return picks[-1][0]

        config = self.configurations.next(draw)
        return config, {"model_based_pick": any(by_model for drawn, by_model in picks if drawn == config)}

    def learn(self, job: Job) -> None:
        """Add the loss of a configuration at a rung. The densities are estimated when they are next needed."""
        self._new_results.setdefault(job.kwargs["budget"], []).append((self._n_learned, job))
        self._n_learned += 1

    def _update(self) -> None:
        """Estimate the densities from all results so far.

        Only the last result at a rung makes HpBandSter estimate the densities of this rung. The highest rung comes
        first, because results below a rung that has a model are not used. What is drawn depends on the number of
        the last result at the rung alone, so it does not matter at which suggestion this is done.
        """
        for rung in sorted(self._new_results, reverse=True):
            *others, (number, last) = self._new_results.pop(rung)
            for _, job in others:
                self._generator.new_result(job, update_model=False)
            self._random_state.seed(derived_seed(self._seed, 2, number))
            self._generator.new_result(last)

    def _config(self, native: Native) -> Config:
        """Convert a configuration of HpBandSter into one of our space."""
        return {name: _value(domain, native[name]) for name, domain in self._space.domains.items() if name in native}

    def _native(self, config: Config) -> Native:
        """Convert a configuration of our space into one of HpBandSter."""
        return {name: _position(self._space.domains[name], value) for name, value in config.items()}


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
        self._ranges, self._choices = n_levels == 0, n_levels > 1
        self._is_used = n_levels != 1
        columns = np.ascontiguousarray(self.data.T)
        self._range_columns, self._choice_columns = columns[self._ranges], columns[self._choices]
        self._widths = self.bw[self._ranges, None]
        # Powers of single numbers, as statsmodels has them: those of arrays may differ in the last digit.
        self._spreads = np.array([width**2 * 2.0 for width in self.bw[self._ranges]])[:, None]
        self._equal = 1 - self.bw[self._choices, None]
        self._unequal = self.bw[self._choices, None] / (n_levels[self._choices, None] - 1)

    def pdf(self, vector: Sequence[float]) -> float:
        """The density at a point: the mean over the data of the product of the kernels of all hyperparameters.

        The kernels are those of statsmodels to the last digit, for all hyperparameters at once: the Gaussian one of a
        range, and that of Aitchison and Aitken of choices.
        """
        values = np.array(vector, float)
        kernels = np.empty((len(values), len(self.data)))
        squares = (self._range_columns - values[self._ranges, None]) ** 2
        kernels[self._ranges] = GAUSSIAN_SCALE * np.exp(-squares / self._spreads) / self._widths
        is_equal = self._choice_columns == values[self._choices, None]
        kernels[self._choices] = np.where(is_equal, self._equal, self._unequal)
        return float(np.mean(np.prod(kernels[self._is_used], axis=0)))


def _generator(
    random_state: np.random.RandomState, configspace: ConfigurationSpace, options: Mapping[str, object]
) -> Any:
    """HpBandSter's generator of configurations, with the densities of this file. It draws from `random_state`."""
    module = with_random_state(bohb, random_state)

    class Generator(module.BOHB):  # type: ignore[misc, name-defined]
        def impute_conditional_data(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
            """Draw the values of inactive hyperparameters. HpBandSter goes through all rows even if it has none."""
            return super().impute_conditional_data(array) if np.isnan(array).any() else array.copy()

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
    return value_at(domain, float(native))


def _position(domain: Domain, value: Value) -> float | int:
    """Convert a value of a domain into one of HpBandSter. It reverses `_value`."""
    if isinstance(domain, Categorical):
        return domain.index_of(value)
    if domain.low == domain.high:
        return 0
    return position(domain, value)
