from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.record import StudyFolder
from hpo.results import confidence_text, render, status, table, write_tables
from hpo.results.confidence import confidence
from hpo.results.image_values import MAX_TRIALS, MIN_TRIALS, n_affordable
from hpo.space import DatasetSpec
from tests.results.kept_predictions import kept_study, known_of, unknown_because

OWN = "tests.results.own_objectives"


@pytest.fixture
def near(tmp_path: Path) -> StudyFolder:
    """A study of 30 trials of the same skill, on few images."""
    return kept_study(tmp_path / "near", [1.5] * 30, 60)


def test_the_best_of_equal_trials_on_few_images_is_a_lottery(near: StudyFolder) -> None:
    known = known_of(near)
    assert known.n_images == 60
    assert known.n_searched == len(known.compared) == 30
    assert known.corrected is not None
    assert known.best_interval is not None
    assert known.best_interval.low <= known.recorded < known.corrected < known.best_interval.high
    assert len(known.as_good) > 10
    assert known.is_lottery
    assert "`folds: 5`" in known.advice


def test_a_clear_winner_is_no_lottery_and_keeps_its_value(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [0.2, 3.0, 0.5], 1500, folds=5, objective="val_loss")
    known = known_of(study)
    assert (known.best, known.compared, known.as_good) == (1, (1, 2, 0), ())
    assert known.corrected == pytest.approx(known.recorded, rel=1e-3)
    assert not known.is_lottery
    assert len(known.folds) == 5
    assert sum(known.folds) / 5 == pytest.approx(known.recorded, rel=1e-3)
    lines = confidence_text.status_lines(known)
    assert any(line.startswith("folds    val_loss of the best in each: ") for line in lines)
    assert any("none of the 2 others" in line for line in lines)
    assert lines[0].endswith("each at its best epoch, is taken off, which changes nothing here")


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
    assert unknown_because(study) == "no validation predictions were kept"
    assert any(
        line == "expect   no interval: no validation predictions were kept" for line in status.lines(study.folder)
    )


def test_own_training_code_on_a_data_set_is_told_what_it_must_offer(study: StudyFolder) -> None:
    history = study.history()[0]
    study.trainable_digest = "0123456789abcdef"
    assert confidence(study, history)[1] == "no validation predictions were kept"  # there are no images
    study.space = replace(study.space, task=replace(study.space.task, dataset=DatasetSpec("digits")))
    assert confidence(study, history)[1].endswith("(training code of your own must offer `validation_logits`)")


def test_without_the_predictions_of_the_best_the_others_keep_their_intervals(near: StudyFolder) -> None:
    before = known_of(near)
    (near.predictions / f"{before.best}.npz").unlink()
    known = known_of(near)
    assert known.intervals == {trial: each for trial, each in before.intervals.items() if trial != known.best}
    assert (known.corrected, known.best_interval, known.as_good) == (None, None, ())
    text = "\n".join(status.lines(near.folder))
    assert f"expect   no estimate: the validation predictions of trial {known.best} were not kept" in text
    assert "as good  not known: the predictions of the best trial are missing" in text
    frame = confidence_text.with_intervals(table(near), known).set_index("trial")
    assert bool(frame.drop(known.best)["loss_low"].notna().all())
    assert frame["as_good"].isna().all()


def test_no_luck_is_taken_off_if_only_the_best_has_predictions(near: StudyFolder) -> None:
    for other in known_of(near).compared[1:]:
        (near.predictions / f"{other}.npz").unlink()
    known = known_of(near)
    assert known.corrected is None
    assert list(known.intervals) == [known.best]
    for lines in (status.lines(near.folder), confidence_text.table_lines(known)):
        text = "\n".join(lines)
        assert "is taken off" not in text
        assert "29 of 30 trials were not kept (a copy of their files in predictions/ brings them back), so the" in text


def test_a_trial_whose_file_is_damaged_is_left_out_and_status_and_best_say_so(near: StudyFolder) -> None:
    other = known_of(near).compared[3]
    (near.predictions / f"{other}.npz").write_bytes(b"PK broken")
    known = known_of(near)
    assert other not in known.compared
    assert known.n_searched == 30
    remedy = f"(a copy of predictions/{other}.npz brings them back)"
    assert known.uncorrected_because == f"the validation predictions of trial {other} are damaged {remedy}"
    for lines in (status.lines(near.folder), confidence_text.table_lines(known)):
        assert any(line.strip() == "Only 29 of 30 trials are compared." for line in lines)


