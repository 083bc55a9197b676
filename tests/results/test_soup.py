from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpo.heldout import Soup, record, soup_record
from hpo.heldout.soup_record import Ingredient
from hpo.record import StudyFolder
from hpo.results import soup as soup_lines
from hpo.results import status
from tests.results.kept_predictions import kept_study


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return kept_study(tmp_path / "s", [1.0, 2.0], 30)


def made(chosen: list[int], n_candidates: int) -> Soup:
    """A finished soup. Its best single model is trial 1."""
    metrics = {"loss": 0.5, "accuracy": 0.75}
    candidates = [Ingredient((1, 0, 2)[i], 0, "checkpoint", 0, 1, metrics) for i in range(n_candidates)]
    return Soup({}, candidates, chosen, metrics, "hash", metrics, metrics)


@pytest.mark.parametrize(
    ("n_candidates", "why"),
    [
        (1, "no other trial could be averaged with it"),
        (2, "no average with the only other trial is as good on validation"),
        (3, "no average with one of the 2 other trials is as good on validation"),
    ],
)
def test_a_soup_of_one_trial_has_one_result_and_the_command_that_writes_this_trial(
    study: StudyFolder, n_candidates: int, why: str
) -> None:
    text = list(soup_lines.lines(made([1], n_candidates), record.TestRecord(study, n_looks=1)))
    assert text[0] == f"The soup is trial 1 alone: {why}."
    assert text[1] == "trial 1: validation accuracy 0.7500, loss 0.5000; test accuracy 0.7500, loss 0.5000"
    assert sum("test accuracy" in line for line in text) == 1
    assert "The look at held-out data was made: it tested trial 1." in text
    assert " --trial 1 --out FOLDER" in text[-1]
    assert not any("--soup" in line for line in text)


def test_a_soup_of_two_trials_stands_beside_the_best_single_model(study: StudyFolder) -> None:
    text = list(soup_lines.lines(made([1, 0], 3), record.TestRecord(study, n_looks=1)))
    assert text[0] == "The soup is the average of 2 of 3 trials: 1, 0."
    assert [line.partition(":")[0] for line in text[1:3]] == ["best single model, trial 1", "soup"]
    assert " --soup --out FOLDER" in text[-1]


def test_the_status_of_a_study_with_a_soup_says_who_looked_at_held_out_data(study: StudyFolder) -> None:
    record.TestRecord(study, n_looks=1).write()
    assert "tested   no trial yet; 1 look at held-out data" in status.lines(study.folder)
    soup_record.write(study, made([1, 0], 2))
    assert "tested   soup of 2 trials accuracy 0.7500; 1 look at held-out data (hpo soup)" in status.lines(study.folder)


def test_the_results_of_a_soup_say_how_many_images_tested_it(study: StudyFolder) -> None:
    for chosen in ([1], [1, 0]):
        soup = replace(made(chosen, 2), n_test=2108)
        text = list(soup_lines.lines(soup, record.TestRecord(study, n_looks=1)))
        assert "test accuracy 0.7500, loss 0.5000 (2,108 images)" in text[1]
