"""The objective of a study's trials as one value for each validation image, from the predictions that were kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpo.record import History, StudyFolder, Trial
from hpo.record import predictions as kept_predictions
from hpo.record.predictions import ValidationPredictions, missing_because
from hpo.results.beyond_float16 import with_recorded_mean
from hpo.results.epoch_values import Epochs, agree, read_all
from hpo.results.image_values import MIN_TRIALS, CannotCompute, ImageValues, image_values
from hpo.space.objectives import ERRORS, own_function
from hpo.statistics import Units, are_signed, per_image
from hpo.statistics.selection import largest_part

MENDED_BY_COPIES = ("were not kept", "are damaged")
"""The reasons of `missing_because` that copies of the files mend."""
NEEDS_LOGITS = " (training code of your own must offer `validation_logits`)"


@dataclass(frozen=True)
class ValidationValues:
    """The objective of the compared trials, one value for each validation image."""

    best: Trial
    """The best trial of the study. It may have no values."""
    compared: tuple[int, ...]
    """The numbers of the trials that have values, best first."""
    of_trials: Mapping[int, NDArray[np.float32]]
    """(n_images,) by the number of the trial. Their mean is the trial's recorded objective."""
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    groups: NDArray[np.int64] | None
    """(n_images,): the groups that are independent of each other. None if the images are.

    For a function of the user, they may be larger than those on record.
    """
    n_groups: int | None
    """The number of groups on record. None without groups, or if they are not on record."""
    folds_of_groups: NDArray[np.int64] | None
    """The folds if there are groups on record, which may make folds of very different size. Else None."""
    is_share: bool
    is_signed: bool
    """Whether the objective may be below 0: it is a function of the user, and some of its values are."""
    n_searched: int
    """The number of trials that the best was chosen from: those with a finite loss."""
    epochs: Epochs
    """The values of all epochs that the best one was chosen from."""
    incomplete: str
    """Why the choice of the best cannot be repeated: trials without values might have been chosen. Else empty."""

    def array(self) -> NDArray[np.float32]:
        """Return the values as an array, (n_trials, n_images), in the order of the trials' numbers."""
        return np.stack([self.of_trials[number] for number in sorted(self.compared)])


def read_values(study: StudyFolder, history: History) -> ValidationValues | str:
    """Read the values of the best trials of a study. If there are none, return why, in a few words."""
    ranked, objective = history.ranked(), study.space.objective
    if not ranked:
        return "no trial has a finite loss"
    first = next(iter(_read_each(study, ranked[:MIN_TRIALS])), None)
    if first is None:
        return _none_because(study, ranked)
    try:
        of_images = image_values(study, first)
        n_trials = of_images.n_trials(len(ranked))
        if not n_trials:
            return "the validation predictions are too large"
        kept = kept_predictions.read(study, ranked[:n_trials]) or first
        found = replace(kept, groups=of_images.groups)
        of_trials, differing, cut_off = _read_trials(ranked[:n_trials], objective, found, of_images)
    except CannotCompute as error:
        return str(error)
    if not of_trials or (differing and cut_off == set(of_trials)):
        return f"the objective {of_images.differs}"
    losses = _losses(objective, found, of_trials)
    folds_of_groups = None if kept.groups is None else found.folds
    epochs = read_all(study, of_trials, losses, found, [history.trials[number] for number in of_trials])
    return ValidationValues(
        best=ranked[0],
        compared=tuple(of_trials),
        of_trials=of_trials,
        labels=found.labels,
        folds=found.folds,
        groups=found.groups,
        n_groups=None if kept.groups is None else len(np.unique(kept.groups)),
        folds_of_groups=folds_of_groups,
        is_share=objective in ERRORS,
        is_signed=own_function(objective) is not None and are_signed(np.stack(list(of_trials.values()))),
        n_searched=len(ranked),
        epochs=epochs._replace(values=epochs.values._replace(folds=folds_of_groups)),
        incomplete=_incomplete(study, ranked[:n_trials], found, of_trials, differing),
    )


def _read_each(study: StudyFolder, trials: Iterable[Trial]) -> Iterable[ValidationPredictions]:
    """The predictions of each trial that has some, one after the other."""
    for trial in trials:
        found = kept_predictions.read(study, [trial])
        if found is not None and found.logits:
            yield found


