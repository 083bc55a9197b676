"""What tests know of kept predictions: those of a folder, and the metrics that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.record import Trial
from hpo.training.epoch_records import EpochRecord
from hpo.training.prediction_files import PredictionFiles, decode
from hpo.trial import Report


@dataclass(frozen=True)
class Kept:
    """The content of the file of a trial, with its targets."""

    epoch: int
    logits: NDArray[np.float16]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]

    def metrics(self) -> dict[str, float]:
        """The mean of each metric over the folds."""
        folds = [_metrics(self.logits[self.folds == fold], self.labels[self.folds == fold]) for fold in set(self.folds)]
        return {name: float(np.mean([each[name] for each in folds])) for name in folds[0]}


def kept(folder: Path, trial: int = 0) -> Kept | None:
    """The newest predictions of a trial, None if none are kept."""
    files = PredictionFiles(folder)
    arrays: dict[str, Any] = {**decode(next(files.read(trial), None)), **decode(files.read_targets())}
    if "logits" not in arrays:
        return None
    return Kept(int(arrays["epoch"]), arrays["logits"], arrays["labels"], arrays["folds"])


def check_kept(
    folder: Path, reports: Iterable[Report], *, objective: str = "val_loss", all_epochs: bool = True
) -> Kept:
    """Check that the predictions of a trial are those of its best epoch, and give the metrics on record.

    With `all_epochs`, check also what is kept of each epoch.
    """
    listed = list(reports)
    best = Trial(listed[0].trial, {}, 1, 0, {}, listed, objective=objective).best
    assert best is not None
    found = kept(folder, best.trial)
    assert found is not None
    assert found.epoch == best.fidelity
    if not all_epochs:
        return found
    epochs = list(PredictionFiles(folder).read_epochs(best.trial))
    assert [each.epoch for each in epochs] == [report.fidelity for report in listed]
    for each, report in zip(epochs, listed, strict=True):
        check_epoch(each, report.metrics, found)
    last = epochs[found.epoch - 1]
    assert (last.predicted == found.logits.argmax(axis=1)).all()
    assert found.metrics() == expected(best.metrics)
    return found


def check_epoch(record: EpochRecord, metrics: Mapping[str, float], kept: Kept) -> None:
    """Check that what is kept of an epoch gives its metrics on record."""
    folds = [kept.folds == fold for fold in set(kept.folds)]
    accuracies = [float((record.predicted[fold] == kept.labels[fold]).mean()) for fold in folds]
    losses = [float(record.losses[fold].mean(dtype=np.float64)) for fold in folds]
    assert {"loss": np.mean(losses), "accuracy": np.mean(accuracies)} == expected(metrics)


def expected(metrics: Mapping[str, float]) -> dict[str, object]:
    """Recorded metrics, as they follow from float16: those of the predicted classes exactly."""
    accuracy = pytest.approx(metrics["val_accuracy"], rel=1e-12)
    return {"loss": pytest.approx(metrics["val_loss"], rel=2e-3, abs=1e-5), "accuracy": accuracy}


def _metrics(logits: NDArray[np.float16], labels: NDArray[np.int64]) -> dict[str, float]:
    """The loss is the plain cross-entropy: no smoothing, no class weights."""
    values = logits.astype(np.float64)
    log_probabilities = values - np.log(np.exp(values).sum(axis=1, keepdims=True))
    loss = -float(log_probabilities[np.arange(len(labels)), labels].mean())
    return {"loss": loss, "accuracy": float((values.argmax(axis=1) == labels).mean())}
