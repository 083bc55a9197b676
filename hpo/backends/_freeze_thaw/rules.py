"""The rules of the decision: the length of a step, which epochs are trusted, and the long runs that check this trust.

All rules are functions of the trials so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hpo.backends._freeze_thaw.encoding import FloatArray
from hpo.backends._freeze_thaw.trials import Trial, Trials
from hpo.space import Fidelity

FIRST_STEP = 3
"""The epochs of the first step of a trial, if the space's `fidelity.low` allows it."""
RUNG_GROWTH = 1.6
"""Each rung lies at about so many times the epochs of the rung below it."""
N_STEPS = 150
"""No step has fewer epochs than those spent so far, divided by this. It bounds the number of steps of a search."""
LONG_SHARE = 0.2
"""The share of the epochs for long runs: trials drawn at random that train on, whatever the model expects of them."""
LONG_PART = 0.5
"""The part of the last epoch to which a long run trains."""
LONG_DELAY = 3.0
"""Long runs begin once the epochs of so many full trainings are spent."""
MIN_LONG_RUNS = 3
"""The number of long runs from which on they are asked which epochs to trust."""
LONG_RUN = "long run"
"""The reason of a step that is a long run."""


def rungs(fidelity: Fidelity) -> tuple[int, ...]:
    """The epochs at which trials usually pause, in ascending order. The last one is the last epoch."""
    rung = min(max(FIRST_STEP, fidelity.low), fidelity.high)
    found = [rung]
    while rung < fidelity.high:
        rung = min(fidelity.high, max(rung + 1, round(rung * RUNG_GROWTH)))
        found.append(rung)
    return tuple(found)


def step_end(trials: Trials, epoch: int, trusted: int) -> int:
    """The epoch to which the next step of a trial trains that has trained to `epoch`."""
    rung = next((rung for rung in trials.rungs if rung > epoch and rung >= trusted), trials.high)
    return min(trials.high, max(rung, epoch + math.ceil(trials.spent / N_STEPS)))


def long_run_end(trials: Trials) -> int:
    """The epoch to which a long run trains."""
    return math.ceil(LONG_PART * trials.high)


def trusted_epoch(trials: Trials) -> int:
    """The first epoch that the model sees: the lowest rung that orders the long runs rather rightly than wrongly.

    0 if that is the first rung, or if there are fewer than `MIN_LONG_RUNS`.
    """
    end = long_run_end(trials)
    drawn = dict.fromkeys(step.trial for step in trials.steps if step.reason == LONG_RUN)
    runs = [trials[number] for number in drawn if _reaches(trials[number], end)]
    if len(runs) < MIN_LONG_RUNS:
        return 0
    for rung in trials.rungs:
        if rung >= end:
            return end
        if _order([_value(run, rung) for run in runs], [_value(run, end) for run in runs]) > 0:
            return rung if rung > trials.rungs[0] else 0
    return end


def long_run(trials: Trials, rng: np.random.Generator) -> int | None:
    """The paused trial whose long run is due, drawn at random. None if none is."""
    end = long_run_end(trials)
    short = [number for number in trials.paused if trials[number].epoch < end]
    given = sum(step.until - step.start for step in trials.steps if step.reason == LONG_RUN)
    if not short or given >= LONG_SHARE * (trials.spent - LONG_DELAY * trials.high):
        return None
    return short[int(rng.integers(len(short)))]


def log_cost(trials: Trials, numbers: Sequence[int]) -> FloatArray:
    """For each of these trials, the logarithm of the number of epochs up to the last one."""
    return np.log([trials.high - trials[number].epoch for number in numbers])


def _reaches(trial: Trial, epoch: int) -> bool:
    """Whether the value of a trial at an epoch is known. That of a trial that ended itself is."""
    return trial.epoch >= epoch or trial.stands is not None


def _value(trial: Trial, epoch: int) -> float:
    """The value of a trial at the last reported epoch up to `epoch`, inf if it is not finite or if there is none."""
    value = trial.values.get(epoch)
    if value is None and epoch > trial.epoch and trial.stands is not None:
        value = trial.stands
    if value is None:
        value = trial.values[max((each for each in trial.values if each <= epoch), default=trial.epoch)]
    return value if math.isfinite(value) else math.inf


def _order(early: Sequence[float], late: Sequence[float]) -> float:
    """The number of pairs that two lists of values order alike, minus the number of those that they order otherwise."""
    upper = np.triu_indices(len(early), 1)
    signs = [
        np.sign(np.less.outer(values, values).astype(int) - np.greater.outer(values, values))
        for values in (early, late)
    ]
    return float((signs[0] * signs[1])[upper].sum())
