"""Long runs: the check whether early epochs order trials as late ones do.

The first long run is that of the best trial so far, the leader. Up to `N_CHALLENGERS` of the worse half of the first
trials follow it, rung by rung. A challenger stops as soon as it gets nearer to the leader too slowly to reach it by
half of the epochs, so on curves that do not mislead it costs few epochs. If early epochs mislead, it passes the leader.
How many pairs of long runs changed their order says how far each rung is believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

import numpy as np

from hpo.backends._freeze_thaw.steps import late_epoch, step_end
from hpo.backends._freeze_thaw.trials import Trial, Trials

REASON = "long run"
"""The reason of a step of a long run."""
DELAY = 0.75
"""The first long run begins once the epochs of so many full trainings are spent."""
N_CHALLENGERS = 3
"""The number of challengers."""
LATER_SHARE, LATER_DELAY = 0.2, 3.0
"""Further long runs get so much of the epochs that are spent beyond those of so many full trainings."""
DOUBT, DOUBT_SHARE = 0.75, 0.5
"""If the concordance of early epochs is believed to be lower than this, they get up to this share of all epochs."""
PRIOR_CONCORDANCE, PRIOR_PAIRS = 0.9, 2.0
"""Before any long run, an early epoch is believed to order this share of pairs as a late one does. The belief weighs as
much as so many pairs."""
MAX_WEIGHT = 2.0
"""The largest weight of a pair, in those of the median pair."""
MIN_CONCORDANCE = 0.65
"""Epochs whose concordance is believed to be lower are ignored."""


class Belief(NamedTuple):
    """What the long runs say of early epochs."""

    first_epoch: int
    """The lowest rung whose concordance is at least `MIN_CONCORDANCE`, 0 if it is the first one."""
    concordance: float
    """The share of pairs that this rung is believed to order as later epochs do, see `_concordance`."""
    n_runs: int
    """The number of long runs that have left the first rung."""


class LongRun(NamedTuple):
    """A step of a long run."""

    trial: int
    until: int


def belief(trials: Trials) -> Belief:
    """What the long runs so far say of early epochs.

    For each rung, the prior and the pairs of long runs give the expected share of pairs in the right order: the mean of
    a beta distribution. The lowest rung with at least `MIN_CONCORDANCE` is the first that is used.
    """
    end = late_epoch(trials)
    runs = [trials[number] for number in _with_long_run(trials)]
    n_runs = sum(_last(run, end) > trials.rungs[0] for run in runs)
    for rung in trials.rungs:
        if rung >= end:
            break
        concordance = _concordance(runs, rung, end)
        if concordance >= MIN_CONCORDANCE:
            return Belief(rung if rung > trials.rungs[0] else 0, concordance, n_runs)
    return Belief(end if trials.rungs[0] < end else 0, 1.0, n_runs)


def long_run(trials: Trials, found: Belief, n_initial: int, trusted: int, rng: np.random.Generator) -> LongRun | None:
    """The step of a long run that is due, from one of the paused trials. None if none is.

    `n_initial` is the number of the first trials that are spread over the space, see `Trials.spread`. `trusted` is the
    first epoch that the model sees.
    """
    end = max(late_epoch(trials), trusted)
    short = [number for number in trials.paused if trials[number].epoch < late_epoch(trials)]
    if not short or trials.spent < DELAY * trials.high:
        return None
    if (leader := _leader(trials)) is None:
        return LongRun(min(short, key=lambda number: (_value(trials[number], trials[number].epoch), number)), end)
    if (number := _challenger(trials, leader, short, n_initial, rng)) is not None:
        return LongRun(number, min(end, step_end(trials, trials[number].epoch, trusted)))
    if (number := _further(trials, short, found, n_initial, rng)) is not None:
        return LongRun(number, max(end, step_end(trials, trials[number].epoch, trusted)))
    return None


def _leader(trials: Trials) -> int | None:
    """The first trial whose long run goes to the end at once and has not failed. None if there is none."""
    end = late_epoch(trials)
    sent = (step.trial for step in trials.steps if step.reason == REASON and step.until >= end)
    return next((number for number in sent if not _has_failed(trials[number], end)), None)


def _challenger(
    trials: Trials, leader: int, short: Sequence[int], n_initial: int, rng: np.random.Generator
) -> int | None:
    """The challenger that goes on or begins: the first that still gets nearer to the leader, or else a new one."""
    end = late_epoch(trials)
    others = [number for number in _with_long_run(trials) if number != leader]
    challengers = [number for number in others if not _has_failed(trials[number], end)][:N_CHALLENGERS]
    for number in challengers:
        if number in short and _approaches(trials, trials[number], trials[leader]):
            return number
    if len(challengers) == N_CHALLENGERS:
        return None
    first = [number for number in trials.spread(n_initial) if trials[number].values]
    ranked = sorted(first, key=lambda number: (_value(trials[number], trials.rungs[0]), number))
    worse = [
        number
        for number in ranked[len(ranked) // 2 :]
        if number in short and number not in others and trials[number].epoch <= trials[leader].epoch
    ]
    return worse[int(rng.integers(len(worse)))] if worse else None


def _further(
    trials: Trials, short: Sequence[int], found: Belief, n_initial: int, rng: np.random.Generator
) -> int | None:
    """The trial of a further long run, drawn at random. None if none is due.

    As long as early epochs are in doubt, another one is due as soon as the last has ended. While they are in doubt or
    ignored, the first `n_initial` trials come before all others, because they are spread over the space.
    """
    if found.concordance < DOUBT or found.first_epoch:
        first = trials.spread(n_initial)
        short = [number for number in short if number in first] or short
    given = 0
    for step in trials.steps:
        if step.reason == REASON:
            run = trials[step.trial]
            given += (min(step.until, run.epoch) if run.has_ended else step.until) - step.start
    in_doubt = found.concordance < DOUBT and given < DOUBT_SHARE * trials.spent
    waits = any(trials[number].until is not None for number in _with_long_run(trials))
    if (in_doubt and not waits) or given < LATER_SHARE * (trials.spent - LATER_DELAY * trials.high):
        return short[int(rng.integers(len(short)))]
    return None


def _with_long_run(trials: Trials) -> list[int]:
    """The numbers of the trials with a long run, in the order in which these began."""
    return list(dict.fromkeys(step.trial for step in trials.steps if step.reason == REASON))


def _approaches(trials: Trials, challenger: Trial, leader: Trial) -> bool:
    """Whether a challenger would reach the leader by the end of the long runs, or has already passed it.

    Between its last two rungs, their distance shrank. It is continued as a straight line over the logarithm of epochs.
    A challenger waits for a leader that has not come so far yet.
    """
    epoch = challenger.epoch
    if _last(leader, late_epoch(trials)) < epoch:
        return False
    if epoch <= trials.rungs[0]:
        return True
    before = max(rung for rung in trials.rungs if rung < epoch)
    distance = _value(challenger, epoch) - _value(leader, epoch)
    shrank = _value(challenger, before) - _value(leader, before) - distance
    return distance <= max(0.0, shrank * math.log(late_epoch(trials) / epoch) / math.log(epoch / before))


def _has_failed(run: Trial, end: int) -> bool:
    """Whether a long run crashed or diverged before its end."""
    return run.has_ended and _last(run, end) < end


def _last(run: Trial, end: int) -> int:
    """The last epoch of a long run whose value is known. That of a trial that ended itself is known to the end."""
    return end if run.stands is not None else min(run.epoch, end)


def _value(trial: Trial, epoch: int) -> float:
    """The value of a trial at the last reported epoch up to `epoch`, inf if it is not finite."""
    value = trial.values.get(epoch)
    if value is None and epoch > trial.epoch and trial.stands is not None:
        value = trial.stands
    if value is None:
        value = trial.values[max((each for each in trial.values if each <= epoch), default=trial.epoch)]
    return value if math.isfinite(value) else math.inf


def _concordance(runs: Sequence[Trial], rung: int, end: int) -> float:
    """The share of pairs of long runs that `rung` is believed to order as the last epoch of both, up to `end`.

    A pair counts as much as its late values differ, because noise orders close values, but no more than `MAX_WEIGHT`
    times the median pair: one bad run says little of the others. A tie at the rung counts as half right.
    """
    pairs = [
        _compared(run, other, rung, min(_last(run, end), _last(other, end))) for run, other in combinations(runs, 2)
    ]
    weighty = [(right, weight) for right, weight in pairs if weight > 0]
    if not weighty:
        return PRIOR_CONCORDANCE
    limit = MAX_WEIGHT * median([weight for _, weight in weighty if weight < math.inf] or [1.0])
    weights = [min(weight, limit) for _, weight in weighty]
    share = sum(right * weight for (right, _), weight in zip(weighty, weights, strict=True)) / sum(weights)
    return (share * len(weighty) + PRIOR_CONCORDANCE * PRIOR_PAIRS) / (len(weighty) + PRIOR_PAIRS)


def _compared(run: Trial, other: Trial, rung: int, late: int) -> tuple[float, float]:
    """Whether a rung orders two trials as epoch `late` does (0.5 for a tie), and how far apart they are at that epoch.

    They are 0 apart if nothing can be compared.
    """
    late_values = _value(run, late), _value(other, late)
    if late <= rung or late_values[0] == late_values[1]:
        return 0.5, 0.0
    early_values = _value(run, rung), _value(other, rung)
    apart = abs(late_values[0] - late_values[1])
    if early_values[0] == early_values[1]:
        return 0.5, apart
    return float((early_values[0] < early_values[1]) == (late_values[0] < late_values[1])), apart
