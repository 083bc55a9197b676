"""The rules of the decision: the length of a step, and the long runs that check whether early epochs mislead.

All rules are functions of the trials so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

import numpy as np

from hpo.backends._encoding import FloatArray
from hpo.backends._freeze_thaw.trials import Trial, Trials
from hpo.space import Fidelity

FIRST_STEP = 3
"""The epochs of the first step of a trial, if the space's `fidelity.low` allows it."""
RUNG_GROWTH = 1.6
"""Each rung lies at about so many times the epochs of the rung below it."""
N_STEPS = 150
"""No step has fewer epochs than those spent so far, divided by this. It bounds the number of steps of a search."""
LONG_PART = 0.5
"""The part of the last epoch to which a long run trains."""
LONG_RUN = "long run"
"""The reason of a step that is a long run."""
FIRST_LONG_RUNS = 0.75
"""The first two long runs begin once the epochs of so many full trainings are spent."""
LONG_SHARE, LONG_DELAY = 0.2, 3.0
"""Afterwards, so much of the epochs that are spent beyond those of so many full trainings goes to long runs."""
DOUBT, DOUBT_SHARE = 0.75, 0.5
"""If the concordance of early epochs is believed to be lower than this, up to this share of all epochs does."""
PRIOR_CONCORDANCE, PRIOR_PAIRS = 0.9, 2.0
"""Before any long run, an early epoch is believed to order this share of pairs as a late one does. The belief weighs as
much as so many pairs."""
MAX_WEIGHT = 2.0
"""The largest weight of a pair, in those of the median pair."""
MIN_CONCORDANCE = 0.65
"""Epochs whose concordance is believed to be lower are ignored."""


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


class Belief(NamedTuple):
    """What the long runs say of early epochs."""

    first_epoch: int
    """The lowest rung whose concordance is at least `MIN_CONCORDANCE`, 0 if it is the first one."""
    concordance: float
    """The share of pairs that this rung is believed to order as the end of the long runs does, see `_concordance`."""
    n_runs: int
    """The number of long runs that have reached their end."""


def belief(trials: Trials) -> Belief:
    """What the long runs so far say of early epochs.

    For each rung, the prior and the pairs of long runs give the expected share of pairs in the right order: the mean of
    a beta distribution. The lowest rung with at least `MIN_CONCORDANCE` is the first that is used.
    """
    end = long_run_end(trials)
    runs = [trials[number] for number in _drawn(trials) if _reaches(trials[number], end)]
    late = [_value(run, end) for run in runs]
    for rung in trials.rungs:
        if rung >= end:
            break
        concordance = _concordance([_value(run, rung) for run in runs], late)
        if concordance >= MIN_CONCORDANCE:
            return Belief(rung if rung > trials.rungs[0] else 0, concordance, len(runs))
    return Belief(end if trials.rungs[0] < end else 0, 1.0, len(runs))


def long_run(trials: Trials, found: Belief, n_initial: int, rng: np.random.Generator) -> int | None:
    """The paused trial whose long run is due. None if none is.

    The first long run is that of the trial with the lowest value, the second that of one of the worse half: if early
    epochs mislead, the second ends lower. All others are drawn at random. As long as early epochs are in doubt, another
    one is due as soon as the last has ended. While they are in doubt or ignored, the first `n_initial` trials come
    before all others, because they are spread over the space.
    """
    end = long_run_end(trials)
    short = [number for number in trials.paused if trials[number].epoch < end]
    if not short:
        return None
    drawn, given = _drawn(trials), sum(step.until - step.start for step in trials.steps if step.reason == LONG_RUN)
    if len(drawn) < 2:
        if trials.spent < FIRST_LONG_RUNS * trials.high:
            return None
        ranked = sorted(short, key=lambda number: (_value(trials[number], trials[number].epoch), number))
        worse = ranked[len(ranked) // 2 :]
        return ranked[0] if not drawn else worse[int(rng.integers(len(worse)))]
    if found.concordance < DOUBT or found.first_epoch:
        short = [number for number in short if number < n_initial] or short
    in_doubt = found.concordance < DOUBT and given < DOUBT_SHARE * trials.spent
    waits = any(trials[number].until is not None for number in drawn)
    if (in_doubt and not waits) or given < LONG_SHARE * (trials.spent - LONG_DELAY * trials.high):
        return short[int(rng.integers(len(short)))]
    return None


def _drawn(trials: Trials) -> list[int]:
    """The numbers of the trials with a long run, in the order in which these began."""
    return list(dict.fromkeys(step.trial for step in trials.steps if step.reason == LONG_RUN))


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


def _concordance(early: Sequence[float], late: Sequence[float]) -> float:
    """The share of pairs that `early` is believed to order as `late` does.

    A pair counts as much as its late values differ, because noise orders close values, but no more than `MAX_WEIGHT`
    times the median pair: one bad run says little of the others. A tie in `early` counts as half right.
    """
    pairs = [
        (0.5 if early_1 == early_2 else float((early_1 < early_2) == (late_1 < late_2)), abs(late_1 - late_2))
        for (early_1, late_1), (early_2, late_2) in combinations(zip(early, late, strict=True), 2)
        if late_1 != late_2
    ]
    if not pairs:
        return PRIOR_CONCORDANCE
    limit = MAX_WEIGHT * median([weight for _, weight in pairs if weight < math.inf] or [1.0])
    weights = [min(weight, limit) for _, weight in pairs]
    share = sum(right * weight for (right, _), weight in zip(pairs, weights, strict=True)) / sum(weights)
    return (share * len(pairs) + PRIOR_CONCORDANCE * PRIOR_PAIRS) / (len(pairs) + PRIOR_PAIRS)
