from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.errors import MachineError, StudyError, UserError
from hpo.heldout import record as records
from hpo.record import Settings, StudyFolder, lock
from hpo.report import write as write_report
from hpo.space import Fidelity, Float, SearchSpace
from tests.report.conftest import write

VOID = {"meta", "img", "br", "link"}
LARGEST = 5_000_000


class Page(HTMLParser):
    """The elements of a page. It is an error if one is closed that is not open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = path.read_text(encoding="utf-8")
        self.words = ""
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [str(value) for name, value in attrs if name == "id"]
        self.sources += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += re.sub(r"\s+", " ", data)


def report(out: Path, *folders: Path) -> Page:
    write_report(folders, out)
    assert out.stat().st_size < LARGEST
    return Page(out)


@pytest.mark.slow
def test_the_report_of_a_tested_study_holds_all_of_it_and_needs_no_network(tested_folder: Path, out: Path) -> None:
    page = report(out, tested_folder)
    assert all(source.startswith(("#", "data:image/")) for source in page.sources)
    assert set(re.findall(r"https?://[^\"' )<]+", page.text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "script" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    for heading in ("The best configurations", "The search", "Which hyperparameters mattered", "Examples of mistakes"):
        assert heading in page.words
    assert "Results on held-out data" in page.words
    assert "8 looks" in page.words
    assert "hpo test s --top 4 --seeds 2" in page.words
    assert page.tags.count("svg") >= 3
    assert 0 < page.tags.count("img") <= 24
    write_report([tested_folder], out, with_images=False)
    assert "img" not in Page(out).tags


@pytest.mark.slow
def test_a_study_that_was_tested_by_two_protocols_has_a_command_for_each(tested_folder: Path, out: Path) -> None:
    record = records.TestRecord.read(StudyFolder.reopen(tested_folder))
    best, *others = record.ranked()
    record.trials = [replace(best, protocol="refit"), *others]
    record.write()
    page = report(out, tested_folder)
    assert "hpo test s --top 1 --seeds 2 --protocol refit" in page.words
    assert "hpo test s --top 4 --seeds 2 --protocol retrain" in page.words
    assert "(2 seeds, refit)" in page.words


@pytest.mark.slow
def test_the_name_of_a_class_cannot_change_the_page(tested_folder: Path, out: Path) -> None:
    name = "<script>alert(1)</script>"
    path = tested_folder / "confusion.csv"
    rows = [row.split(",") for row in path.read_text().splitlines()]
    renamed = [[*row[:2], *(name if cell == "3" else cell for cell in row[2:4]), row[4]] for row in rows]
    path.write_text("".join(",".join(row) + "\n" for row in renamed))
    page = report(out, tested_folder)
    assert "script" not in page.tags
    assert name in page.words


def test_a_choice_that_looks_like_html_is_shown_as_it_is(tmp_path: Path, out: Path) -> None:
    page = report(out, write(tmp_path / "s", 30).folder)
    assert "b" not in page.tags
    assert "<b>bold</b>" in page.words
    assert "it was never tested on held-out data" in page.words
    assert "no validation predictions were kept" in page.words


def test_the_important_hyperparameter_is_named(tmp_path: Path, out: Path) -> None:
    assert "What mattered most: x (" in report(out, write(tmp_path / "s", 40).folder).words


@pytest.mark.parametrize("n", [0, 2])
def test_a_study_without_a_finite_value_has_a_page_that_says_so(tmp_path: Path, out: Path, n: int) -> None:
    page = report(out, write(tmp_path / "s", n, losses=False).folder)
    assert ("No trial has a finite value yet." if n else "No trial has begun yet.") in page.words
    assert "svg" not in page.tags


def test_a_study_that_is_searched_now_has_a_page_that_says_so(tmp_path: Path, out: Path) -> None:
    study = write(tmp_path / "s", 3)
    with lock(study.folder):
        assert "being searched or tested now" in report(out, study.folder).words


def test_a_simulated_study_has_a_page_that_says_so(tmp_path: Path, out: Path) -> None:
    page = report(out, write(tmp_path / "s", 3, settings=Settings(curves="curves:f", runner="simulated")).folder)
    assert "simulated a search" in page.words
    assert "nothing was trained" in page.words
    assert "--curves curves:f" in page.words


@pytest.mark.slow
def test_a_study_of_many_trials_has_a_small_page(tmp_path: Path, out: Path) -> None:
    page = report(out, write(tmp_path / "s", 1200).folder)
    assert "1,200 configurations" in page.words
    assert out.stat().st_size < 500_000


def test_several_studies_are_compared_first(tmp_path: Path, out: Path) -> None:
    folders = [write(tmp_path / name, n).folder for name, n in (("one", 12), ("two", 6))]
    page = report(out, *folders)
    assert len(page.ids) == len(set(page.ids))
    assert page.sources.count("#s0") == page.sources.count("#s1") == 1
    assert "Report of the studies one, two" in page.words
    assert "The study two" in page.words


@pytest.mark.slow
def test_a_study_is_described_in_the_same_bytes_each_time(tmp_path: Path, out: Path) -> None:
    folder = write(tmp_path / "s", 15).folder
    assert report(out, folder).text == report(out, folder).text


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, out: Path) -> None:
    old = "<!DOCTYPE html>\n<title>Report of the study old</title>"
    out.write_text(old)
    with pytest.raises(StudyError, match="no study 'missing'"):
        write_report([write(tmp_path / "s", 1).folder, tmp_path / "missing"], out)
    assert out.read_text() == old
    with pytest.raises(UserError, match="is a folder"):
        write_report([tmp_path / "s"], tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        write_report([tmp_path / "s"], tmp_path / "nowhere" / "report.html")


def test_a_file_that_cannot_be_written_is_the_fault_of_the_machine(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", 1).folder
    long_name = tmp_path / f"{'x' * 245}.html"  # that of the temporary file beside it would be too long
    with pytest.raises(MachineError, match="File name too long"):
        write_report([folder], long_name)
    assert not list(tmp_path.glob("*.html"))


def own_code(config: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Training code of the user: its loss falls in two epochs."""
    for epoch in (1, 2):
        yield {"val_loss": config["x"] + 1 / epoch}


