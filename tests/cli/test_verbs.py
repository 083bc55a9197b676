from __future__ import annotations

import os
import re
from pathlib import Path

import pandas as pd
import pytest

from hpo import spacefile
from hpo.record import Budget, Settings, StudyFolder, lock
from tests.cli.commands import SEARCH, Hpo

WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown verb": (("serch",), "No such command 'serch'"),
    "unknown option": (("search", "--spce", "toy.yaml"), "No such option"),
    "no space": (("search",), "Missing option '--space'"),
    "missing file": (("search", "--space", "nowhere.yaml"), "nowhere.yaml"),
    "misspelt bundled space": (("search", "--space", "digits_cn"), "did you mean 'digits_cnn'"),
    "a folder for a space": (("search", "--space", "."), "."),
    "unknown backend": (("search", "--space", "toy.yaml", "--backend", "bobh"), "did you mean 'bohb'"),
    "unknown runner": ((*SEARCH, "--runner", "proceses"), "did you mean 'processes'"),
    "unknown backend option": ((*SEARCH, "--option", "sampler=gp"), "'sampler'"),
    "a reserved backend option": ((*SEARCH, "--option", "seed=3"), "`space` and `seed` are not options"),
    "a backend option of broken YAML": ((*SEARCH, "--option", "sampler=[a"), "write it as name=value"),
    "a hyperparameter named like a column": ((*SEARCH, "--set", "space.loss={choices: [a, b]}"), "space.loss"),
    "no patience": ((*SEARCH, "--set", "fixed.patience=0"), "fixed.patience"),
    "malformed backend option": ((*SEARCH, "--option", "sampler"), "write it as name=value"),
    "unknown sampler": ((*SEARCH, "--backend", "optuna", "--option", "sampler=tpee"), "did you mean 'tpe'"),
    "an option that the default backend lacks": (
        ("search", "--space", "toy.yaml", "--option", "sampler=gp"),
        "unknown option of the backend freeze_thaw: 'sampler'",
    ),
    "unknown device": ((*SEARCH, "--devices", "gpu0"), "'gpu0' is no device"),
    "a GPU that is not there": ((*SEARCH, "--devices", "cuda:99"), "cuda:99"),
    "no slots": ((*SEARCH, "--slots", "0"), "--slots"),
    "slots that are no number": ((*SEARCH, "--slots", "autos"), "neither a whole number of at least 1 nor auto"),
    "negative trials": (("search", "--space", "toy.yaml", "--trials", "-1"), "--trials"),
    "a very long space": (("search", "--space", "x" * 5000), "no file 'xxxxxxxxxxxxx"),
    "a very long configuration": ((*SEARCH, "--try", "x" * 5000), "xxx: write it as name=value,name=value"),
    "a very long table": ((*SEARCH, "--try", f"{'x' * 5000}.csv"), "xxx.csv: cannot be read: File name too long"),
    "very long curves": (
        ("search", "--space", "toy.yaml", "--curves", f"{'x' * 5000}.csv"),
        "xxx.csv: there is no such file",
    ),
    "malformed time": ((*SEARCH, "--time", "soon"), "write 90s, 30m, 2h or 1h30m"),
    "malformed override": ((*SEARCH, "--set", "space.x.high"), "space.x.high"),
    "override of an unknown key": ((*SEARCH, "--set", "space.x.hihg=1"), "did you mean 'high'"),
    "override out of order": ((*SEARCH, "--set", "space.x.low=2"), "low <= high"),
    "a grid over a range": (("search", "--space", "toy.yaml", "--backend", "grid"), "points"),
    "a name with a slash": ((*SEARCH, "--study", "../s"), "a name has letters"),
    "no storage": ((*SEARCH, "--storage", "nonsense"), "storage nonsense"),
    "a backend without ask": (("search", "--space", "toy.yaml", "--backend", "tests.toy"), "backend"),
    "resume of no study": (("resume", "nothing"), "no study 'nothing'"),
    "status of no study": (("status", "nothing"), "no study 'nothing'"),
    "test of no study": (("test", "nothing"), "no study 'nothing'"),
    "best of no study": (("best", "nothing"), "no study 'nothing'"),
    "dashboard of no study": (("dashboard", "nothing"), "no study 'nothing'"),
    "export of no study": (("export", "nothing"), "no study 'nothing'"),
    "a study without a name": (("replay", "", "--backend", "random"), "the name of the study is empty (allowed: none)"),
    "an unknown runner": (
        ("search", "--space", "toy.yaml", "--runner", "fussed"),
        "unknown runner 'fussed'; did you mean 'fused'? (allowed: auto, fused, inline, processes, ray, simulated)",
    ),
    "an option that is no assignment": (
        ("search", "--space", "toy.yaml", "--option", 300 * "a"),
        f"--option {38 * 'a'}...{38 * 'a'}: write it as name=value",
    ),
    "port out of range": (("dashboard", "s", "--port", "99999"), "--port"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_a_plain_error_and_writes_nothing(hpo: Hpo, tmp_path: Path, what: str) -> None:
    words, message = WRONG[what]
    result = hpo(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert message in result.output
    assert "Traceback" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


WRONG_LATER: dict[str, tuple[tuple[str, ...], str]] = {
    "a study that exists": ((*SEARCH, "--study", "s"), "study 's' exists"),
    "unknown format of best": (("best", "s", "--format", "xml"), "unknown format 'xml'"),
    "unknown format of export": (("export", "s", "--format", "cvs"), "did you mean 'csv'"),
    "export into no folder": (("export", "s", "--out", "no/where.csv"), "there is no folder no"),
    "export onto a folder": (("export", "s", "--out", "studies"), "is a folder"),
    "export onto a file of the study": (
        ("export", "s", "--out", "studies/s/trials.csv"),
        "--out studies/s/trials.csv: study 's' writes trials.csv itself; name a file outside ",
    ),
    "export into a folder of the study": (
        ("export", "s", "--out", "studies/s/predictions/a.csv"),
        "there is no folder",
    ),
    "report onto a file of the study": (("report", "s", "--out", "studies/s/best.csv"), "writes best.csv itself"),
    "export as an unknown suffix": (("export", "s", "--out", "x.pdf"), "written as .pdf (allowed: .csv, .htm, "),
    "export with a format that the suffix denies": (
        ("export", "s", "--out", "x.csv", "--format", "md"),
        ".csv stands for csv, and --format is md; leave out --format",
    ),
    "unknown protocol": (("test", "s", "--protocol", "retrian"), "did you mean 'retrain'"),
    "seeds of a checkpoint": (("test", "s", "--protocol", "checkpoint", "--seeds", "2"), "has no seeds"),
    "less than was spent": (("resume", "s", "--trials", "3"), "has spent 10 trials already"),
    "a test without a data set": (("test", "s"), "no held-out data"),
    "a misspelt study": (("status", "ss"), "did you mean 's'"),
}


@pytest.mark.parametrize("what", WRONG_LATER)
def test_wrong_input_about_a_study_leaves_it_as_it_was(searched: Hpo, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "studies" / "s"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words, message = WRONG_LATER[what]
    result = searched(*words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert message in result.output
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("verb", ["search", "resume"])
def test_the_help_writes_the_value_of_slots_as_it_is_taken(hpo: Hpo, verb: str) -> None:
    assert "--slots N|auto " in hpo(verb, "--help").output


def test_a_locked_study_is_a_plain_error(searched: Hpo, tmp_path: Path) -> None:
    with lock(tmp_path / "studies" / "s"):
        for words in (("resume", "s"), ("test", "s"), (*SEARCH, "--study", "s")):
            result = searched(*words)
            assert result.exit_code == 2
            assert "is being searched or tested by another process" in result.output


def test_a_study_that_was_cut_short_is_not_tested(hpo: Hpo, tmp_path: Path) -> None:
    words = ["search", "--space", "digits_cnn", "--backend", "random", "--trials", "1", "--runner", "inline"]
    hpo(*words, "--set", "fidelity.high=1", "--study", "d")
    journal = tmp_path / "studies" / "d" / "ledger.log"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if "the budget of" not in line))
    result = hpo("test", "d")
    assert result.exit_code == 2
    assert "not searched to its end" in result.output
    assert not (tmp_path / "studies" / "d" / "test.json").exists()


def test_the_folder_of_the_studies_in_place_of_one_lists_them(searched: Hpo) -> None:
    for words in (("status", "."), ("resume", "."), ("replay", "./", "--backend", "random")):
        result = searched(*words)
        assert result.exit_code == 2
        assert "studies is a folder of studies, not a study; name one of them (allowed: s)" in result.output
    assert "the name of the study is empty (allowed: s)" in searched("best", "").output


def test_a_study_without_a_record_is_listed_but_not_offered(searched: Hpo) -> None:
    Path("studies/s/ledger.log").unlink()
    assert "no study 'ss' in" in searched("status", "ss").output
    assert "(allowed: none)" in searched("status", "ss").output
    assert "the records of these studies are not here" in searched("status", ".").output
    assert "tables only" in searched("studies").output


def test_a_damaged_study_file_is_a_plain_error(searched: Hpo, tmp_path: Path) -> None:
    (tmp_path / "studies" / "s" / "study.yaml").write_text("settings: [")
    result = searched("resume", "s")
    assert result.exit_code == 2
    assert "study.yaml: is damaged" in result.output


def test_a_study_folder_that_cannot_be_made_is_the_machines_fault(hpo: Hpo, tmp_path: Path) -> None:
    """A file stands above where the folder of the studies should be; permissions do not bind a root user."""
    (tmp_path / "file").write_text("in the way")
    result = hpo(*SEARCH, "--studies", "file/studies")
    assert result.exit_code == 1
    assert "cannot be made or written" in result.output
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_search_too_short_to_train_any_trial_to_its_end_says_so(hpo: Hpo) -> None:
    words = ("search", "--space", "toy.yaml", "--backend", "bohb", "--runner", "inline", "--study", "s")
    told = "No trial was trained to its end, 9 epochs: `hpo resume s` with more --trials"
    assert told in hpo(*words, "--trials", "2").output
    assert told not in hpo("resume", "s", "--trials", "20").output


def test_a_search_without_a_budget_to_spend_is_a_mistake_and_one_that_trains_nothing_fails(hpo: Hpo) -> None:
    words = ("search", "--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--study", "s")
    for option in ("--trials", "--epochs", "--time"):
        result = hpo(*words, option, "0")
        assert result.exit_code == 2
        assert f"hpo: {option} must be more than 0 for a new search, but is 0" in result.output
    result = hpo(*words, "--time", "0.000001s")
    assert result.exit_code == 1
    assert "hpo: no epoch was trained" in result.output


def test_a_file_in_place_of_the_studies_is_a_mistake(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("in the way")
    result = hpo(*SEARCH)
    assert result.exit_code == 2
    assert "'--studies': Directory 'studies' is a file" in result.output
    assert (tmp_path / "studies").read_text() == "in the way"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_the_machines_fault(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "studies" / "s").mkdir(parents=True)
    (tmp_path / "studies" / "s" / "ledger.log").symlink_to("/dev/full")
    result = hpo(*SEARCH, "--study", "s")
    assert result.exit_code == 1, result.output
    assert "hpo: the ledger cannot be written" in result.output
    assert not (tmp_path / "studies" / "s" / "study.yaml").exists()


@pytest.mark.parametrize("trials", [1, 2, 9])
def test_a_search_that_only_crashes_shows_the_first_error_and_fails(hpo: Hpo, trials: int) -> None:
    words = ["--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--trials", trials, "--study", "s"]
    result = hpo("search", *words, "--set", "fixed.fault=raise_at_once")
    assert result.exit_code == 1
    assert "trial 0 first, with ValueError: the toy was told to raise" in result.output


def test_some_crashes_are_told_in_the_summary_in_status_and_in_the_table(hpo: Hpo, tmp_path: Path) -> None:
    words = ["--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--trials", 6, "--study", "s", "-q"]
    result = hpo("search", *words, "--set", "space.fault={choices: [none, raise]}")
    assert result.exit_code == 0, result.output
    line = re.search(r"\d trials? crashed, the first \(trial \d\) with ValueError: the toy was told", result.output)
    assert line is not None
    assert line[0] in hpo("status", "s").output
    table = pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")
    assert set(table.loc[table["state"] == "crashed", "error"]) == {"ValueError: the toy was told to raise"}


def test_a_search_that_only_diverges_says_so_and_fails(hpo: Hpo) -> None:
    words = ["--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--trials", 2, "--study", "s"]
    result = hpo("search", *words, "--set", "fixed.fault=nan_at_once")
    assert result.exit_code == 1
    assert "2 trials diverged" in result.output
    assert "no trial has a finite loss" in result.output
    assert hpo("best", "s").output == "no trial has a finite loss\n"


def test_best_of_a_study_without_an_epoch_says_how_to_go_on(hpo: Hpo, tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "s"
    folder.mkdir(parents=True)
    StudyFolder(folder, spacefile.read(tmp_path / "toy.yaml"), Settings(), Budget()).begin().close()
    result = hpo("best", "s")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.fullmatch(r"no epoch is recorded yet; `\S*hpo resume s` goes on\n", result.stderr)


def test_resume_of_a_finished_study_says_that_nothing_is_left_and_what_goes_further(searched: Hpo) -> None:
    output = searched("resume", "s").output
    assert "hpo: nothing is left to do: the budget of 10 trials is spent; `" in output
    assert "resume s --trials N` with a larger budget goes further" in output
    assert "nothing is left" not in searched("resume", "s", "--trials", 11).output
