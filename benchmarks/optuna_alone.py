"""Optuna driven as in its documentation: ask, report each epoch, prune, tell. A backend for `search_quality.py`.

`--backends benchmarks.optuna_alone:sampler=gp,pruner=none`
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

from hpo.backends._backend import Answer
from hpo.backends._optuna_sampler import suggest
from hpo.space import SearchSpace
from hpo.trial import Crash, Decision, Report, Suggestion, Value


class OptunaAlone:
    """A study of Optuna. It is told the raw objective of each epoch, and the last one when a trial ends."""

    def __init__(self, space: SearchSpace, study: optuna.Study) -> None:
        self._space = space
        self._study = study
        self._running: dict[int, optuna.Trial] = {}

    def ask(self, *, new: bool = True) -> Answer:
        if not new:
            return "done"
        trial = self._study.ask()
        config: dict[str, Value] = {}
        for name, domain in self._space.domains.items():
            if self._space.active(name, config):
                config[name] = suggest(trial, name, domain)
        self._running[trial.number] = trial
        return Suggestion(trial.number, config, until=self._space.fidelity.high)

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        trial = self._running[event.trial]
        if isinstance(event, Crash):
            self._study.tell(self._running.pop(event.trial), state=TrialState.FAIL)
            return {}
        value = event.metrics[self._space.objective]
        trial.report(value, event.fidelity)
        if event.last or event.fidelity >= self._space.fidelity.high:
            ended = self._running.pop(event.trial)
            if math.isfinite(value):
                self._study.tell(ended, value)
            else:
                self._study.tell(ended, state=TrialState.FAIL)
        elif trial.should_prune():
            self._study.tell(self._running.pop(event.trial), state=TrialState.PRUNED)
            return {event.trial: Decision.STOP}
        return {}


def build(space: SearchSpace, *, seed: int, sampler: str = "tpe", pruner: str = "hyperband") -> OptunaAlone:
    """Optuna with the defaults of its sampler (tpe, gp, random) and its pruner (hyperband, none)."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    samplers = {
        "tpe": optuna.samplers.TPESampler,
        "gp": optuna.samplers.GPSampler,
        "random": optuna.samplers.RandomSampler,
    }
    fidelity = space.fidelity
    pruners = {
        "hyperband": optuna.pruners.HyperbandPruner(fidelity.low, fidelity.high, fidelity.eta),
        "none": optuna.pruners.NopPruner(),
    }
    name = f"seed {seed}"  # from which Hyperband derives the brackets of trials
    study = optuna.create_study(study_name=name, sampler=samplers[sampler](seed=seed), pruner=pruners[pruner])
    return OptunaAlone(space, study)