def test_a_study_of_own_code_has_a_page_without_commands(tmp_path: Path, out: Path) -> None:
    hpo.search(
        SearchSpace("own", {"x": Float(0, 1)}, Fidelity(2)),
        own_code,
        study="own",
        studies=tmp_path,
        trials=2,
        quiet=True,
        runner="inline",
    )
    page = report(out, tmp_path / "own")
    assert "training code of its own" in page.words
    assert "searched from Python with training code of its own" in page.words
    assert "hpo search" not in page.words


def test_the_commands_repeat_the_search_and_name_what_they_leave_out(tmp_path: Path, out: Path) -> None:
    settings = Settings(
        runner="inline",
        predictions=False,
        report_timeout=90.0,
        max_crashes=7,
        storage=f"sqlite:///{tmp_path / 'secret place.db'}",
        track=("tensorboard",),
    )
    page = report(out, write(tmp_path / "s", 2, settings=settings).folder)
    assert "--report-timeout 90s --max-crashes 7 --no-predictions --study s" in page.words
    assert "--storage (its database), --track (where its trials were sent), which the commands leave out" in page.words
    assert "secret place" not in page.words


def test_the_configuration_of_each_of_the_best_stands_below_its_results(tmp_path: Path, out: Path) -> None:
    study = write(tmp_path / "s", 30)
    page = report(out, study.folder)
    best = study.history()[0].incumbent
    assert best is not None
    assert page.words.count("kind=<b>bold</b>") + page.words.count("kind=plain") >= 10
    assert f"x={best.config['x']:.3g}" in page.words
