from __future__ import annotations

from pathlib import Path

import pytest

from hpo.record import StudyFolder
from hpo.results import confidence_text, status, table
from hpo.results.confidence import Confidence, confidence, unknown_because
from tests.results.kept_predictions import kept_study


def known_of(study: StudyFolder) -> Confidence:
    known = confidence(study, study.history()[0])
    assert known is not None, unknown_because(study, study.history()[0])
    return known


@pytest.fixture
def near(tmp_path: Path) -> StudyFolder:
    """A study of 30 trials of the same skill, on few images."""
    return kept_study(tmp_path / "near", [1.5] * 30, 60)


def test_the_best_of_equal_trials_on_few_images_is_a_lottery(near: StudyFolder) -> None:
    known = known_of(near)
    assert known.n_images == 60
    assert known.n_searched == len(known.compared) == 30
    assert known.recorded < known.corrected
    assert known.best_interval.low <= known.recorded < known.corrected < known.best_interval.high
    assert len(known.not_apart) > 10
    assert known.is_lottery
    assert "`folds: 5`" in known.advice


def test_a_clear_winner_is_no_lottery_and_keeps_its_value(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [0.2, 3.0, 0.5], 1500, folds=5, objective="val_loss")
    known = known_of(study)
    assert (known.best, known.compared, known.not_apart) == (1, (1, 2, 0), ())
    assert known.corrected == pytest.approx(known.recorded, rel=1e-3)
    assert not known.is_lottery
    assert len(known.folds) == 5
    assert sum(known.folds) / 5 == pytest.approx(known.recorded, rel=1e-3)
    lines = confidence_text.status_lines(known)
    assert any(line.startswith("folds    val_loss of the best in each: ") for line in lines)
    assert any("none of the 2 others" in line for line in lines)


@pytest.mark.parametrize("objective", ["val_balanced_error", "val_f1_error", "val_auroc_error", "val_loss"])
def test_each_objective_has_intervals_around_its_recorded_value(tmp_path: Path, objective: str) -> None:
    study = kept_study(tmp_path / "s", [1.0, 1.5, 2.0], 200, objective=objective)
    known = known_of(study)
    for number, interval in known.intervals.items():
        loss = study.history()[0].trials[number].loss
        assert interval.low < loss < interval.high
        assert interval.high - interval.low < 0.5


def test_the_same_study_gives_the_same_numbers_each_time(near: StudyFolder) -> None:
    assert known_of(near) == known_of(near)


def test_a_study_without_predictions_says_in_a_line_why_there_is_no_interval(study: StudyFolder) -> None:
    assert confidence(study, study.history()[0]) is None
    assert any(
        line == "expect   no interval: no validation predictions were kept" for line in status.lines(study.folder)
    )


def test_a_study_whose_best_trial_has_no_predictions_has_no_interval(near: StudyFolder) -> None:
    best = known_of(near).best
    (near.predictions / f"{best}.npz").unlink()
    assert unknown_because(near, near.history()[0]) == f"the validation predictions of trial {best} were not kept"


def test_a_trial_whose_file_is_damaged_is_left_out(near: StudyFolder) -> None:
    other = known_of(near).compared[3]
    (near.predictions / f"{other}.npz").write_bytes(b"PK broken")
    known = known_of(near)
    assert other not in known.compared
    assert known.n_searched == 30
    assert any(line == "Only 29 of 30 trials are compared." for line in confidence_text.table_lines(known))


def test_a_weighted_loss_has_no_interval_of_the_plain_one(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0], 100, objective="val_loss", weight=1.5)
    assert "weighted" in str(unknown_because(study, study.history()[0]))


def test_an_objective_of_the_user_has_no_interval(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0], 100, objective="my_costs:cost")
    assert unknown_because(study, study.history()[0]) == "the objective is a function of your own"


def test_the_table_has_the_limits_of_each_trial_and_marks_those_that_may_be_as_good(near: StudyFolder) -> None:
    known = known_of(near)
    frame = confidence_text.with_intervals(table(near), known).set_index("trial")
    assert (frame.loc[known.best, "loss_low"], frame.loc[known.best, "loss_high"]) == known.best_interval
    assert bool((frame["loss_low"] <= frame["loss"]).all() and (frame["loss"] <= frame["loss_high"]).all())
    assert set(frame.index[frame["as_good"].astype(bool)]) == {known.best, *known.not_apart}
    assert confidence_text.with_intervals(table(near), None).equals(table(near))


def test_a_terminal_shows_one_column_with_the_mark_explained_below(near: StudyFolder) -> None:
    known = known_of(near)
    cells = confidence_text.with_interval_text(table(near), known)["interval"]
    low, high = known.best_interval
    assert cells[0] == f"{low:.3f}..{high:.3f} ="
    text = "\n".join(confidence_text.table_lines(known))
    assert "= marks trials that cannot be told apart from it" in text
    assert "the luck of being the best of 30 on 60 images is taken off" in text
    assert "The choice is a lottery: " in text


def test_the_only_trial_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    known = known_of(kept_study(tmp_path / "s", [1.5], 100))
    assert known.corrected == pytest.approx(known.recorded)
    assert any("no other trial to compare" in line for line in confidence_text.status_lines(known))
