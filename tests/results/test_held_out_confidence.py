from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo.errors import MachineError, StudyError
from hpo.heldout import Plan, evaluate, image_results
from hpo.record import TEST_IMAGES, StudyFolder
from hpo.results import held_out_confidence, status
from tests.heldout.studies import searched


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three trials that are tested with two seeds each."""
    folder = searched(tmp_path_factory.mktemp("tested") / "s")
    evaluate(folder, Plan(top=3, seeds=2))
    return folder


def test_the_results_of_each_image_give_the_recorded_metrics(tested: Path) -> None:
    record = evaluate(tested, Plan(top=3, seeds=2))
    images = image_results.read(StudyFolder.reopen(tested))
    assert len(images) == 6
    for trial in record.trials:
        for seed, accuracy, loss in zip(trial.seeds, trial.test_accuracy.values, trial.test_loss.values, strict=True):
            assert 1 - images[trial.trial, seed]["accuracy"].mean() == pytest.approx(accuracy, abs=1e-6)
            assert images[trial.trial, seed]["loss"].mean() == pytest.approx(loss, rel=1e-5)


def test_a_test_says_the_interval_which_trials_differ_and_what_the_sign_means(tested: Path) -> None:
    record = evaluate(tested, Plan(top=3, seeds=2))
    text = status.test_lines(record)
    images = image_results.read(record.study)
    for trial in record.trials:
        interval = held_out_confidence.interval_of(trial, images, "accuracy")
        assert interval is not None
        assert interval.low < trial.test_accuracy.mean < interval.high
        words = f"  95 % interval on other images and seeds: accuracy {interval.low:.4f} to {interval.high:.4f}"
        assert any(line.startswith(words) for line in text)
    assert "± is the standard deviation over seeds." in text
    assert any(line.startswith(("In test accuracy, trial ", "The test accuracy of trials ")) for line in text)


def test_one_seed_has_no_sign_and_says_that_its_interval_is_of_one_training(tmp_path: Path) -> None:
    text = status.test_lines(evaluate(searched(tmp_path / "s", trials=1)))
    assert text[1].startswith("  95 % interval on other images, for this one training: accuracy ")
    assert not any("±" in line for line in text)


def test_results_of_an_earlier_version_have_no_interval_and_a_line_says_why(tested: Path) -> None:
    record = evaluate(tested, Plan(top=3, seeds=2))
    line = held_out_confidence.interval_line(record.trials[0], {}, None)
    reason = "its training code has no `predict(part)`, or an earlier version of hpo tested it"
    assert line == f"  95 % interval: not known: its results for each image are not stored: {reason}"
    images = dict(image_results.read(record.study))
    del images[record.trials[0].trial, record.trials[0].seeds[0]]
    assert " of 1 of 2 seeds are not stored" in held_out_confidence.interval_line(record.trials[0], images, None)
    assert held_out_confidence.difference_lines(record, {}) == []


def test_the_groups_of_the_images_are_those_of_any_tested_model(tested: Path) -> None:
    record = evaluate(tested, Plan(top=3, seeds=2))
    first, second, third = record.ranked()
    is_wrong = (np.arange(40) % 5 < 2).astype(np.float32)
    images = {(second.trial, seed): {"accuracy": is_wrong * 0} for seed in second.seeds}
    images |= {(third.trial, seed): {"accuracy": is_wrong} for seed in third.seeds}
    better = f"In test accuracy, trial {second.trial} is better than {third.trial}."
    assert better in held_out_confidence.difference_lines(record, images)[0]  # the first has no results
    assert held_out_confidence.n_groups_and_images(images) == (None, 40)
    single = held_out_confidence.interval_of(third, images, "accuracy")
    groups = np.repeat(np.arange(2), 20).astype(np.float32)
    images[third.trial, third.seeds[-1]][image_results.GROUPS] = groups
    assert "cannot be told apart" in held_out_confidence.difference_lines(record, images)[0]
    assert held_out_confidence.n_groups_and_images(images) == (2, 40)
    grouped = held_out_confidence.interval_of(third, images, "accuracy")
    assert single is not None
    assert grouped is not None
    assert grouped.low < single.low < single.high < grouped.high
    assert held_out_confidence.interval_of(first, images, "accuracy") is None


def test_a_damaged_file_is_an_error_that_says_what_is_lost(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", trials=1)
    (folder / TEST_IMAGES).write_bytes(b"no archive")
    with pytest.raises(StudyError, match="if it is removed, the intervals of the tested trials are lost"):
        image_results.read(StudyFolder.reopen(folder))


def test_arrays_that_another_version_stored_are_left_out(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", trials=1)
    values = np.zeros(3, np.float32)
    with (folder / TEST_IMAGES).open("wb") as file:
        np.savez(file, **{"allow_pickle": np.array(False), "a new name": values, "2 1 accuracy": values})  # type: ignore[arg-type]
    (key,), (found,) = zip(*image_results.read(StudyFolder.reopen(folder)).items(), strict=True)
    assert (key, list(found)) == ((2, 1), ["accuracy"])


def test_a_file_that_cannot_be_removed_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", trials=1)
    (folder / TEST_IMAGES).mkdir()
    with pytest.raises(MachineError, match=f"{TEST_IMAGES}: cannot be written"):
        image_results.write(StudyFolder.reopen(folder), {})


def test_without_results_the_file_is_removed(tested: Path, tmp_path: Path) -> None:
    folder = searched(tmp_path / "s", trials=1)
    study = StudyFolder.reopen(folder)
    image_results.write(study, {(0, 0): {"accuracy": np.zeros(3, np.float32)}})
    assert list(image_results.read(study)) == [(0, 0)]
    image_results.write(study, {})
    assert not (folder / TEST_IMAGES).exists()
