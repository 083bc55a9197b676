from __future__ import annotations

import json
from pathlib import Path

from hpo.record import lock
from tests.cli.commands import Hpo


def test_report_writes_one_file_and_names_it(searched: Hpo, tmp_path: Path) -> None:
    result = searched("report", "s", "--out", "page.html")
    assert result.exit_code == 0, result.output
    assert result.output == "page.html\n"
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_a_file_that_is_no_report_is_never_replaced(searched: Hpo, tmp_path: Path) -> None:
    for text in ("mine", "<!DOCTYPE html>\n<title>My page</title>"):
        (tmp_path / "report.html").write_text(text)
        result = searched("report", "s")
        assert result.exit_code == 2
        assert "--out report.html: there is a file that is no report of hpo" in result.output
        assert (tmp_path / "report.html").read_text() == text
    (tmp_path / "report.html").write_text("")
    for _ in range(2):
        result = searched("report", "s")
        assert (result.exit_code, result.output) == (0, f"{tmp_path / 'report.html'}\n")


def test_a_wrong_name_is_answered_with_the_nearest_and_nothing_is_written(searched: Hpo, tmp_path: Path) -> None:
    for words in (("report", "ss"), ("compare", "s", "ss"), ("importance", "ss")):
        result = searched(*words)
        assert result.exit_code == 2
        assert "no study 'ss' in" in result.output
        assert "did you mean 's'?" in result.output
    assert not (tmp_path / "report.html").exists()


def test_a_study_cannot_be_named_twice_and_a_comparison_needs_two(searched: Hpo) -> None:
    assert "study 's' is named twice" in searched("report", "s", "s").output
    assert "study 'studies/s' is named twice" in searched("report", "s", "studies/s").output
    assert "only 's' is named" in searched("compare", "s").output
    assert searched("compare", "s").exit_code == 2


def test_the_figure_of_a_comparison_needs_a_known_suffix(searched: Hpo) -> None:
    result = searched("compare", "s", "t", "--plot", "curves.gif")
    assert result.exit_code == 2
    assert "--plot curves.gif: the suffix" in result.output


def test_compare_shows_what_each_study_found_and_spent(searched: Hpo, tmp_path: Path) -> None:
    words = ("--backend", "random", "--trials", 3, "--runner", "inline", "--study", "t")
    assert searched("search", "--space", "toy.yaml", *words).exit_code == 0
    result = searched("compare", "s", "t", "--plot", "curves.png")
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in result.output.splitlines() if line][1:4] == ["study", "s", "t"]
    assert "have no intervals" in result.output
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    rows = json.loads(searched("compare", "s", "t", "--format", "json").output)
    assert [row["trials"] for row in rows] == [10, 3]
    worst = max(row["best"] for row in rows)
    assert all(row["epochs_to_common_value"] >= 1 for row in rows)
    assert any(row["best"] == worst for row in rows)


def test_importance_says_when_the_trials_do_not_tell(searched: Hpo) -> None:
    result = searched("importance", "s")
    assert result.exit_code == 0
    assert "10 trials do not tell which hyperparameters matter" in result.output
    assert searched("importance", "s", "--format", "csv").output.startswith("hyperparameter,")


def test_studies_lists_each_study_with_its_state(searched: Hpo, tmp_path: Path) -> None:
    broken = tmp_path / "studies" / "broken"
    broken.mkdir()
    (broken / "study.yaml").write_text("study: [")
    clone = tmp_path / "studies" / "clone"
    clone.mkdir()
    for name in ("study.yaml", "trials.csv"):
        (clone / name).write_bytes((tmp_path / "studies" / "s" / name).read_bytes())
    with lock(tmp_path / "studies" / "s"):
        assert "searching" in searched("studies").output
    result = searched("studies")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines()[:5]}
    assert "unreadable" in lines["broken"]
    assert "tables only" in lines["clone"]
    assert "finished" in lines["s"]
    assert lines["s"].split()[2:4] == lines["clone"].split()[3:5]
    assert "is damaged" in result.output
    rows = {row["study"]: row for row in json.loads(searched("studies", "--format", "json").output)}
    assert rows["s"]["trials"] == rows["clone"]["trials"] == 10
    assert rows["broken"]["best"] is None


def test_compare_names_the_keys_in_which_the_spaces_differ(searched: Hpo) -> None:
    words = ("--backend", "random", "--trials", 2, "--runner", "inline", "--study", "t")
    changed = ("--set", "fidelity.high=3", "--set", "task.validation.fraction=0.25")
    assert searched("search", "--space", "toy.yaml", *words, *changed).exit_code == 0
    output = searched("compare", "s", "t").output
    assert "Their spaces differ: task.validation.fraction is 0.2 and 0.25; fidelity.high is 9 and 3." in output
    assert searched("search", "--space", "toy.yaml", *words[:-1], "u", "--set", "name=other").exit_code == 0
    assert "spaces differ" not in searched("compare", "s", "u").output


def test_studies_of_a_folder_without_any_is_an_error(hpo: Hpo, tmp_path: Path) -> None:
    assert "there is no such folder" in hpo("studies").output
    (tmp_path / "studies").mkdir()
    result = hpo("studies")
    assert result.exit_code == 2
    assert "there is no study in" in result.output