def _read_trials(
    trials: Iterable[Trial], objective: str, found: ValidationPredictions, of_images: ImageValues
) -> tuple[dict[int, NDArray[np.float32]], set[int], set[int]]:
    """The values of trials, by their numbers; and the numbers of those whose predictions give another objective.

    The last ones are the numbers of those with values of which some logits were cut off.
    """
    of_trials: dict[int, NDArray[np.float32]] = {}
    differing, cut_off = set(), set()
    for trial in trials:
        if trial.number in found.logits:
            values, agrees = _centred(trial, objective, found, of_images)
            if values is None:
                differing.add(trial.number)
            else:
                of_trials[trial.number] = values
                cut_off |= set() if agrees else {trial.number}
    return of_trials, differing, cut_off


def _none_because(study: StudyFolder, ranked: list[Trial]) -> str:
    """Why none of the best trials has predictions."""
    if kept_predictions.read(study, []) is None:
        is_own = study.trainable_digest is not None and study.space.task.dataset is not None
        return f"no validation predictions were kept{NEEDS_LOGITS * is_own}"
    return f"the validation predictions of trial {ranked[0].number} {missing_because(study, ranked[0])}"


def _incomplete(
    study: StudyFolder,
    trials: list[Trial],
    found: ValidationPredictions,
    of_trials: Mapping[int, object],
    differing: Collection[int],
) -> str:
    """Why the choice of the best cannot be repeated, in a few words. Empty if all that may be chosen have values.

    If files are missing and others differ, it names the missing ones: they may be put back.
    """
    lacking = [
        trial for trial in trials if trial.number not in of_trials and _may_be_chosen(study, trials, trial, found)
    ]
    absent = [trial for trial in lacking if trial.number not in differing]
    named = absent or lacking
    if not named:
        return ""
    which = f"trial {named[0].number}" if len(named) == 1 else f"{len(named)} of {len(trials)} trials"
    if not absent:
        return f"the validation predictions of {which} give another {study.space.metric} than the recorded one"
    reason = missing_because(study, absent[0])
    files = f"predictions/{named[0].number}.npz" if len(named) == 1 else "their files in predictions/"
    remedy = f" (a copy of {files} brings them back)" if reason in MENDED_BY_COPIES else ""
    return f"the validation predictions of {which} {reason}{remedy}"


def _may_be_chosen(study: StudyFolder, trials: list[Trial], trial: Trial, found: ValidationPredictions) -> bool:
    """Whether a trial may be the best one without a part of the images, as far as that is known from its objective.

    A trial of errors is never chosen if it has more of them than the best one by more than there are images in a part.
    """
    if study.space.objective not in ("val_error", "val_top5_error") or found.folds.any():
        return True
    n_images = len(found.labels)
    return round((trial.loss - trials[0].loss) * n_images) <= largest_part(Units.of(found.groups, n_images))


def _centred(
    trial: Trial, objective: str, found: ValidationPredictions, of_images: ImageValues
) -> tuple[NDArray[np.float32] | None, bool]:
    """The values of a trial, whose mean is its recorded objective, and whether the predictions give it as they are.

    The predictions are float16, so their objective may differ a little from the recorded one, or much after a
    divergence. The values are None if the predictions give another objective.
    """
    logits = found.logits[trial.number]
    values = of_images.of_logits(logits)
    if not agree(values, trial.loss, objective):
        cut = with_recorded_mean(objective, values, logits, found.labels, trial.loss)
        return None if cut is None else cut.astype(np.float32), False
    difference = trial.loss - float(values.mean())
    is_plain = objective in ("val_error", "val_top5_error")  # its values are 0 and 1
    return (values if is_plain else values + difference).astype(np.float32), True


def _losses(
    objective: str, found: ValidationPredictions, numbers: Iterable[int]
) -> dict[int, NDArray[np.float32]] | None:
    """The validation loss of each image, by the number of the trial: the search ranks equal values by it."""
    if objective == "val_loss":
        return None
    losses = {number: per_image("val_loss", found.logits[number], found.labels, found.folds) for number in numbers}
    return {number: values.astype(np.float32) for number, values in losses.items() if values is not None}
