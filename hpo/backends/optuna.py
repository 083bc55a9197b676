"""Optuna's samplers, run on an Optuna study in memory, and its pruners (see `_pruners.py`).

Akiba, Sano, Yanase, Ohta, Koyama, Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from hpo.backends._backend import Backend
from hpo.backends._configurations import N_DRAWS, Configurations
from hpo.backends._options import needs, one_of, reject_unknown, seed32, whole_number
from hpo.backends._optuna_sampler import CmaEsSampler, QmcSampler, SamplerWithoutRepeats, suggest
from hpo.backends._pruners import MedianPruner, NoPruner, Pruner, SuccessiveHalvingPruner
from hpo.backends._quiet import ignored_warnings
from hpo.backends._random_state import derived_seed
from hpo.backends._stopping import StoppingBackend, library_steps
from hpo.backends.bohb import bracket_sizes
from hpo.space import Fidelity, SearchSpace
from hpo.trial import Config, Value

SAMPLERS = {"tpe": (), "gp": ("scipy", "torch"), "cmaes": ("cmaes",), "qmc": ("scipy",), "random": ()}
"""The samplers, each with the packages that it needs in addition to Optuna."""

SEEDED_BY_TRIAL = ("tpe", "gp")
"""The samplers that draw slowly.

Each trial gets a new sampler, whose seed is derived from the number of the trial. So a configuration depends only on
the seed, this number and the results so far, and a replay can skip the draws that are on record. The other samplers
draw quickly, and keep more of a trial than its configuration.
"""

PRUNERS = ("hyperband", "sha", "median", "none")


def build(
    space: SearchSpace,
    *,
    seed: int,
    sampler: str = "tpe",
    pruner: str = "hyperband",
    n_startup_trials: int = 10,
    **unknown: object,
) -> Backend:
    """A search over `space` with one of Optuna's samplers and one of its pruners.

    Args:
        space: what to search. The rungs are those of its fidelity.
        seed: the seed of the sampler.
        sampler: tpe, gp, cmaes, qmc or random. `cmaes` cannot model choices, and draws them at random.
        pruner: hyperband, sha (successive halving, a single bracket of hyperband), median (compares at every epoch)
            or none.
        n_startup_trials: the number of random trials before tpe, gp or cmaes starts to use its model.
        unknown: options that this backend does not have. They raise UnknownName.

    Raises UserError if an option is wrong, or if a package that the sampler needs is not installed.
    """
    reject_unknown("optuna", unknown, ("sampler", "pruner", "n_startup_trials"))
    sampler, pruner = one_of("sampler", sampler, SAMPLERS), one_of("pruner", pruner, PRUNERS)
    n_startup_trials = whole_number("n_startup_trials", n_startup_trials, 1)
    by_rungs = pruner in ("hyperband", "sha")
    searcher = OptunaSearcher(
        space,
        # The draws of `gp` are slow, and it would mostly draw the same configuration again.
        Configurations(space, seed32(seed), n_draws=1 if sampler == "gp" else N_DRAWS),
        sampler,
        _sampler_of(sampler, seed, n_startup_trials, by_rungs=by_rungs),
    )
    times = library_steps(space.fidelity) if by_rungs else {}
    if pruner == "median":
        times = {epoch: epoch for epoch in range(space.fidelity.low, space.fidelity.high + 1)}
    stopper = _BracketPruner(_brackets(pruner, space.fidelity), random.Random(f"brackets {seed}"))
    return StoppingBackend(space, times, searcher, stopper)


def round_brackets(n_rungs: int, eta: int, options: Mapping[str, object]) -> list[tuple[int, ...]]:
    """The sizes of the brackets of one round, see `hpo.backends._backend`. Optuna only approximates them."""
    match options.get("pruner", "hyperband"):
        case "hyperband":
            return [bracket_sizes(index, n_rungs, eta) for index in range(n_rungs)]
        case "sha":
            return [bracket_sizes(0, n_rungs, eta)]
    return []


def tpe(space: SearchSpace, *, seed: int) -> OptunaSearcher:
    """Optuna's TPE without a pruner, for backends that stop trials themselves."""
    return OptunaSearcher(space, Configurations(space, seed), "tpe", _sampler_of("tpe", seed, 10, by_rungs=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide Optuna's messages about choices that are made here: experimental arguments, random draws, infinite losses.

    The user can do nothing about them.
    """
    with ignored_warnings(optuna.exceptions.ExperimentalWarning):
        warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(verbosity)


class OptunaSearcher:
    """Draws configurations from an Optuna study, parents before children.

    TPE is asked only for active hyperparameters. The other samplers cannot model a space whose hyperparameters depend
    on the values of others, and would draw at random. So they are asked for every hyperparameter, and those that are
    not active are dropped.
    """

    @_quiet()
    def __init__(
        self, space: SearchSpace, configurations: Configurations, name: str, sampler_of: Callable[[int], BaseSampler]
    ) -> None:
        """`name` is a key of SAMPLERS, and `sampler_of` gives the sampler of a trial, by its number."""
        self._space = space
        self._name = name
        self.configurations = configurations
        self._sampler = SamplerWithoutRepeats(space, configurations, sampler_of, fixes_inactive=name == "gp")
        self._study = optuna.create_study(sampler=self._sampler, pruner=optuna.pruners.NopPruner())
        self._running: dict[int, optuna.Trial] = {}

    @_quiet()
    def suggest(self) -> Config:
        trial = self._study.ask()
        trial.relative_params  # noqa: B018  # draws the configuration, which Optuna would not do if each range had one value
        self._running[trial.number] = trial
        config: dict[str, Value] = {}
        for name, domain in self._space.domains.items():
            if self._space.active(name, config):
                config[name] = suggest(trial, name, domain)
            elif self._name != "tpe":
                suggest(trial, name, domain)
        return config

    def suggest_again(self, recorded: Config) -> Config:
        if self._name in SEEDED_BY_TRIAL:
            self._sampler.recorded = recorded
        try:
            return self.suggest()
        finally:
            self._sampler.recorded = None

    def observe(self, trial: int, step: int, loss: float) -> None:
        self._running[trial].report(loss, step)

    @_quiet()
    def end(self, trial: int, loss: float, *, stopped: bool) -> None:
        ended = self._running.pop(trial)
        if self._name == "tpe" and loss == math.inf:
            # TPE ranks a completed trial above all pruned ones, whatever its loss, but an infeasible trial last.
            ended.set_constraint("finite", 1.0)
        if stopped:
            self._study.tell(ended, state=TrialState.PRUNED)
        else:
            self._study.tell(ended, loss)


class _BracketPruner:
    """Draws the bracket of each trial, and stops trials by the pruner of their bracket."""

    def __init__(self, brackets: Sequence[tuple[Pruner, int]], rng: random.Random) -> None:
        """`brackets` are the pruners, each with its share of the trials."""
        self._pruners = [pruner for pruner, _ in brackets]
        self._shares = [share for _, share in brackets]
        self._rng = rng
        self._brackets: dict[int, int] = {}
        """The bracket of each running trial."""

    def begin(self, trial: int) -> int:
        self._brackets[trial] = self._rng.choices(range(len(self._pruners)), self._shares)[0]
        return self._brackets[trial]

    def stops(self, trial: int, step: int, loss: float) -> bool:
        return self._pruners[self._brackets[trial]].stops(trial, step, loss)

    def end(self, trial: int, *, stopped: bool) -> None:
        self._pruners[self._brackets.pop(trial)].end(trial, stopped=stopped)


@_quiet()
def _sampler_of(name: str, seed: int, n_startup_trials: int, *, by_rungs: bool) -> Callable[[int], BaseSampler]:
    """The sampler of each trial, by its number."""
    with needs("optuna,train" if name == "gp" else "optuna"):
        for package in SAMPLERS[name]:
            import_module(package)
    if name in SEEDED_BY_TRIAL:
        return lambda trial: _sampler(name, derived_seed(seed, trial), n_startup_trials, by_rungs=by_rungs)
    sampler = _sampler(name, seed, n_startup_trials, by_rungs=by_rungs)
    return lambda trial: sampler


def _sampler(name: str, seed: int, n_startup_trials: int, *, by_rungs: bool) -> BaseSampler:
    samplers = optuna.samplers
    match name:
        case "tpe":
            # Each hyperparameter is modelled alone, because joint TPE (multivariate, group) often settles on a wrong
            # choice early.
            return samplers.TPESampler(
                seed=seed, n_startup_trials=n_startup_trials, multivariate=False, constant_liar=True
            )
        case "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=n_startup_trials, warn_independent_sampling=False)
        case "cmaes":
            return CmaEsSampler(
                seed=seed,
                n_startup_trials=n_startup_trials,
                consider_pruned_trials=by_rungs,
                warn_independent_sampling=False,
            )
        case "qmc":
            return QmcSampler(seed=seed, scramble=True, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)


def _brackets(name: str, fidelity: Fidelity) -> list[tuple[Pruner, int]]:
    """The pruner of each bracket, with its share of the trials."""
    eta = fidelity.eta
    match name:
        case "hyperband":
            # Bracket k stops trials from rung k on. The shares are those of Optuna's HyperbandPruner.
            n = len(fidelity.rungs())
            shares = [math.ceil(n * eta ** (n - 1 - k) / (n - k)) for k in range(n)]
            return [(SuccessiveHalvingPruner(eta, k), share) for k, share in enumerate(shares)]
        case "sha":
            return [(SuccessiveHalvingPruner(eta, 0), 1)]
        case "median":
            return [(MedianPruner(), 1)]
    return [(NoPruner(), 1)]
