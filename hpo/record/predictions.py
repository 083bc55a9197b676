"""The validation predictions of a study, as arrays: the logits of each trial at its best epoch, and the labels.

Of all epochs, there are the loss and the predicted class of each image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo.record.history import Trial
from hpo.record.study_folder import StudyFolder
from hpo.training.epoch_records import EpochRecord
from hpo.training.prediction_files import PredictionFiles, decode, targets_digest


@dataclass(frozen=True)
class ValidationPredictions:
    """The logits of some trials for the images of the validation part, which all of them share."""

    labels: NDArray[np.int64]
    """(n_images,): the index of the class of each image."""
    folds: NDArray[np.int64]
    """(n_images,): the fold that validates each image. 0 for all without folds.

    The logits of an image are from the model that did not train on it.
    """
    logits: Mapping[int, NDArray[np.float16]]
    """The logits by the number of the trial, finite, (n_images, n_classes) each, in the order of the labels.

    The highest of each image is 0: the maximum was subtracted, which changes no probability.
    """
    groups: NDArray[np.int64] | None = None
    """(n_images,): equal numbers stand for images of one group. None without groups, and in earlier versions."""


def read(study: StudyFolder, trials: Iterable[Trial]) -> ValidationPredictions | None:
    """Read the predictions of trials. Returns None if the study kept none.

    Only those at the trial's best epoch on record are read: see `Trial.best`. A trial may train meanwhile, or may have
    been killed: of its two files, the one of this epoch is read. A trial is left out if it has no such file, if it
    crashed, or if its file is damaged or was written for other validation images. All predictions are in memory
    together, 2 bytes for each logit, so pass only the trials that are needed.
    """
    files = PredictionFiles(study.predictions)
    targets = decode(files.read_targets())
    labels, folds = (_integers(targets.get(name), 1) for name in ("labels", "folds"))
    if labels is None or folds is None or labels.shape != folds.shape or not len(labels) or labels.min() < 0:
        return None
    digest, groups = targets_digest(labels, folds), _integers(targets.get("groups"), 1)
    logits: dict[int, NDArray[np.float16]] = {}
    for trial in trials:
        if trial.best is None or trial.crash is not None:
            continue
        for content in files.read(trial.number):
            found = _logits(decode(content), trial.best.fidelity, labels, digest)
            if found is not None:
                logits[trial.number] = found
                break
    has_groups = groups is not None and groups.shape == labels.shape
    return ValidationPredictions(labels, folds, logits, groups if has_groups else None)


def read_epochs(study: StudyFolder, trial: Trial, kept: ValidationPredictions) -> dict[int, EpochRecord]:
    """Read the loss and the predicted class of each image after each epoch of a trial on record, by the epoch.

    An epoch is left out if it was not kept, or is damaged, or was kept for other images than those of `kept`.
    """
    digest, n_images = targets_digest(kept.labels, kept.folds), len(kept.labels)
    return {
        each.epoch: each
        for each in PredictionFiles(study.predictions).read_epochs(trial.number)
        if each.targets == digest and len(each.losses) == n_images and 0 < each.epoch <= trial.epoch
    }


def missing_because(study: StudyFolder, trial: Trial) -> str:
    """Return in a few words why `read` leaves out a trial, after "the validation predictions of trial 3"."""
    files = PredictionFiles(study.predictions)
    raw = next(files.read(trial.number), None)
    if raw is None:
        return "were not kept"
    content, targets = decode(raw), decode(files.read_targets())
    labels, folds = (_integers(targets.get(name), 1) for name in ("labels", "folds"))
    digest, epoch = _integers(content.get("targets"), 0), _integers(content.get("epoch"), 0)
    if labels is not None and folds is not None and digest is not None and digest != targets_digest(labels, folds):
        return "were kept for other images"
    if epoch is not None and trial.best is not None and epoch != trial.best.fidelity:
        return "are those of another epoch"
    return "are damaged"


def _logits(
    content: Mapping[str, NDArray[np.generic]], epoch: int, labels: NDArray[np.int64], digest: int
) -> NDArray[np.float16] | None:
    """Return the logits in the file of a trial. None if they are those of another epoch or other images, or damaged."""
    found, logits = _integers(content.get("epoch"), 0), content.get("logits")
    targets = _integers(content.get("targets", np.int64(digest)), 0)  # without it, only the shape is checked
    if found is None or found != epoch or targets is None or targets != digest or logits is None:
        return None
    if logits.dtype != np.float16 or logits.ndim != 2 or len(logits) != len(labels) or logits.shape[1] <= labels.max():
        return None
    return logits.astype(np.float16, copy=False) if bool(np.isfinite(logits).all()) else None


def _integers(values: NDArray[np.generic] | np.generic | None, n_dimensions: int) -> NDArray[np.int64] | None:
    """Return an array of integers as int64. None if it is none, or has another number of dimensions."""
    if values is None or values.ndim != n_dimensions or values.dtype.kind not in "iu":
        return None
    return np.asarray(values).astype(np.int64)
