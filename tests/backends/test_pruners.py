"""The pruners decide as Optuna's do."""

from __future__ import annotations

import random
from collections.abc import Callable

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from hpo.backends._pruners import MedianPruner, Pruner, SuccessiveHalvingPruner

optuna.logging.set_verbosity(optuna.logging.WARNING)


def halving(eta: int, first_rung: int) -> tuple[Pruner, BasePruner]:
    theirs = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=eta, min_early_stopping_rate=first_rung
    )
    return SuccessiveHalvingPruner(eta, first_rung), theirs


def median() -> tuple[Pruner, BasePruner]:
    return MedianPruner(), optuna.pruners.MedianPruner()


@pytest.mark.parametrize(
    ("build", "steps"),
    [
        (lambda: halving(3, 0), (1, 3, 9)),
        (lambda: halving(3, 1), (1, 3, 9)),
        (lambda: halving(2, 0), (1, 2, 4, 8)),
        (lambda: halving(4, 0), (2, 5, 70)),  # one report may pass several rungs
        (median, (1, 2, 3, 4)),
        (median, (2, 5)),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_a_pruner_decides_as_the_one_of_optuna(
    build: Callable[[], tuple[Pruner, BasePruner]], steps: tuple[int, ...], seed: int
) -> None:
    ours, theirs = build()
    rng = random.Random(seed)
    study = optuna.create_study(sampler=RandomSampler(seed=0), pruner=theirs)
    running: dict[int, tuple[optuna.Trial, list[int]]] = {}
    stops = []
    for _ in range(400):
        if len(running) < 4:
            trial = study.ask()
            # Some trials end early by themselves, some without any report, and some lack a step.
            running[trial.number] = trial, [step for step in steps if rng.random() > 0.05]
        number = rng.choice(list(running))
        trial, left = running[number]
        stopped = False
        if left:
            step, loss = left.pop(0), rng.choice([rng.random(), 0.5, 1e300])
            trial.report(loss, step)
            stopped = bool(trial.should_prune())
            stops.append(stopped)
            assert ours.stops(number, step, loss) is stopped
        if stopped or not left:
            ours.end(number, stopped=stopped)
            study.tell(trial, state=TrialState.PRUNED) if stopped else study.tell(trial, 0.0)
            del running[number]
    assert 0.05 < sum(stops) / len(stops) < 0.95