def test_predictions_of_other_images_are_told_from_missing_ones(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 1.5], 60)
    for path in study.predictions.glob("[0-9]*.npz"):
        with np.load(path) as arrays:
            content = dict(arrays)
        np.savez(path, **{**content, "targets": np.int64(1)})
    assert unknown_because(study).endswith("were kept for other images")


def test_the_luck_of_the_best_of_those_that_were_compared_is_taken_off(tmp_path: Path) -> None:
    known = known_of(kept_study(tmp_path / "s", [1.5] * (MAX_TRIALS + 5), 60))
    assert known.n_searched == MAX_TRIALS + 5
    text = "\n".join(confidence_text.status_lines(known))
    assert f"best of {MAX_TRIALS} trials, each at its best epoch, is taken off" in text
    assert f"Only {MAX_TRIALS} of {MAX_TRIALS + 5} trials are compared." in text


def test_a_trial_has_so_many_logits_that_it_takes_too_long() -> None:
    assert n_affordable("val_error", 1_000, 4_000) == MAX_TRIALS
    assert n_affordable("val_auroc_error", 400_000, 40) == MIN_TRIALS
    assert n_affordable("val_auroc_error", 8_000_000, 40) == 0
    assert n_affordable("val_auroc_error", 8_000_000, 1) == 1


def test_a_loss_of_which_a_few_images_are_all_ends_no_search(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [6.5, 6.8, 7.0], 40, objective="val_loss", weight=1e-4)
    write_tables(study)


@pytest.mark.parametrize(("skills", "weight"), [([1.0, 2.0], 1.05), ([9.0, 9.5, 9.2], 3.0)])
def test_a_weighted_loss_on_few_images_is_told_from_the_plain_one(
    tmp_path: Path, skills: list[float], weight: float
) -> None:
    study = kept_study(tmp_path / "s", skills, 40, objective="val_loss", weight=weight)
    assert "weighted" in unknown_because(study)


def test_a_weighted_loss_has_no_interval_of_the_plain_one(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0], 100, objective="val_loss", weight=1.5)
    assert "weighted" in unknown_because(study)


@pytest.mark.parametrize("folds", [None, 3])
def test_a_function_of_the_user_has_the_intervals_of_the_same_objective_of_ours(
    tmp_path: Path, folds: int | None
) -> None:
    skills = [1.0, 1.3, 2.0]
    ours = known_of(kept_study(tmp_path / "ours", skills, 120, folds=folds, keeps_epochs=False))
    own = known_of(kept_study(tmp_path / "own", skills, 120, folds=folds, objective=f"{OWN}:mistakes"))
    assert (own.compared, own.best, own.recorded) == (ours.compared, ours.best, ours.recorded)
    assert own.corrected == pytest.approx(ours.corrected, abs=1e-5)
    assert own.folds == pytest.approx(ours.folds, abs=1e-5)
    for number, (low, high) in own.intervals.items():
        assert high - low == pytest.approx(ours.intervals[number].high - ours.intervals[number].low, rel=0.15)


def test_a_function_of_the_user_may_be_below_0(tmp_path: Path) -> None:
    known = known_of(kept_study(tmp_path / "s", [0.8, 1.0, 1.2], 500, objective=f"{OWN}:gain"))
    low, high = known.intervals[known.compared[1]]
    assert low < 0
    assert high - low < 0.3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("size", "has another value on the kept logits, which have 0 as the highest of each image"),
        ("picky", "fails on a part of the images: objective tests.results.own_objectives:picky raised ValueError"),
    ],
)
def test_a_function_of_the_user_that_says_nothing_of_single_images_has_no_interval(
    tmp_path: Path, name: str, reason: str
) -> None:
    weight = 2.0 if name == "size" else 1.0  # as if it had been computed on logits of another size
    study = kept_study(tmp_path / "s", [1.0, 2.0], 60, objective=f"{OWN}:{name}", weight=weight)
    assert reason in unknown_because(study)


