"""The confidence of studies in which a trial diverged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.results.confidence import confidence
from hpo.training import epoch_records
from tests.results.kept_predictions import digest_of, kept_study, known_of, unknown_because


@pytest.mark.parametrize("objective", ["val_loss", "val_error", "val_top5_error", "val_balanced_error"])
@pytest.mark.parametrize("folds", [None, 3])
def test_a_diverged_trial_costs_the_others_neither_interval_nor_estimate(
    tmp_path: Path, objective: str, folds: int | None
) -> None:
    skills, diverged = [1.5, 1.4, 0.0], {2: 1e7}
    study = kept_study(tmp_path / "s", skills, 61, objective=objective, folds=folds, epochs=3, factors=diverged)
    recorded = study.history()[0].trials[2].loss
    assert objective != "val_loss" or recorded > 1e6
    known, alone = known_of(study), known_of(kept_study(tmp_path / "2", skills[:2], 61, objective=objective, epochs=3))
    assert known.corrected is not None
    assert known.n_with_epochs == 3 * (alone.n_with_epochs > 0)
    assert known.corrected < 2.0
    assert known.best_interval is not None
    assert known.best_interval.high < 3.0
    assert len(known.compared) == 3
    assert objective == "val_top5_error" or 2 not in known.as_good
    limits = known.intervals[2]
    assert limits.low <= recorded <= limits.high


@pytest.mark.parametrize("epochs", [1, 3])
def test_if_all_trials_diverged_the_estimate_is_of_their_recorded_losses(tmp_path: Path, epochs: int) -> None:
    study = kept_study(tmp_path / "s", [0.2, 0.0], 60, objective="val_loss", epochs=epochs, factors={0: 1e6, 1: 1e7})
    known = known_of(study)
    assert known.corrected == pytest.approx(known.recorded, rel=1e-3)


def test_an_epoch_that_diverged_leaves_the_other_epochs_of_its_trial_in_the_choice(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.5, 1.4], 60, objective="val_loss", epochs=3)
    history = study.history()[0]
    first = history.trials[1].reports[0]
    history.trials[1].reports[0] = replace(first, metrics={**first.metrics, "val_loss": 9.6e6})
    path = study.predictions / "1.epochs"
    content = epoch_records.encode(1, np.full(60, 9.6e6, np.float32), np.zeros(60, np.int64), digest_of(study))
    assert content is not None
    path.write_bytes(content + path.read_bytes()[len(content) :])
    known, _ = confidence(study, history)
    assert known is not None
    assert known.n_with_epochs == 2
    assert known.corrected is not None
    assert known.corrected < 2.0


def test_a_missing_trial_with_more_errors_than_a_fifth_of_the_images_explains_costs_nothing(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [3.0, 2.9, 0.0], 60)
    before = known_of(study)
    (study.predictions / "2.npz").unlink()
    known = known_of(study)
    assert (known.corrected, known.best_interval) == (before.corrected, before.best_interval)
    (study.predictions / "1.npz").unlink()
    assert "of trial 1 were not kept" in known_of(study).uncorrected_because


def test_a_trial_whose_predictions_give_another_objective_is_named_with_this_cause_alone(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.5, 1.4, 1.3], 60, objective="val_loss")
    with np.load(study.predictions / "1.npz") as arrays:
        content = dict(arrays)
    np.savez(study.predictions / "1.npz", **{**content, "logits": content["logits"] * np.float16(3)})
    reason = "the validation predictions of trial 1 give another val_loss than the recorded one"
    assert known_of(study).uncorrected_because == reason
    (study.predictions / "2.npz").unlink()
    assert known_of(study).uncorrected_because.startswith("the validation predictions of trial 2 were not kept (")


def test_a_diverged_trial_does_not_make_a_weighted_loss_the_plain_one(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0, 0.0], 100, objective="val_loss", weight=1.5, factors={2: 1e7})
    assert "weighted" in unknown_because(study)
