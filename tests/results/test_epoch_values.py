"""The choice among all epochs of the trials, and the luck of the best one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.results import confidence_text
from hpo.results.confidence import Confidence
from hpo.results.validation_values import read_values
from hpo.training import epoch_records
from hpo.training.prediction_files import PredictionFiles
from tests.results.kept_predictions import digest_of, kept_study, known_of


def luck_words(known: Confidence) -> str:
    (line,) = [line for line in confidence_text.status_lines(known) if line.startswith("expect")]
    return line.partition(": ")[2]


@pytest.mark.parametrize(
    ("objective", "folds"),
    [("val_error", None), ("val_error", 3), ("val_loss", 3), ("val_balanced_error", 3), ("val_f1_error", None)],
)
def test_the_values_of_each_epoch_have_its_recorded_objective_as_mean(
    tmp_path: Path, objective: str, folds: int | None
) -> None:
    study = kept_study(tmp_path / "s", [1.0, 1.5], 60, objective=objective, folds=folds, epochs=4)
    history = study.history()[0]
    found = read_values(study, history)
    assert not isinstance(found, str)
    (values, ties, trials, *_), best, n_complete = found.epochs
    recorded = [(number, history.objective_of(each)) for number in (0, 1) for each in history.trials[number].reports]
    assert trials is not None
    assert (trials.tolist(), n_complete) == ([number for number, _ in recorded], 2)
    assert values.mean(axis=1, dtype=np.float64) == pytest.approx([value for _, value in recorded], rel=1e-3)
    assert best == int(np.argmin([value for _, value in recorded]))
    assert (ties is None) == (objective == "val_loss")


def test_losses_that_break_ties_have_one_scale_with_all_epochs_of_a_trial_and_with_the_best_one(tmp_path: Path) -> None:
    """The folds have 11, 10 and 10 images, so the losses of a fold weigh more or less than those of the others."""
    study = kept_study(tmp_path / "s", [1.0, 1.5], 31, folds=3, epochs=3)
    whole = read_values(study, study.history()[0])
    (study.predictions / "1.epochs").unlink()
    alone = read_values(study, study.history()[0])
    assert not isinstance(whole, str)
    assert not isinstance(alone, str)
    assert whole.epochs.values.tie_breakers is not None
    assert alone.epochs.values.tie_breakers is not None
    assert (len(whole.epochs.values.values), len(alone.epochs.values.values)) == (6, 4)
    best = study.history()[0].trials[1].best
    assert best is not None
    of_epoch = whole.epochs.values.tie_breakers[3 + best.fidelity - 1].astype(np.float64)
    assert of_epoch == pytest.approx(alone.epochs.values.tie_breakers[3].astype(np.float64), rel=5e-3, abs=1e-3)
    assert of_epoch.mean() == pytest.approx(best.metrics["val_loss"], rel=1e-3)


def test_the_luck_of_the_best_epoch_is_taken_off_too(tmp_path: Path) -> None:
    """All epochs of a trial are equally good, so the best of them is better by luck alone."""
    luck = {True: 0.0, False: 0.0}
    for n_images in range(80, 84):
        for keeps in luck:
            folder = tmp_path / f"{n_images} {keeps}"
            known = known_of(kept_study(folder, [1.5] * 4, n_images, epochs=9, keeps_epochs=keeps))
            assert known.corrected is not None
            luck[keeps] += known.corrected - known.recorded
            assert known.n_with_epochs == 4 * keeps
            end = ", each at its best epoch, is taken off" if keeps else " is taken off; that of the best epoch is not"
            assert (
                luck_words(known).replace(", which changes nothing here", "")
                == f"the luck of being the best of 4 trials{end}"
            )
    assert luck[True] > 1.3 * luck[False] > 0


def test_the_luck_of_the_epoch_is_taken_off_a_single_trial(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.5], 60, epochs=20)
    known = known_of(study)
    assert known.corrected is not None
    assert known.corrected > known.recorded
    assert luck_words(known) == "the luck of the best epoch is taken off"
    (study.predictions / "0.epochs").unlink()
    assert known_of(study).corrected == pytest.approx(known.recorded)
    assert luck_words(known_of(study)) == "the luck of the best epoch is not taken off"


@pytest.mark.parametrize("objective", ["val_auroc_error", "val_top5_error"])
def test_an_objective_that_needs_the_logits_keeps_the_luck_of_the_epoch(tmp_path: Path, objective: str) -> None:
    known = known_of(kept_study(tmp_path / "s", [1.0, 1.5], 60, objective=objective, epochs=3))
    assert known.n_with_epochs == 0
    assert luck_words(known).endswith("that of the best epoch is not")


def test_a_trial_whose_epochs_are_damaged_or_of_other_values_has_only_its_best_one(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.5, 1.4, 1.3], 60, epochs=4)
    path = study.predictions / "1.epochs"
    path.write_bytes(path.read_bytes()[:-1])
    other = study.predictions / "2.epochs"
    content = epoch_records.encode(2, np.full(60, 9.0, np.float32), np.zeros(60, np.int64), digest_of(study))
    assert content is not None
    size = len(other.read_bytes()) // 4
    other.write_bytes(other.read_bytes()[:size] + content + other.read_bytes()[2 * size :])
    known = known_of(study)
    assert (known.n_with_epochs, len(known.compared)) == (1, 3)
    assert luck_words(known).endswith("3 trials is taken off; that of the best epoch is only for 1 of them")


def test_epochs_beyond_the_record_and_of_an_earlier_phase_are_not_chosen(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.5], 60, epochs=3)
    found = read_values(study, study.history()[0])
    assert not isinstance(found, str)
    assert len(found.epochs.values.values) == 3
    content = epoch_records.encode(4, np.zeros(60, np.float32), np.zeros(60, np.int64), digest_of(study))
    assert content is not None
    PredictionFiles(study.predictions).write_epoch(0, content)
    again = read_values(study, study.history()[0])
    assert not isinstance(again, str)
    assert len(again.epochs.values.values) == 3
    history = study.history()[0]
    trial = history.trials[0]
    phases = [{**each.metrics, "phases_left": float(each.fidelity < 2)} for each in trial.reports]
    reports = [replace(each, metrics=metrics) for each, metrics in zip(trial.reports, phases, strict=True)]
    history.trials[0] = replace(trial, reports=reports)
    last = read_values(study, history)
    assert not isinstance(last, str)
    assert len(last.epochs.values.values) == 2
