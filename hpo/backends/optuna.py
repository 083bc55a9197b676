"""Optuna's samplers and pruners, run on an Optuna study in memory.

Akiba, Sano, Yanase, Ohta, Koyama, Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import optuna

from hpo.backends._backend import Backend
from hpo.backends._configurations import N_DRAWS, Configurations
from hpo.backends._options import needs, one_of, reject_unknown, seed32, whole_number
from hpo.backends._optuna_sampler import SamplerWithoutRepeats, suggest
from hpo.backends._quiet import ignored_warnings
from hpo.backends._stopping import StoppingBackend, library_max_step, library_steps
from hpo.space import Fidelity, SearchSpace
from hpo.trial import Config, Value

SAMPLERS = {"tpe": (), "gp": ("scipy", "torch"), "cmaes": ("cmaes",), "qmc": ("scipy",), "random": ()}
"""The samplers, each with the packages that it needs in addition to Optuna."""

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
    reject_unknown(unknown, ("sampler", "pruner", "n_startup_trials"))
    sampler, pruner = one_of("sampler", sampler, SAMPLERS), one_of("pruner", pruner, PRUNERS)
    n_startup_trials = whole_number("n_startup_trials", n_startup_trials, 1)
    by_rungs = pruner in ("hyperband", "sha")
    searcher = OptunaSearcher(
        space,
        # The draws of `gp` are slow, and it would mostly draw the same configuration again.
        Configurations(space, seed32(seed), n_draws=1 if sampler == "gp" else N_DRAWS),
        _sampler(sampler, seed, n_startup_trials, by_rungs=by_rungs),
        _pruner(pruner, space.fidelity),
    )
    times = library_steps(space.fidelity) if by_rungs else {}
    if pruner == "median":
        times = {epoch: epoch for epoch in range(space.fidelity.low, space.fidelity.high + 1)}
    return StoppingBackend(space, times, searcher, _OptunaPruner(searcher))


def tpe(space: SearchSpace, *, seed: int) -> OptunaSearcher:
    """Optuna's TPE without a pruner, for backends that stop trials themselves."""
    sampler = _sampler("tpe", seed, 10, by_rungs=True)
    return OptunaSearcher(space, Configurations(space, seed), sampler, optuna.pruners.NopPruner())


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
        self,
        space: SearchSpace,
        configurations: Configurations,
        sampler: optuna.samplers.BaseSampler,
        pruner: optuna.pruners.BasePruner,
    ) -> None:
        self._space = space
        self.configurations = configurations
        self.running: dict[int, optuna.Trial] = {}
        self._is_tpe = isinstance(sampler, optuna.samplers.TPESampler)
        # A fixed name, because the Hyperband pruner derives the bracket of a trial from a hash of it.
        self._study = optuna.create_study(
            study_name="hpo", sampler=SamplerWithoutRepeats(space, configurations, sampler), pruner=pruner
        )

    @_quiet()
    def suggest(self) -> Config:
        trial = self._study.ask()
        trial.relative_params  # noqa: B018  # draws the configuration, which Optuna would not do if each range had one value
        self.running[trial.number] = trial
        config: dict[str, Value] = {}
        for name, domain in self._space.domains.items():
            active = self._space.active(name, config)
            if active or not self._is_tpe:
                value = suggest(trial, name, domain)
            if active:
                config[name] = value
        return config

    def observe(self, trial: int, step: int, loss: float) -> None:
        self.running[trial].report(loss, step)

    @_quiet()
    def end(self, trial: int, loss: float, *, stopped: bool) -> None:
        ended = self.running.pop(trial)
        if self._is_tpe and loss == math.inf:
            # TPE ranks a completed trial above all pruned ones, whatever its loss, but an infeasible trial last.
            ended.set_constraint("finite", 1.0)
        if stopped:
            self._study.tell(ended, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(ended, loss)


class _OptunaPruner:
    """Stops trials by the pruner of the searcher's Optuna study."""

    def __init__(self, searcher: OptunaSearcher) -> None:
        self._searcher = searcher

    def begin(self, trial: int) -> int:
        return 0

    @_quiet()
    def stops(self, trial: int, step: int, loss: float) -> bool:
        return self._searcher.running[trial].should_prune()

    def end(self, trial: int) -> None: ...


@_quiet()
def _sampler(name: str, seed: int, n_startup_trials: int, *, by_rungs: bool) -> optuna.samplers.BaseSampler:
    with needs("optuna,train" if name == "gp" else "optuna"):
        for package in SAMPLERS[name]:
            import_module(package)
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
            return samplers.CmaEsSampler(
                seed=seed,
                n_startup_trials=n_startup_trials,
                consider_pruned_trials=by_rungs,
                warn_independent_sampling=False,
            )
        case "qmc":
            return samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)


@_quiet()
def _pruner(name: str, fidelity: Fidelity) -> optuna.pruners.BasePruner:
    pruners, eta = optuna.pruners, fidelity.eta
    match name:
        case "hyperband":
            return pruners.HyperbandPruner(
                min_resource=1, max_resource=library_max_step(fidelity), reduction_factor=eta
            )
        case "sha":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta)
        case "median":
            return pruners.MedianPruner()
    return pruners.NopPruner()
