from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.record import StudyFolder
from hpo.results import confidence_text, render, status, table, write_tables
from hpo.results.confidence import Confidence, confidence
from hpo.results.validation_values import MAX_TRIALS, MIN_TRIALS, n_affordable, read_values
from hpo.training import epoch_records
from hpo.training.prediction_files import PredictionFiles, targets_digest
from tests.results.kept_predictions import kept_study


def known_of(study: StudyFolder) -> Confidence:
    known, reason = confidence(study, study.history()[0])
    assert known is not None, reason
    assert reason == ""
    return known


def unknown_because(study: StudyFolder) -> str:
    known, reason = confidence(study, study.history()[0])
    assert known is None
    return reason


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
    (values, ties, trials), best, n_complete = found.epochs
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
            end = ", each at its best epoch, is taken off" if keeps else " is taken off, that of the best epoch is not"
            assert luck_words(known) == f"the luck of being the best of 4 trials{end}"
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
    assert luck_words(known).endswith("3 trials is taken off, that of the best epoch is only for 1 of them")


def digest_of(study: StudyFolder) -> int:
    with np.load(study.predictions / "targets.npz") as targets:
        return targets_digest(targets["labels"], targets["folds"])


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


def test_a_trial_has_so_many_logits_that_it_takes_too_long() -> None:
    assert n_affordable("val_error", 1_000, 4_000) == MAX_TRIALS
    assert n_affordable("val_auroc_error", 400_000, 40) == MIN_TRIALS
    assert n_affordable("val_auroc_error", 8_000_000, 40) == 0
    assert n_affordable("val_auroc_error", 8_000_000, 1) == 1


def test_a_loss_of_which_a_few_images_are_all_ends_no_search(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [6.5, 6.8, 7.0], 40, objective="val_loss", weight=1e-4)
    write_tables(study)


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


@pytest.mark.parametrize(("skills", "weight"), [([1.0, 2.0], 1.05), ([9.0, 9.5, 9.2], 3.0)])
def test_a_weighted_loss_on_few_images_is_told_from_the_plain_one(
    tmp_path: Path, skills: list[float], weight: float
) -> None:
    study = kept_study(tmp_path / "s", skills, 40, objective="val_loss", weight=weight)
    assert "weighted" in unknown_because(study)


def test_a_weighted_loss_has_no_interval_of_the_plain_one(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0], 100, objective="val_loss", weight=1.5)
    assert "weighted" in unknown_because(study)


def test_an_objective_of_the_user_has_no_interval(tmp_path: Path) -> None:
    study = kept_study(tmp_path / "s", [1.0, 2.0], 100, objective="my_costs:cost")
    assert unknown_because(study) == "the objective is a function of your own"


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
