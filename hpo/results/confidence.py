"""How sure the results of a search are: intervals, the trials that may be as good as the best, and the best's estimate.

All of it is computed from the validation predictions that the search kept. Nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.record import History, StudyFolder
from hpo.results.beyond_float16 import are_beyond
from hpo.results.validation_values import ValidationValues, read_values
from hpo.statistics import Chosen, Interval, chosen, intervals_of_trials, mean_interval, not_apart, of_folds

SEED = 0
"""The seed of the resampling: a study gives the same numbers each time."""
LOTTERY_SHARE = 0.5
"""A choice may be a lottery if less than this share of the choices on four fifths of the images agree with it."""
LOTTERY_LUCK = 0.1
"""It is one if also the luck of being chosen is more than this share of the corrected estimate."""


@dataclass(frozen=True)
class Confidence:
    """How sure the results of a search are. All values are on the scale of the objective, which is minimised."""

    objective: str
    """The objective, as `val_error`, or the metric of a function of the user, as `val_cost`."""
    n_images: int
    """The number of validation images, over all folds."""
    n_groups: int | None
    """The number of their groups, which are independent instead of the images. None without groups.

    None also if the groups are not on record: then the images are taken as independent.
    """
    n_searched: int
    """The number of trials that the best was chosen from: those with a finite loss."""
    compared: tuple[int, ...]
    """The numbers of the trials that were compared, best first: the best of the search whose predictions were kept."""
    intervals: Mapping[int, Interval]
    """The 95 % interval of each compared trial by its number.

    It is that of a trial named in advance, with the luck of its best epoch taken off if its epochs were kept. For the
    best, which was chosen for its result, it is too optimistic: see `best_interval`.
    """
    best: int
    """The number of the best trial. It is among the compared ones, unless its predictions are missing."""
    as_good: tuple[int, ...]
    """The other compared trials that cannot be told apart from the best, best first. Empty if the best is missing."""
    recorded: float
    """The objective of the best trial in the search. It is optimistic, because the trial was chosen for it."""
    corrected: float | None
    """The estimate of the objective of the best trial on new images, with the luck of being chosen taken off.

    It is the luck of being the best of the compared trials, and the best epoch of the trial: see `n_with_epochs`. None
    if trials are missing that might have been chosen: see `uncorrected_because`.
    """
    n_with_epochs: int
    """The number of compared trials whose epoch is chosen again, too. Of the others, only the best epoch was kept."""
    best_interval: Interval | None
    """The 95 % interval of the best trial on new images, in which its having been chosen is accounted for.

    None if `corrected` is.
    """
    uncorrected_because: str
    """Why `corrected` is None, in a few words. Empty if it is known."""
    folds: tuple[float, ...]
    """The objective of the best trial in each fold. Empty without folds."""
    is_lottery: bool
    """Whether the validation part is too small to choose between the best trials. `advice` says what to do then."""
    advice: str
    """What to do if the choice is a lottery, as a sentence. Empty if it is none."""


def confidence(study: StudyFolder, history: History) -> tuple[Confidence | None, str]:
    """Return how sure the results of a study are. If that is not known, None, and why in a few words.

    It gives the same result each time. It may take some seconds, or, if the objective is a function of the
    user, up to about 10,000 calls of it.
    """
    found = read_values(study, history)
    if isinstance(found, str):
        return None, found
    rng = np.random.default_rng(SEED)
    near = _as_good(found, rng)
    choice = _choice(found, rng)
    advice = "" if choice is None else _advice(study, choice, found)
    of_best = found.of_trials.get(found.best.number)
    known = Confidence(
        objective=study.space.metric,
        n_images=len(found.labels),
        n_groups=found.n_groups,
        n_searched=found.n_searched,
        compared=found.compared,
        intervals=_intervals(found),
        best=found.best.number,
        as_good=near,
        recorded=found.best.loss,
        corrected=None if choice is None else choice.estimate,
        n_with_epochs=found.epochs.n_complete,
        best_interval=None if choice is None else choice.interval,
        uncorrected_because=found.incomplete,
        folds=() if of_best is None else tuple(of_folds(of_best.astype(np.float64), found.folds)),
        is_lottery=bool(advice),
        advice=advice,
    )
    return known, ""


def _intervals(found: ValidationValues) -> dict[int, Interval]:
    """The interval of each compared trial by its number.

    The epochs of a trial that diverged are kept as float16, which does not hold its losses.
    """
    rng, kinds = np.random.default_rng(SEED), {"is_share": found.is_share, "is_signed": found.is_signed}
    with_epochs = intervals_of_trials(found.epochs.values, rng, **kinds)
    return {
        number: with_epochs[number] if number in with_epochs and not are_beyond(values) else _interval(values, found)
        for number, values in found.of_trials.items()
    }


def _interval(values: NDArray[np.float32], found: ValidationValues) -> Interval:
    """The interval of a trial with these values of the images, as if it had been named in advance."""
    return mean_interval(
        values.astype(np.float64),
        is_share=found.is_share,
        is_signed=found.is_signed,
        groups=found.groups,
        folds=found.folds_of_groups,
    )


def _as_good(found: ValidationValues, rng: np.random.Generator) -> tuple[int, ...]:
    """The compared trials that cannot be told apart from the best, best first, without it."""
    if found.best.number not in found.of_trials:
        return ()
    order = sorted(found.compared)
    best = order.index(found.best.number)
    is_near = not_apart(
        found.array(), best, rng, is_share=found.is_share, groups=found.groups, folds=found.folds_of_groups
    )
    near = {number for number, each in zip(order, is_near, strict=True) if each}
    return tuple(number for number in found.compared if number in near and number != found.best.number)


def _choice(found: ValidationValues, rng: np.random.Generator) -> Chosen | None:
    """The corrected estimate of the best trial. None if the choice cannot be repeated."""
    if found.incomplete:
        return None
    return chosen(found.epochs.values, found.epochs.best, rng, is_share=found.is_share, is_signed=found.is_signed)


def _advice(study: StudyFolder, choice: Chosen, found: ValidationValues) -> str:
    """What to do if the choice of the best trial is a lottery. Empty if it is none."""
    luck = choice.estimate - found.best.loss
    if choice.share_of_choices >= LOTTERY_SHARE or luck <= LOTTERY_LUCK * abs(choice.estimate):
        return ""
    validation = study.space.task.validation
    folds = "" if validation.folds else "with `folds: 5`, which judges each trial on all images of the search, or "
    return (
        f"{len(found.labels)} validation images do not suffice to choose: with four fifths of them, another trial is "
        f"the best in {1 - choice.share_of_choices:.0%} of cases. Search {folds}with more validation images, and test "
        "several of the best with several seeds."
    )
