"""How sure the results of a search are: intervals, the trials that may be as good as the best, and the best's estimate.

All of it is computed from the validation predictions that the search kept. Nothing is trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.record import History, StudyFolder, Trial
from hpo.record import predictions as kept_predictions
from hpo.record.predictions import ValidationPredictions
from hpo.space.objectives import ERRORS, own_function
from hpo.statistics import Chosen, Interval, chosen, mean_interval, not_apart, of_folds, per_image

SEED = 0
"""The seed of the resampling: a study gives the same numbers each time."""
MAX_TRIALS = 500
"""The largest number of trials that are compared: the best ones."""
MAX_LOGITS = {"val_auroc_error": 2**22}
"""The largest number of logits that are read, by the objective: those of the AUROC are sorted, which takes longer."""
MAX_LOGITS_OTHERS = 2**25
MIN_TRIALS = 20
"""The number of trials that are compared at least, however many logits they have."""
TOLERANCE = 0.02
"""The largest difference between a recorded objective and that of the predictions, as a share of it.

Beyond it, the objective is another function than ours, such as a loss with weights for the classes.
"""
LOTTERY_AGAIN = 0.5
"""A choice may be a lottery if less than this share of the choices on four fifths of the images agree with it."""
LOTTERY_LUCK = 0.1
"""It is one if also the luck of being chosen is more than this share of the corrected estimate."""


@dataclass(frozen=True)
class Confidence:
    """How sure the results of a search are. All values are on the scale of the objective, which is minimised."""

    objective: str
    """The objective, as `val_error`."""
    n_images: int
    """The number of validation images, over all folds."""
    n_searched: int
    """The number of trials that the best was chosen from: those with a finite loss."""
    compared: tuple[int, ...]
    """The numbers of the trials that were compared, best first: the best of the search whose predictions were kept."""
    intervals: Mapping[int, Interval]
    """The 95 % interval of each compared trial by its number.

    It is that of a trial named in advance. For the best, which was chosen for its result, it is too optimistic: see
    `best_interval`.
    """
    best: int
    """The number of the best trial."""
    not_apart: tuple[int, ...]
    """The other compared trials that cannot be told apart from the best, best first."""
    recorded: float
    """The objective of the best trial in the search. It is optimistic, because the trial was chosen for it."""
    corrected: float
    """The estimate of the objective of the best trial on new images, with the luck of being chosen taken off."""
    best_interval: Interval
    """The 95 % interval of the best trial on new images, in which its having been chosen is accounted for."""
    folds: tuple[float, ...]
    """The objective of the best trial in each fold. Empty without folds."""
    is_lottery: bool
    """Whether the validation part is too small to choose between the best trials. `advice` says what to do then."""
    advice: str
    """What to do if the choice is a lottery, as a sentence. Empty if it is none."""


def confidence(study: StudyFolder, history: History) -> Confidence | None:
    """Return how sure the results of a study are. None if that is not known: `unknown_because` says why.

    It gives the same result each time, and takes up to about two seconds.
    """
    found = _values(study, history)
    if isinstance(found, str):
        return None
    order = sorted(found.of_trials)  # the order of the trials must not depend on their results: see `chosen`
    rows = np.stack([found.of_trials[number] for number in order])
    best, is_share = order.index(found.best.number), found.is_share
    breakers = None if found.losses is None else np.stack([found.losses[number] for number in order])
    rng = np.random.default_rng(SEED)
    apart = not_apart(rows, best, rng)
    choice = chosen(rows, best, rng, is_share=is_share, tie_breakers=breakers)
    intervals = {number: mean_interval(rows[i].astype(np.float64), is_share=is_share) for i, number in enumerate(order)}
    together = {number for number, is_near in zip(order, apart, strict=True) if is_near}
    compared = tuple(trial.number for trial in history.ranked() if trial.number in found.of_trials)
    advice = _advice(study, choice, float(found.best.loss), rows.shape[1])
    return Confidence(
        objective=study.space.objective,
        n_images=rows.shape[1],
        n_searched=len(history.ranked()),
        compared=compared,
        intervals=intervals,
        best=found.best.number,
        not_apart=tuple(number for number in compared if number in together and number != found.best.number),
        recorded=found.best.loss,
        corrected=choice.estimate,
        best_interval=choice.interval,
        folds=tuple(of_folds(rows[best].astype(np.float64), found.folds)),
        is_lottery=bool(advice),
        advice=advice,
    )


def unknown_because(study: StudyFolder, history: History) -> str | None:
    """Return in a few words why `confidence` returns None. None if it does not."""
    found = _values(study, history)
    return found if isinstance(found, str) else None


@dataclass(frozen=True)
class _Values:
    """The objective of the compared trials, one value for each validation image."""

    best: Trial
    of_trials: Mapping[int, NDArray[np.float32]]
    """(n_images,) by the number of the trial."""
    losses: Mapping[int, NDArray[np.float32]] | None
    """The validation losses, which decide between equal errors. None if the objective is no error."""
    folds: NDArray[np.int64]
    is_share: bool


def _values(study: StudyFolder, history: History) -> _Values | str:
    """The values of the compared trials. In place of them, why there are none."""
    ranked, objective = history.ranked(), study.space.objective
    if not ranked:
        return "no trial has a finite loss"
    if own_function(objective) is not None:
        return "the objective is a function of your own"
    first = kept_predictions.read(study, ranked[:1])
    if first is None:
        return "no validation predictions were kept"
    if ranked[0].number not in first.logits:
        return f"the validation predictions of trial {ranked[0].number} were not kept"
    n_logits = first.logits[ranked[0].number].size
    n_trials = max(MIN_TRIALS, MAX_LOGITS.get(objective, MAX_LOGITS_OTHERS) // n_logits)
    found = kept_predictions.read(study, ranked[: min(n_trials, MAX_TRIALS)]) or first
    by_number = {trial.number: trial for trial in ranked}
    of_trials = {}
    for number in found.logits:
        values = _centred(by_number[number], objective, found)
        if values is not None:
            of_trials[number] = values
    if ranked[0].number not in of_trials:
        return "the objective is weighted or smoothed, and is not the plain one of the predictions"
    return _Values(ranked[0], of_trials, _tie_breakers(objective, found, of_trials), found.folds, objective in ERRORS)


def _centred(trial: Trial, objective: str, found: ValidationPredictions) -> NDArray[np.float32] | None:
    """The values of a trial, whose mean is its recorded objective. None if the predictions give another objective.

    The predictions are float16, so their objective may differ a little from the recorded one.
    """
    values = per_image(objective, found.logits[trial.number], found.labels, found.folds)
    assert values is not None, "the objective is one of ours"
    difference = trial.loss - float(values.mean())
    if not abs(difference) <= max(TOLERANCE * abs(trial.loss), 2 / len(values)):
        return None
    is_plain = objective in ("val_error", "val_top5_error")  # its values are 0 and 1
    return (values if is_plain else values + difference).astype(np.float32)


def _tie_breakers(
    objective: str, found: ValidationPredictions, numbers: Mapping[int, object]
) -> dict[int, NDArray[np.float32]] | None:
    """The validation loss of each image, by the number of the trial: the search ranks equal errors by it."""
    if objective not in ERRORS:
        return None
    losses = {number: per_image("val_loss", found.logits[number], found.labels, found.folds) for number in numbers}
    return {number: values.astype(np.float32) for number, values in losses.items() if values is not None}


def _advice(study: StudyFolder, choice: Chosen, recorded: float, n_images: int) -> str:
    """What to do if the choice of the best trial is a lottery. Empty if it is none."""
    luck = choice.estimate - recorded
    if choice.again >= LOTTERY_AGAIN or luck <= LOTTERY_LUCK * abs(choice.estimate):
        return ""
    validation = study.space.task.validation
    folds = "" if validation.folds else "with `folds: 5`, which judges each trial on all images of the search, or "
    return (
        f"{n_images} validation images do not suffice to choose: with four fifths of them, another trial is the best "
        f"in {1 - choice.again:.0%} of cases. Search {folds}with more validation images, and test several of the best "
        "with several seeds."
    )
