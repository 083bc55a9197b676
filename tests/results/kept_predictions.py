"""A study of known trials whose validation predictions were kept. Nothing was trained."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.record import Budget, Settings, StudyFolder, Trial
from hpo.results.confidence import Confidence, confidence
from hpo.space import Fidelity, Float, SearchSpace, Task, Validation
from hpo.space.objectives import ERRORS, metric_of, own_function
from hpo.statistics import per_image
from hpo.training import epoch_records
from hpo.training.own_objective import objective_digest, on_arrays
from hpo.training.prediction_files import PredictionFiles, targets_digest
from hpo.trial import Report, Suggestion

N_CLASSES = 4


def kept_study(
    folder: Path,
    skills: Sequence[float],
    n_images: int,
    *,
    objective: str = "val_error",
    folds: int | None = None,
    weight: float = 1.0,
    epochs: int = 1,
    keeps_epochs: bool = True,
    factors: Mapping[int, float] | None = None,
    group_size: int = 0,
) -> StudyFolder:
    """Write a study with one trial for each skill: the logit that the true class has more than the others.

    `weight` is a factor of the recorded objective, as if the training had weighted its images. A trial has so many
    `epochs`, of the same skill. Without `keeps_epochs`, only the best of them is kept, as in earlier versions.
    `factors` multiply the logits of trials, as in a divergence: what float16 cannot hold of them is cut off.
    So many images as `group_size` are of one group, and copies of each other. 0: there are no groups.
    """
    folder.mkdir()
    validation = Validation(folds=folds) if folds else Validation()
    space = SearchSpace("kept", {"lr": Float(1e-4, 1.0, log=True)}, Fidelity(9), Task(validation=validation))
    space = replace(space, objective=objective)
    is_own = own_function(objective) is not None
    digest_of_own = objective_digest(space) if is_own else None
    study = StudyFolder(folder, space, Settings(runner="inline"), Budget(), objective_digest=digest_of_own)
    rng = np.random.default_rng(len(skills) + n_images)
    labels = rng.integers(N_CLASSES, size=n_images)
    parts = np.arange(n_images) % (folds or 1)
    shared = rng.standard_normal((n_images, N_CLASSES))
    groups = np.arange(n_images) // max(group_size, 1)
    labels, shared = labels[groups], shared[groups]
    ledger = study.begin()  # it deletes what an earlier study left
    study.predictions.mkdir(parents=True, exist_ok=True)
    of_groups = {"groups": groups} if group_size else {}
    _write(study.predictions / "targets.npz", labels=labels, folds=parts, **of_groups)
    digest = targets_digest(labels, parts)
    for number, skill in enumerate(skills):
        ledger.suggest(Suggestion(number, {"lr": 1e-3 * (number + 1)}, 9))
        trial = Trial(number, {}, 9, 0, {}, objective=metric_of(objective))
        of_epochs = []
        for epoch in range(1, epochs + 1):
            own = rng.standard_normal((n_images, N_CLASSES))[groups]
            logits = (0.8 * shared + 0.6 * own + skill * np.eye(N_CLASSES)[labels]).astype(np.float16)
            if factor := (factors or {}).get(number):
                logits = logits.astype(np.float32) * factor
                logits -= logits.max(axis=1, keepdims=True)
            of_epochs.append(np.maximum(logits, -65504).astype(np.float16))
            means = {name: _mean(name, logits, labels, parts) for name in ("val_loss", *ERRORS)}
            metrics = {"val_loss": means["val_loss"]} | {metric: 1 - means[error] for error, metric in ERRORS.items()}
            if is_own:
                means[objective] = float(
                    np.mean([on_arrays(space)(logits[parts == part], labels[parts == part]) for part in set(parts)])
                )
            metrics |= {metric_of(objective): means[objective] * weight}
            loss = min(means[objective] * weight, trial.loss)
            report = Report(number, epoch, loss, metrics, 1.0, last=epoch == epochs)
            trial.add(report)
            ledger.record(report)
            values = per_image("val_loss", logits, labels, parts * 0)
            assert values is not None
            losses, predicted = values.astype(np.float32), logits.argmax(axis=1)
            content = epoch_records.encode(epoch, losses, predicted, digest)
            if content is not None and keeps_epochs:
                PredictionFiles(study.predictions).write_epoch(number, content)
        assert trial.best is not None
        best = trial.best.fidelity
        _write(study.predictions / f"{number}.npz", epoch=np.int64(best), logits=of_epochs[best - 1])
    ledger.close_unfinished("the budget is spent")
    ledger.close()
    return study


def _mean(objective: str, logits: NDArray[np.floating], labels: NDArray[np.int64], folds: NDArray[np.int64]) -> float:
    values = per_image(objective, logits, labels, folds)
    assert values is not None
    return float(values.mean())


def _write(path: Path, **arrays: NDArray[np.generic] | np.generic) -> None:
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    path.write_bytes(content.getvalue())


def known_of(study: StudyFolder) -> Confidence:
    """The confidence of a study, which must be known."""
    known, reason = confidence(study, study.history()[0])
    assert known is not None, reason
    assert reason == ""
    return known


def unknown_because(study: StudyFolder) -> str:
    """Why the confidence of a study is not known, which must be so."""
    known, reason = confidence(study, study.history()[0])
    assert known is None
    return reason


def digest_of(study: StudyFolder) -> int:
    with np.load(study.predictions / "targets.npz") as targets:
        return targets_digest(targets["labels"], targets["folds"])
