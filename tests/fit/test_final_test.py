"""The test that a fit ends with: by a refit if there is time, and by the weights of the search if that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.fit import FitFolder, FitRequest, final_test
from hpo.fit.data_summary import DataSummary
from hpo.heldout import record
from hpo.record import State, StudyFolder, Trial
from tests.fit.notes import Notes
from tests.heldout.studies import searched

IMAGES = DataSummary(10, 1150, 287, 360, ("0", 140), ("1", 150), ())


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return StudyFolder.reopen(searched(tmp_path / "s", trials=1))


@pytest.fixture
def fit_folder(tmp_path: Path) -> FitFolder:
    return FitFolder(tmp_path / "out", FitRequest(str(tmp_path), 60.0, devices="cpu"))


def best_of(study: StudyFolder) -> Trial:
    (best,) = study.history()[0].ranked()
    return best


@pytest.mark.parametrize(("seconds", "protocol"), [(1000.0, "refit"), (0.0, "checkpoint")])
def test_a_refit_is_chosen_if_there_is_time_and_the_choice_is_kept(
    study: StudyFolder, fit_folder: FitFolder, seconds: float, protocol: str
) -> None:
    best = best_of(study)
    assert final_test.choose_protocol(fit_folder, Notes(), best, IMAGES, seconds) == protocol
    assert final_test.choose_protocol(fit_folder, Notes(), best, IMAGES, 500.0) == protocol


def test_a_trial_without_weights_of_the_search_is_always_refitted(study: StudyFolder, fit_folder: FitFolder) -> None:
    stopped = replace(best_of(study), state=State.STOPPED)
    assert final_test.choose_protocol(fit_folder, Notes(), stopped, IMAGES, 0.0) == "refit"


def test_the_weights_of_the_search_are_tested_if_the_refit_fails(study: StudyFolder, fit_folder: FitFolder) -> None:
    (study.folder / "refitted").write_text("in the way of its checkpoints")
    notes = Notes()
    final_test.test(fit_folder, notes, study, best_of(study), "refit", notes.note)
    assert any(line.startswith("training on all images failed, so the weights of the search") for line in notes.lines)
    assert (fit_folder.step("protocol") or {})["protocol"] == "checkpoint"
    tested = record.TestRecord.read(study)
    assert (tested.n_looks, [each.protocol for each in tested.trials]) == (1, ["checkpoint"])


def test_the_interval_of_the_tested_trial_is_a_line(study: StudyFolder, fit_folder: FitFolder) -> None:
    final_test.test(fit_folder, Notes(), study, best_of(study), "refit", lambda line: None)
    line = final_test.interval(study, best_of(study))
    assert line.startswith("95 % interval on other images, for this one training: ")
    assert line.endswith("(360 test images)")
