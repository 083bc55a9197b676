"""The end of the budget: the predicted best trial is trained to the last epoch, where values are usually lowest.

A search that only compares trials can leave its best one paused, but its result is a trained model. So the epochs that
the predicted best trial still needs are kept for it: the one with the lowest expected final value, of those that can
still reach the last epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from hpo.backends._freeze_thaw.model import Prediction
from hpo.backends._freeze_thaw.trials import Trial, Trials

REASON = "end of the budget"
"""The reason of a step that trains the predicted best trial to the last epoch."""
LAST_SHARE = 0.2
"""The budget is near its end if less than this share of it is left, and less than `LAST_TRAININGS`."""
LAST_TRAININGS = 2.0
"""In full trainings."""
MIN_TRIALS = 4
"""With fewer trials, there is no predicted best one."""


class Kept(NamedTuple):
    """Epochs that are kept for a trial."""

    trial: int
    epochs: int
    """Those after the step that it trains now, up to the last epoch. At least 1."""


def is_near_end(trials: Trials, left: int) -> bool:
    """Whether the budget is near its end, if `left` more epochs may be suggested."""
    running = (trials[number] for number in trials.running)
    total = trials.spent + left + sum((trial.until or 0) - trial.epoch for trial in running)
    return left < min(LAST_SHARE * total, LAST_TRAININGS * trials.high)


def kept(trials: Trials, trusted: int, left: int, predict: Callable[[], Prediction | None]) -> Kept | None:
    """The epochs that are kept for the predicted best trial, if `left` more epochs may be suggested.

    It is the best of the trials that have a finite value from epoch `trusted` on and can reach the last epoch. None if
    there are too few trials, or if this one needs no more epochs.
    """
    seen = {row.trial for row in trials.rows if row.epoch >= trusted and math.isfinite(row.value)}
    needed = {number: _needed(trials[number], trials.high) for number in seen if not trials[number].has_crashed}
    if len(needed) < MIN_TRIALS or (prediction := predict()) is None:
        return None
    able = [number for number in needed if needed[number] <= left]
    best = min(able, key=lambda number: (prediction.means[number], number), default=None)
    return None if best is None or needed[best] == 0 else Kept(best, needed[best])


def _needed(trial: Trial, high: int) -> int:
    """The epochs of a trial after the step that it trains now, up to the last epoch. 0 if it has ended."""
    return 0 if trial.has_ended else high - (trial.until or trial.epoch)
