from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.cli.commands import SEARCH, Hpo


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom hpo.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'ray', 'pandas', 'numpy', 'scipy', 'hpbandster'}\n"
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


def test_the_end_of_a_search_and_its_status_give_the_notices_of_the_training_code(
    searched: Hpo, tmp_path: Path
) -> None:
    (tmp_path / "studies" / "s" / "checkpoints" / "notices.txt").write_text("`weights`: some.pth: as told\n")
    for words in (("resume", "s", "--trials", 12), ("status", "s")):
        assert searched(*words).output.splitlines().count("`weights`: some.pth: as told") == 1
    assert "some.pth" not in searched("resume", "s", "--trials", 13, "-q").output


def test_quiet_prints_the_result_alone(hpo: Hpo) -> None:
    words = ["--space", "toy.yaml", "--backend", "random", "--trials", 2, "--runner", "inline"]
    loud, quiet = hpo("search", *words, "--seed", 1), hpo("search", *words, "--seed", 2, "-q")
    assert "trial   0  complete" in loud.output
    assert quiet.stderr == ""
    assert re.match(r"trial +state +kind +x +y ", quiet.stdout)
    assert hpo("resume", "toy-random-2", "--trials", 3, "-q").stderr == ""


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", "'10' has no unit; write 10s, 10m or 10h"),
        ("1.5", "'1.5' has no unit; write 1.5s, 1.5m or 1.5h"),
        ("1h30", "'1h30' is no time; write 90s, 30m, 2h or 1h30m"),
        ("", "is no time"),
        ("soon", "'soon' is no time"),
        ("-5s", "'-5s' is no time"),
    ],
)
def test_a_time_needs_its_unit(hpo: Hpo, tmp_path: Path, text: str, message: str) -> None:
    result = hpo(*SEARCH, "--time", text)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "studies").exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5h", 5400), ("0", 0), ("0s", 0)]
)
def test_a_time_with_a_unit_is_the_budget_in_seconds(hpo: Hpo, tmp_path: Path, text: str, seconds: int) -> None:
    hpo(*SEARCH, "--study", "s")
    assert hpo("resume", "s", "--trials", "1", "--time", text).exit_code == 0
    content = yaml.safe_load((tmp_path / "studies" / "s" / "study.yaml").read_text())
    assert content["budget"]["seconds"] == seconds


def test_a_time_that_is_spent_already_is_refused_and_no_time_keeps_the_reason_of_the_end(
    hpo: Hpo, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("def curve(config, epoch):\n    return {'val_loss': 1 / epoch, 'seconds': 60}\n")
    words = ("search", "--space", "toy.yaml", "--backend", "random", "--curves", "mine:curve", "--study", "s")
    assert "the budget of 3 trials is spent" in hpo(*words, "--trials", "3").output
    before = (tmp_path / "studies" / "s" / "ledger.log").read_bytes()
    result = hpo("resume", "s", "--time", "10m")
    assert result.exit_code == 2
    assert "the study has spent 1620 seconds already, more than the 600 given" in result.output
    assert (tmp_path / "studies" / "s" / "ledger.log").read_bytes() == before
    assert "s: the budget of 3 trials is spent" in hpo("resume", "s", "--time", "0").output
    assert "finished, the budget of 3 trials is spent" in hpo("status", "s").output
    assert "the budget of 30m00s is spent" in hpo("resume", "s", "--time", "30m").output
    assert "the budget of 30m00s is spent" in hpo("resume", "s", "--time", "30m").output


def test_a_budget_below_one_round_is_said_before_the_search_begins(hpo: Hpo) -> None:
    words = ("search", "--space", "toy.yaml", "--backend", "bohb", "--runner", "inline", "--trials", 5)
    result = hpo(*words, "--study", "a")
    assert result.output.startswith("hpo: bohb compares trials at epochs 1 to 9. One round of its 3 brackets takes 15")
    assert "compares" not in hpo(*words, "--study", "b", "-q").output