def test_a_function_of_the_user_that_was_changed_has_no_interval(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0], 60, objective=f"{OWN}:mistakes")
    history, _ = study.history()
    study.objective_digest = "that of other code"
    known, reason = confidence(study, history)
    assert known is None
    assert "was begun with other code of its objective" in reason


def test_a_cost_that_is_never_below_0_has_no_limit_below_0(tmp_path: Path) -> None:
    known = known_of(kept_study(tmp_path / "s", [4.0, 4.2], 100, objective=f"{OWN}:mistakes"))
    assert 0 < known.recorded < 0.1
    assert all(low >= 0 for low, _ in known.intervals.values())


def test_the_table_has_the_limits_of_each_trial_and_marks_those_that_may_be_as_good(near: StudyFolder) -> None:
    known = known_of(near)
    frame = confidence_text.with_intervals(table(near), known).set_index("trial")
    assert (frame.loc[known.best, "loss_low"], frame.loc[known.best, "loss_high"]) == known.best_interval
    assert bool((frame["loss_low"] <= frame["loss"]).all() and (frame["loss"] <= frame["loss_high"]).all())
    assert set(frame.index[frame["as_good"].astype(bool)]) == {known.best, *known.as_good}
    assert confidence_text.with_intervals(table(near), None).equals(table(near))


def test_a_terminal_shows_one_column_with_the_mark_explained_below(near: StudyFolder) -> None:
    known = known_of(near)
    frame = confidence_text.with_interval_text(table(near), known).set_index("trial")
    assert known.best_interval is not None
    low, high = known.best_interval
    assert frame.loc[known.best, "interval"] == f"{low:.3f}..{high:.3f}  "
    assert {trial for trial, text in frame["interval"].items() if text.endswith(" =")} == set(known.as_good)
    text = "\n".join(confidence_text.table_lines(known))
    assert "= marks trials that cannot be told apart from the best" in text
    assert "the luck of being the best of 30 trials, each at its best epoch, is taken off" in text
    assert "The choice is a lottery: " in text


def test_the_interval_of_a_trial_without_predictions_is_an_empty_cell(near: StudyFolder) -> None:
    (near.predictions / "3.npz").unlink()
    known = known_of(near)
    frame = confidence_text.with_interval_text(table(near), known)
    text = render(frame[frame["trial"] == 3][["trial", "interval"]], "md")
    assert text.splitlines()[-1].replace(" ", "") == "|3||"


def test_the_only_trial_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    known = known_of(kept_study(tmp_path / "s", [1.5], 100))
    assert known.corrected == pytest.approx(known.recorded)
    assert any("no other trial to compare" in line for line in confidence_text.status_lines(known))


@pytest.mark.parametrize("objective", ["val_error", "val_loss", "val_balanced_error"])
def test_copies_of_each_image_in_a_group_do_not_narrow_an_interval(tmp_path: Path, objective: str) -> None:
    grouped = kept_study(tmp_path / "a", [1.0, 1.2, 1.4], 400, objective=objective, group_size=8)
    known = known_of(grouped)
    assert (known.n_images, known.n_groups) == (400, 50)
    remove_groups(grouped)
    taken_as_single = known_of(grouped)
    assert taken_as_single.n_groups is None
    for number, (low, high) in known.intervals.items():
        narrow = taken_as_single.intervals[number]
        assert high - low > 2 * (narrow.high - narrow.low)
    assert known.best_interval is not None
    assert taken_as_single.best_interval is not None
    assert known.best_interval.low < taken_as_single.best_interval.low
    assert len(known.as_good) >= len(taken_as_single.as_good)


def remove_groups(study: StudyFolder) -> None:
    """Leave the targets of a study without their groups, as in earlier versions."""
    path = study.predictions / "targets.npz"
    with np.load(path) as targets:
        labels, folds = targets["labels"], targets["folds"]
    np.savez(path, labels=labels, folds=folds)


def test_a_line_of_the_status_says_that_groups_are_independent(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 1.2], 60, group_size=3)
    assert "groups   The intervals take the 20 groups of the 60 images as independent." in status.lines(study.folder)
