"""Optuna's samplers and pruners, asked and told on a study in memory.

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
from hpo.backends._options import needs, no_others, one_of, seed32, whole
from hpo.backends._stopping import Stopping, end_time, rung_times
from hpo.space import Categorical, Domain, Fidelity, Int, SearchSpace
from hpo.trial import Config, Scalar

SAMPLERS = {"tpe": (), "gp": ("scipy", "torch"), "cmaes": ("cmaes",), "qmc": ("scipy",), "random": ()}
"""The samplers, and the packages that each needs beside Optuna."""

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
    """A search by one of Optuna's samplers and one of its pruners.

    Args:
        space: what to search. `cmaes` has no model of choices, and draws them at random.
        seed: of the sampler.
        sampler: tpe, gp, cmaes, qmc or random.
        pruner: hyperband; sha (one bracket of it); median (at every epoch); none.
        n_startup_trials: random trials before tpe, gp or cmaes set in.
    """
    no_others(unknown, ("sampler", "pruner", "n_startup_trials"))
    sampler, pruner = one_of("sampler", sampler, SAMPLERS), one_of("pruner", pruner, PRUNERS)
    n_startup_trials = whole("n_startup_trials", n_startup_trials, 1)
    by_rungs = pruner in ("hyperband", "sha")
    sampling = Sampling(
        space,
        _sampler(sampler, seed32(seed), n_startup_trials, by_rungs=by_rungs),
        _pruner(pruner, space.fidelity),
    )
    times = rung_times(space.fidelity) if by_rungs else {}
    if pruner == "median":
        times = {epoch: epoch for epoch in range(space.fidelity.low, space.fidelity.high + 1)}
    return Stopping(space, times, sampling, _Pruning(sampling))


def tpe(space: SearchSpace, *, seed: int) -> Sampling:
    """Optuna's TPE alone, for a backend that stops trials by itself."""
    return Sampling(space, _sampler("tpe", seed, 10, by_rungs=True), optuna.pruners.NopPruner())


@contextmanager
def _quiet() -> Iterator[None]:
    """Spare the user what Optuna says of our choices (experimental arguments, random draws, infinite losses)."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "Clip non-finite values", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


class Sampling:
    """The searcher of an Optuna study: define-by-run, parents first.

    Only TPE can model a space that changes with its parents; where it does, the other samplers give up and
    draw at random. They are asked for every hyperparameter, and those that are not active are left out.
    """

    @_quiet()
    def __init__(
        self, space: SearchSpace, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner
    ) -> None:
        self._space = space
        self.running: dict[int, optuna.Trial] = {}
        self._by_tpe = isinstance(sampler, optuna.samplers.TPESampler)
        # The name is fixed: the Hyperband pruner draws a trial's bracket from a hash of it.
        self._study = optuna.create_study(study_name="hpo", sampler=sampler, pruner=pruner)

    @_quiet()
    def suggest(self) -> Config:
        trial = self._study.ask()
        self.running[trial.number] = trial
        config: dict[str, Scalar] = {}
        for name, domain in self._space.domains.items():
            active = self._space.active(name, config)
            if active or not self._by_tpe:
                value = _suggest(trial, name, domain)
            if active:
                config[name] = value
        return config

    def observe(self, trial: int, time: int, loss: float) -> None:
        self.running[trial].report(loss, time)

    @_quiet()
    def end(self, trial: int, loss: float, *, stopped: bool) -> None:
        ended = self.running.pop(trial)
        if self._by_tpe and loss == math.inf:
            # TPE ranks every completed trial above every pruned one, but an infeasible one last.
            ended.set_constraint("finite", 1.0)
        if stopped:
            self._study.tell(ended, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(ended, loss)


class _Pruning:
    """The stopper of an Optuna study."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def begin(self, trial: int) -> int:
        return 0

    @_quiet()
    def stops(self, trial: int, time: int, loss: float) -> bool:
        return self._sampling.running[trial].should_prune()

    def end(self, trial: int) -> None: ...


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Scalar:
    if isinstance(domain, Categorical):
        # By position: Optuna takes the choices 1 and True for the same.
        return domain.choices[trial.suggest_categorical(name, range(len(domain.choices)))]
    if isinstance(domain, Int):
        return int(trial.suggest_int(name, domain.low, domain.high, log=domain.log))
    value = trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    return min(max(float(value), domain.low), domain.high)


@_quiet()
def _sampler(name: str, seed: int, n_startup_trials: int, *, by_rungs: bool) -> optuna.samplers.BaseSampler:
    with needs("optuna,train" if name == "gp" else "optuna"):
        for package in SAMPLERS[name]:
            import_module(package)
    samplers = optuna.samplers
    match name:
        case "tpe":
            # One hyperparameter at a time: joint TPE (multivariate, group) often settles on the wrong choice early.
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
            return pruners.HyperbandPruner(min_resource=1, max_resource=end_time(fidelity), reduction_factor=eta)
        case "sha":
            return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=eta)
        case "median":
            return pruners.MedianPruner()
    return pruners.NopPruner()
