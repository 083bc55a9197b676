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


def check_kept(folder: Path, reports: Iterable[Report], *, objective: str = "val_loss") -> Kept:
    """Check that the predictions of a trial are those of its best epoch, and give the metrics on record."""
    listed = list(reports)
    best = Trial(listed[0].trial, {}, 1, 0, {}, listed, objective=objective).best
    assert best is not None
    found = kept(folder, best.trial)
    assert found is not None
    assert found.epoch == best.fidelity
    assert found.metrics() == expected(best.metrics)
    return found


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
