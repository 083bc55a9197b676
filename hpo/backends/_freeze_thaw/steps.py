"""The steps of trials: where they pause, and what is still to train."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hpo.backends._freeze_thaw.trials import Trials
from hpo.space import Fidelity
from hpo.space.encoding import FloatArray

FIRST_STEP = 3
"""The epochs of the first step of a trial, if the space's `fidelity.low` allows it."""
RUNG_GROWTH = 1.6
"""Each rung lies at about so many times the epochs of the rung below it."""
N_STEPS = 150
"""No step has fewer epochs than those spent so far, divided by this. It bounds the number of steps of a search."""
LATE_PART = 0.5
"""Epochs from this part of the last one on are late ones."""


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


def late_epoch(trials: Trials) -> int:
    """The first late epoch: long runs train to it."""
    return math.ceil(LATE_PART * trials.high)


def log_cost(trials: Trials, numbers: Sequence[int]) -> FloatArray:
    """For each of these trials, the logarithm of the number of epochs up to the last one."""
    return np.log([trials.high - trials[number].epoch for number in numbers])
