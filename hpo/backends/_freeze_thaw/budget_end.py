"""The end of the budget: the best trials are trained to their last epochs, where losses are usually lowest.

A search that only compares trials can leave its best ones paused. The result of a search is a trained model, so the
last epochs of the budget go to the favourite: the trial with the lowest expected final value.
"""

from __future__ import annotations

from collections.abc import Callable

from hpo.backends._freeze_thaw.model import Prediction
from hpo.backends._freeze_thaw.trials import Trials

REASON = "end of the budget"
"""The reason of a step to the last epoch."""
LAST_SHARE, LAST_TRAININGS = 0.2, 2.0
"""The budget is near its end if less than this share of it is left, but at most so many full trainings."""


def is_near(trials: Trials, left: int) -> bool:
    """Whether the budget is near its end, if `left` more epochs may be suggested."""
    return left < min(LAST_SHARE * (trials.spent + left), LAST_TRAININGS * trials.high)


def finished(trials: Trials, left: int, predict: Callable[[], Prediction | None]) -> int | None:
    """The paused trial that must train to the last epoch now, because `left` epochs would not be enough for it later.

    This is the favourite. None if nothing must be done yet.
    """
    if left >= trials.high:
        return None
    number = _favourite(trials, predict())
    if number is None or not trials[number].is_paused or trials.high - trials[number].epoch <= left:
        return None
    return number


def _favourite(trials: Trials, prediction: Prediction | None) -> int | None:
    """The trial with the lowest expected final value. None if no trial has a finite value."""
    if prediction is None:
        return None
    numbers = [number for number, trial in enumerate(trials) if trial.values and not trial.has_crashed]
    return min(numbers, key=lambda number: (prediction.means[number], number), default=None)
