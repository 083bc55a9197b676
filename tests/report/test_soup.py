"""The soup of a study in its report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hpo.heldout import Soup, record, soup_record
from hpo.heldout.soup_record import Ingredient
from hpo.record import StudyFolder
from tests.report.conftest import write
from tests.report.test_page import Page, report

ROW = re.compile(r'<th scope="row">([^<]*)</th>((?:<td>[^<]*</td>)*)')
BEST, MIXED = {"loss": 0.5, "accuracy": 0.75}, {"loss": 0.4, "accuracy": 0.8125}


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    return write(tmp_path / "s", 6)


def made(*chosen: int) -> Soup:
    """A finished soup of the trials `chosen`. Its best single model is trial 0, and two others could be averaged."""
    candidates = [Ingredient(trial, 0, "checkpoint", 0, 1, BEST) for trial in (0, 3, 4)]
    metrics = MIXED if len(chosen) > 1 else BEST
    return Soup({"trials": [0, 3, 4]}, candidates, chosen, metrics, "hash", metrics, BEST)


def page_of(study: StudyFolder, soup: Soup, out: Path) -> Page:
    soup_record.write(study, soup)
    record.TestRecord(study, n_looks=2 if soup.test else 0).write()
    return report(out, study.folder)


def test_the_soup_stands_beside_the_best_single_model_with_its_look(study: StudyFolder, out: Path) -> None:
    page = page_of(study, made(0, 4), out)
    assert "The soup is the average of 2 of 3 trials: 0, 4." in page.words
    rows = {title: re.findall(r"<td>(.*?)</td>", cells) for title, cells in ROW.findall(page.text)}
    assert rows["best single model, trial 0"] == ["0.7500", "0.5000"] * 2
    assert rows["soup"] == ["0.8125", "0.4000"] * 2
    assert (
        "Both models were evaluated on held-out data in one look. The study has had 2 looks at it in all." in page.words
    )
    assert "on held-out data trial 0 reached an accuracy of 0.7500 and the soup one of 0.8125." in page.words
    assert "never tested" not in page.words
    assert "hpo soup s --top 3" in page.words


def test_a_soup_of_one_trial_says_that_none_joined(study: StudyFolder, out: Path) -> None:
    page = page_of(study, made(0), out)
    assert (
        "The soup is trial 0 alone: no average with one of the 2 other trials is as good on validation." in page.words
    )
    assert "It was evaluated on held-out data in one look." in page.words
    assert " and the soup " not in page.words


def test_a_soup_that_was_interrupted_says_how_it_goes_on(study: StudyFolder, out: Path) -> None:
    page = page_of(study, replace(made(0, 4), test={}, best_test={}), out)
    assert "A soup was begun and has no result yet: hpo soup s goes on." in page.words
    assert "never tested on held-out data" in page.words
    assert "hpo soup s --top" not in page.words


def test_a_study_without_a_soup_has_no_section_of_it(study: StudyFolder, out: Path) -> None:
    assert "soup" not in report(out, study.folder).words
    (study.folder / "soup.json").write_text("damaged")
    assert "The soup" not in report(out, study.folder).words


def test_the_command_of_a_soup_leaves_the_default_of_top_out(study: StudyFolder, out: Path) -> None:
    page = page_of(study, replace(made(0, 4), origin={"trials": list(range(6))}, n_test=1200), out)
    assert "hpo soup s" in page.words
    assert "hpo soup s --top" not in page.words
    assert "Both models were evaluated on 1,200 held-out images in one look." in page.words
