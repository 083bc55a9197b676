from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner, Result

from hpo.cli.app import app
from hpo.record import StudyFolder, lock
from hpo.results import table_text, tables

ROOT = Path(__file__).parents[2]

TOY = """
task: {regime: tests.toy}
space:
  kind: {choices: [a, b]}
  x: {low: 0.0, high: 1.0}
  y: {low: 1e-3, high: 1, log: true, when: {kind: [a]}}
fidelity: {low: 1, high: 9, eta: 3}
"""

Hpo = Callable[..., Result]


@pytest.fixture
def hpo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hpo:
    """Types a command in a folder of its own; `toy.yaml` lies in it."""
    (tmp_path / "toy.yaml").write_text(TOY)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def searched(hpo: Hpo) -> Hpo:
    """The same, after a small search of the toy under the name `s`."""
    result = hpo(
        "search", "--space", "toy.yaml", "--backend", "bohb", "--trials", 10, "--runner", "inline", "--study", "s"
    )
    assert result.exit_code == 0, result.output
    return hpo


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom hpo.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'ray', 'pandas', 'numpy', 'hpbandster'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stderr == "[]\n"
    verbs = ("spaces", "search", "resume", "status", "best", "test", "export", "dashboard")
    assert re.findall(rf"^  ({'|'.join(verbs)}) ", answer.stdout, re.MULTILINE) == list(verbs)


def test_spaces_lists_each_bundled_space_with_its_line(hpo: Hpo) -> None:
    result = hpo("spaces")
    assert result.exit_code == 0
    line = next(line for line in result.output.splitlines() if line.startswith("digits_cnn "))
    assert "convolutional network" in line


def test_search_prints_the_best_and_the_next_command(searched: Hpo) -> None:
    result = searched("resume", "s", "--trials", 12)
    assert result.exit_code == 0
    assert "the budget of 12 trials is spent" in result.output
    assert "hpo dashboard s" in result.output
    assert "hpo test" not in result.output  # the toy has no held-out data
    assert re.search(r"^trial +state +kind +x +y ", result.output, re.MULTILINE)


def test_quiet_prints_the_result_alone(hpo: Hpo) -> None:
    words = ["--space", "toy.yaml", "--backend", "random", "--trials", 2, "--runner", "inline"]
    loud, quiet = hpo("search", *words, "--seed", 1), hpo("search", *words, "--seed", 2, "-q")
    assert "trial   0  complete" in loud.output
    assert "trial   0  complete" not in quiet.output


def test_an_option_of_the_backend_is_a_number_as_in_a_space_file(hpo: Hpo, tmp_path: Path) -> None:
    words = ["--space", "toy.yaml", "--backend", "bohb", "--trials", 2, "--runner", "inline", "--study", "s"]
    assert hpo("search", *words, "--option", "min_bandwidth=1e-2").exit_code == 0
    content = yaml.safe_load((tmp_path / "studies" / "s" / "study.yaml").read_text())
    assert content["settings"]["options"] == {"min_bandwidth": 0.01}


def test_a_study_is_named_after_its_space_backend_and_seed(hpo: Hpo, tmp_path: Path) -> None:
    hpo("search", "--space", "toy.yaml", "--backend", "random", "--trials", 1, "--runner", "inline", "--seed", 5)
    assert (tmp_path / "studies" / "toy-random-5" / "study.yaml").exists()


def test_set_overrides_any_key(hpo: Hpo, tmp_path: Path) -> None:
    hpo(
        *("search", "--space", "toy.yaml", "--backend", "random", "--trials", 2, "--runner", "inline", "--study", "s"),
        *("--set", "space.x.high=0.25", "--set", "fidelity.high=2"),
    )
    table = pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")
    assert (table["x"] <= 0.25).all()
    assert (table["epochs"] == 2).all()
    content = yaml.safe_load((tmp_path / "studies" / "s" / "study.yaml").read_text())
    assert content["space"]["space"]["x"]["high"] == 0.25


def test_status_says_how_far_a_study_is(searched: Hpo) -> None:
    result = searched("status", "s")
    assert result.exit_code == 0
    assert "finished, the budget of 10 trials is spent" in result.output
    assert "running" not in result.output
    assert re.search(r"^trials +10: ", result.output, re.MULTILINE)


