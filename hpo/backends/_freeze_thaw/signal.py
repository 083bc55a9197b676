"""The check whether early epochs tell configurations apart at all, or show noise only.

It looks at the first trials of a search, which are spread over the space. At an epoch that tells configurations apart,
the values of different trials differ by more than those of one trial from epoch to epoch. If those of the first rung do
not, some of the trials train on to the next rung, until they do or half of the last epoch is reached.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import f

from hpo.backends._freeze_thaw.steps import late_epoch
from hpo.backends._freeze_thaw.trials import Trial, Trials
from hpo.space.encoding import FloatArray

N_CHECKED = 4
"""The number of the first trials that train on if the first rung shows noise only."""
MIN_CHECKED = 3
"""With fewer trials that can be compared, the check ends."""
MAX_CHANCE = 0.01
"""Trials differ if the probability that noise alone makes them differ so much is lower than this, by an F test."""
REASON = "signal check"
"""The reason of a step that the check needs."""


class Signal(NamedTuple):
    """What the first trials show."""

    epoch: int
    """The first rung that tells configurations apart, or is not known not to. 0 if it is the first one."""
    needed: tuple[int, ...] = ()
    """The numbers of the trials that must train to this rung, so that it can be judged."""


def signal(trials: Trials, n_initial: int) -> Signal:
    """The first rung at which the first trials can be told apart. The first rung is judged by `n_initial` trials,
    and nothing is judged before there are so many. Trials that are the best of an earlier study are not among them.

    Losses of different training phases cannot be compared, so a search with such phases is not judged.
    """
    rung = trials.rungs[0]
    if len(first := trials.spread(n_initial)) < n_initial:
        return Signal(0)
    for position, rung in enumerate(trials.rungs):
        shown = rung if position else 0
        alive = [n for n in first[: N_CHECKED if position else n_initial] if _is_comparable(trials[n], rung)]
        if len(alive) < MIN_CHECKED or trials.have_phases or rung >= late_epoch(trials):
            return Signal(shown)
        if needed := tuple(n for n in alive if trials[n].epoch < rung):
            return Signal(shown, needed if position else ())
        curves = np.array([[trials[n].values[epoch] for epoch in _window(rung)] for n in alive])
        if tells_apart(curves):
            return Signal(shown)
    return Signal(rung)


def tells_apart(curves: FloatArray) -> bool:
    """Whether the rows of `curves`, of shape (trials, epochs), differ by more than noise makes them differ.

    The mean curve of all trials is taken off. The noise of an epoch is estimated from second differences of the rest:
    a curve that falls evenly has none. With only two epochs, it is estimated from their difference.
    """
    m, n_epochs = curves.shape
    if n_epochs < 2:
        return True
    values = np.log(curves) if curves.min() > 0 else curves
    values = values - values.mean(axis=0)
    correction = m / (m - 1)
    between = n_epochs * values.mean(axis=1).var() * correction
    order = min(2, n_epochs - 1)
    # The variance of a difference of noise is 2 times that of the noise, and that of a second difference 6 times.
    within = (np.diff(values, order, axis=1) ** 2).mean() / (2 if order == 1 else 6) * correction
    if within == 0:
        return bool(between > 0)
    # Second differences overlap, so each further one tells half as much as the first.
    freedom = (m - 1) * (1 + (n_epochs - order - 1) / 2)
    return bool(f.sf(between / within, m - 1, freedom) < MAX_CHANCE)


def _is_comparable(trial: Trial, rung: int) -> bool:
    """Whether the values of a trial up to a rung are finite, or may become so."""
    if trial.epoch < rung:
        return not trial.has_ended
    return all(math.isfinite(trial.values.get(epoch, math.nan)) for epoch in _window(rung))


def _window(rung: int) -> range:
    """The epochs that are compared for a rung: about the later half of those up to it."""
    return range(1 if rung <= 3 else rung // 2, rung + 1)