def test_status_of_a_study_in_search_says_so(searched: Hpo, tmp_path: Path) -> None:
    with lock(tmp_path / "studies" / "s"):
        assert "being searched or tested now" in searched("status", "s").output


def test_status_of_a_study_whose_process_was_killed_shows_no_trial_as_running(searched: Hpo, tmp_path: Path) -> None:
    journal = tmp_path / "studies" / "s" / "ledger.log"
    lines = journal.read_text().splitlines(keepends=True)
    begun = next(number for number, line in enumerate(lines) if '"op_code":4' in line)  # a trial is created
    journal.write_text("".join(lines[: begun + 1]))
    result = searched("status", "s")
    assert "cut short; `hpo resume s` goes on" in result.output
    assert "1: 1 paused" in result.output
    assert "running" not in result.output + searched("export", "s").output
    (tmp_path / "studies").rename(tmp_path / "my studies")
    elsewhere = searched("status", "s", "--studies", "my studies").output
    assert "cut short; `hpo resume s --studies 'my studies'` goes on" in elsewhere


@pytest.mark.parametrize("format", ["table", "csv", "md", "latex", "html", "json"])
def test_best_prints_the_top_in_each_format(searched: Hpo, format: str) -> None:
    result = searched("best", "s", "--top", 2, "--format", format)
    assert result.exit_code == 0
    assert "val_loss" in result.output.replace("\\_", "_")
    if format == "json":
        rows = json.loads(result.output)
        assert len(rows) == 2
        assert rows[0]["loss"] <= rows[1]["loss"]


def test_export_writes_every_trial_into_a_file(searched: Hpo, tmp_path: Path) -> None:
    result = searched("export", "s", "--format", "csv", "--out", tmp_path / "all.csv")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "all.csv")
    assert len(table) == 10
    assert list(table["loss"]) == sorted(table["loss"])


def test_the_dashboard_shows_the_trials_of_the_study(searched: Hpo, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "hpo.cli", "dashboard", "s", "--port", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        studies = _get(f"{address}/api/studies", server)["study_summaries"]
        assert [study["study_name"] for study in studies] == ["s"]
        trials = _get(f"{address}/api/studies/{studies[0]['study_id']}?after=0", server)["trials"]
        assert len(trials) == 10
        assert {trial["state"] for trial in trials} == {"Complete", "Pruned"}
        assert all(trial["values"] and trial["intermediate_values"] for trial in trials)
    finally:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=20)
        finally:
            server.kill()


def _get(url: str, server: subprocess.Popen[bytes]) -> dict[str, list[dict[str, object]]]:
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                content: dict[str, list[dict[str, object]]] = json.load(answer)
                return content
        except OSError:
            assert server.poll() is None
            time.sleep(0.2)
    raise AssertionError("the dashboard did not answer")


def test_a_port_that_is_taken_is_named(searched: Hpo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = searched("dashboard", "s", "--port", port)
    assert result.exit_code == 2
    assert f"--port {port}: cannot be served on" in result.output


def test_digits_are_searched_tested_and_counted(hpo: Hpo, tmp_path: Path) -> None:
    words = ["--space", "digits_cnn", "--backend", "random", "--trials", 1, "--runner", "inline", "--study", "d"]
    lr = "space.lr={low: 1e-2, high: 1e-1, log: true}"
    overrides = ["fidelity.high=3", "task.model=softmax_regression", lr, "space.batch_size.choices=[32]"]
    result = hpo("search", *words, *(word for text in overrides for word in ("--set", text)))
    assert result.exit_code == 0, result.output
    assert "hpo test d --top 1 --seeds 3" in result.output
    result = hpo("test", "d", "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert "looked at 2 times" in result.output
    content = json.loads((tmp_path / "studies" / "d" / "test.json").read_text())
    assert content["results"][0]["test_accuracy"]["mean"] > 0.8
    assert len(content["results"][0]["test_accuracy"]["values"]) == 2
    assert hpo("test", "d", "--protocol", "checkpoint").exit_code == 0
    assert json.loads((tmp_path / "studies" / "d" / "test.json").read_text())["looks"] == 3
    assert "test_accuracy" in hpo("export", "d").output.splitlines()[0]


SEARCH = ("search", "--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--trials", "1")

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
    "a reserved backend option": ((*SEARCH, "--option", "seed=3"), "`space` and `seed` are no options"),
    "a backend option of broken YAML": ((*SEARCH, "--option", "sampler=[a"), "write it as name=value"),
    "a hyperparameter named like a column": ((*SEARCH, "--set", "space.loss={choices: [a, b]}"), "space.loss"),
    "no patience": ((*SEARCH, "--set", "fixed.patience=0"), "fixed.patience"),
    "malformed backend option": ((*SEARCH, "--option", "sampler"), "write it as name=value"),
    "unknown sampler": (("search", "--space", "toy.yaml", "--option", "sampler=tpee"), "did you mean 'tpe'"),
    "unknown device": ((*SEARCH, "--devices", "gpu0"), "'gpu0' is no device"),
    "a GPU that is not there": ((*SEARCH, "--devices", "cuda:99"), "cuda:99"),
    "no slots": ((*SEARCH, "--slots", "0"), "--slots"),
    "negative trials": (("search", "--space", "toy.yaml", "--trials", "-1"), "--trials"),
    "malformed time": ((*SEARCH, "--time", "soon"), "write 90s, 30m, 2h or 1h30m"),
    "malformed override": ((*SEARCH, "--set", "space.x.high"), "space.x.high"),
    "override of an unknown key": ((*SEARCH, "--set", "space.x.hihg=1"), "did you mean 'high'"),
    "override out of order": ((*SEARCH, "--set", "space.x.low=2"), "low <= high"),
    "a grid over a range": (("search", "--space", "toy.yaml", "--backend", "grid"), "points"),
    "a name with a slash": ((*SEARCH, "--study", "../s"), "a name holds letters"),
    "no storage": ((*SEARCH, "--storage", "nonsense"), "--storage nonsense"),
    "a backend without ask": (("search", "--space", "toy.yaml", "--backend", "tests.toy"), "--option: backend"),
    "resume of no study": (("resume", "nothing"), "no study 'nothing'"),
    "status of no study": (("status", "nothing"), "no study 'nothing'"),
    "test of no study": (("test", "nothing"), "no study 'nothing'"),
    "best of no study": (("best", "nothing"), "no study 'nothing'"),
    "dashboard of no study": (("dashboard", "nothing"), "no study 'nothing'"),
    "export of no study": (("export", "nothing"), "no study 'nothing'"),
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


def test_a_table_wider_than_the_terminal_puts_each_configuration_on_lines_of_its_own(searched: Hpo) -> None:
    study = StudyFolder.reopen(Path("studies/s"))
    frame = tables.table(study).dropna(subset=["loss"]).head(3)
    wide, narrow = (table_text(frame, ["kind", "x", "y"], width) for width in (None, 60))
    assert len(wide.splitlines()) == 4
    assert max(map(len, wide.splitlines())) > 60 >= max(map(len, narrow.splitlines()))
    assert re.search(r"^      kind=\w, x=", narrow, re.MULTILINE)


def _start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """A real search in a process group of its own, up to its first finished trial."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "hpo.cli", "search", "--space", "toy.yaml", "--study", "s", *words]
    driver = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert driver.stderr is not None
    assert "searching" in driver.stderr.readline()
    assert "trial " in driver.stderr.readline()
    return driver


@pytest.mark.parametrize("runner", ["inline", "processes", "fused"])
def test_ctrl_c_ends_within_seconds_with_the_command_that_resumes(hpo: Hpo, tmp_path: Path, runner: str) -> None:
    words = ("--backend", "random", "--runner", runner, "--devices", "cpu", "--slots", "1", "--trials", "100000")
    driver = _start(tmp_path, *words)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, text = driver.communicate(timeout=10)
    assert driver.returncode == 130
    assert text.rstrip().endswith("Go on with:  hpo resume s")
    assert "Traceback" not in text
    result = hpo("resume", "s", "--time", "0")
    assert result.exit_code == 0, result.output


def test_a_second_ctrl_c_ends_at_once(hpo: Hpo, tmp_path: Path) -> None:
    driver = _start(tmp_path, "--backend", "random", "--runner", "inline", "--trials", "100000")
    driver.send_signal(signal.SIGINT)
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=5)
    assert driver.returncode == 130
