"""How a search ends: by an interrupt, after crashes, and with what trials started."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from hpo.cli.ending_signals import ending_line
from hpo.cli.search import _go_on
from hpo.record import Budget, Settings, StudyFolder
from tests import toy
from tests.cli.commands import ROOT, TOY, Hpo
from tests.runners.workers import wait_for, wait_until_ended

SECONDS = 240.0
"""A command that has not ended after this time hangs. It takes a second or two, and longer on a busy machine."""

_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_search_is_left_behind() -> Iterator[None]:
    yield
    while _started:
        driver = _started.pop()
        if driver.poll() is None:
            os.killpg(driver.pid, signal.SIGKILL)
        driver.communicate()


def _start(
    tmp_path: Path, *words: str, first: str = ":", trains: bool = True, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A real search in a process group of its own, up to its first finished trial if it `trains`.

    It is the process of a shell that has run the command `first`. `stderr` is its standard error.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
    command = [sys.executable, "-m", "hpo.cli", "search", "--space", "toy.yaml", "--study", "s", *words]
    driver = subprocess.Popen(
        ["sh", "-c", f'{first}\nexec "$@"', "sh", *command],
        cwd=tmp_path,
        env=environment,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under `nohup`
    )
    _started.append(driver)
    if trains:
        assert driver.stderr is not None
        assert "searching" in driver.stderr.readline()
        assert "trial " in driver.stderr.readline()
    return driver


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["inline", "processes", "fused"])
def test_ctrl_c_ends_within_seconds_with_the_command_that_resumes(hpo: Hpo, tmp_path: Path, runner: str) -> None:
    words = ("--backend", "random", "--runner", runner, "--devices", "cpu", "--slots", "1", "--trials", "100000")
    driver = _start(tmp_path, *words)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, text = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130
    assert ending_line(signal.SIGINT) in text.splitlines()
    assert text.splitlines()[-1] == "interrupted; nothing is lost. Go on with:  hpo resume s"
    assert "Traceback" not in text
    table = pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")
    assert "complete" in set(table["state"])
    result = hpo("resume", "s", "--time", "0")
    assert result.exit_code == 0, result.output


def _write_slow_regime(tmp_path: Path) -> None:
    """A regime that takes long to end after a first Ctrl-C. `training` exists as soon as it trains."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "regime.py").write_text(
        "import time\nfrom pathlib import Path\nfrom tests import toy\n"
        "class Slow(toy.Curve):\n"
        "    def step(self):\n"
        "        Path('training').touch()\n"
        "        try:\n"
        "            time.sleep(1000)\n"
        "        finally:\n"
        "            time.sleep(1000)\n"
        "def build(config, model, data, device):\n"
        "    return Slow(config)\n"
    )
    (tmp_path / "toy.yaml").write_text(TOY.replace("tests.toy", "own.regime"))


@pytest.mark.slow
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_after_a_first_signal_ends_at_once(hpo: Hpo, tmp_path: Path, first: signal.Signals) -> None:
    _write_slow_regime(tmp_path)
    driver = _start(tmp_path, "--backend", "random", "--runner", "inline", "--quiet", trains=False)
    wait_for((tmp_path / "training").exists)
    driver.send_signal(first)
    assert driver.stderr is not None
    assert driver.stderr.readline() == f"{ending_line(first)}\n"
    driver.send_signal(signal.SIGINT)
    _, text = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130
    assert text.count("interrupted; nothing is lost. Go on with:  hpo resume ") == 1


@pytest.mark.slow
def test_ctrl_c_is_answered_at_once_on_a_terminal(hpo: Hpo, tmp_path: Path) -> None:
    _write_slow_regime(tmp_path)
    terminal, stderr = os.openpty()
    driver = _start(tmp_path, "--backend", "random", "--runner", "inline", trains=False, stderr=stderr)
    os.close(stderr)
    wait_for((tmp_path / "training").exists)
    driver.send_signal(signal.SIGINT)
    shown = b""
    while ending_line(signal.SIGINT).encode() not in shown:
        assert select.select([terminal], [], [], SECONDS)[0]
        shown += os.read(terminal, 4096)
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130
    os.close(terminal)


def _interrupted_in_backend(tmp_path: Path, code: str, reached: str) -> subprocess.Popen[str]:
    """A search with a backend of one's own, which got Ctrl-C as soon as the file `reached` was there."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "backend.py").write_text(code)
    driver = _start(tmp_path, "--backend", "own.backend", "--runner", "inline", "--quiet", trains=False)
    wait_for((tmp_path / reached).exists)
    driver.send_signal(signal.SIGINT)
    return driver


@pytest.mark.slow
def test_ctrl_c_is_answered_at_once_while_a_backend_computes(hpo: Hpo, tmp_path: Path) -> None:
    """The interrupt is deferred, and this backend would swallow it."""
    code = (
        "import time\nfrom pathlib import Path\n"
        "class Slow:\n"
        "    def ask(self, *, new=True):\n"
        "        Path('asked').touch()\n"
        "        while True:\n"
        "            try:\n"
        "                time.sleep(60)\n"
        "            except BaseException:\n"
        "                pass\n"
        "    def tell(self, event):\n"
        "        return {}\n"
        "def build(space, *, seed):\n"
        "    return Slow()\n"
    )
    driver = _interrupted_in_backend(tmp_path, code, "asked")
    assert driver.stderr is not None
    assert driver.stderr.readline() == f"{ending_line(signal.SIGINT)}\n"
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130


def test_ctrl_c_before_the_study_exists_says_to_run_the_command_again(hpo: Hpo, tmp_path: Path) -> None:
    code = (
        "import time\nfrom pathlib import Path\n"
        "def build(space, *, seed):\n"
        "    Path('building').touch()\n"
        "    time.sleep(60)\n"
    )
    driver = _interrupted_in_backend(tmp_path, code, "building")
    _, text = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130
    assert text.splitlines()[-1] == "interrupted before the search began; run the same command again"
    assert not (tmp_path / "studies" / "s").exists()


def test_a_new_budget_that_is_not_on_record_yet_is_typed_again(tmp_path: Path) -> None:
    """`hpo resume s --epochs 60` was interrupted before it recorded the budget."""
    (tmp_path / "s").mkdir()
    StudyFolder(tmp_path / "s", toy.space(), Settings(), Budget(epochs=30)).begin().close()
    assert _go_on(tmp_path / "s", Budget(epochs=60)) == "Run the same command again to continue"
    assert _go_on(tmp_path / "s", Budget(epochs=30)).startswith("Go on with:  hpo resume ")


@pytest.mark.slow
def test_ctrl_c_leaves_background_jobs_of_the_shell_that_became_the_command(hpo: Hpo, tmp_path: Path) -> None:
    first = "sleep 1000 >background.log 2>&1 & echo $! >background"
    words = ("--backend", "random", "--runner", "inline", "--trials", "100000")
    driver = _start(tmp_path, *words, first=first)
    background = psutil.Process(int((tmp_path / "background").read_text()))
    try:
        assert background.ppid() == driver.pid
        driver.send_signal(signal.SIGINT)
        driver.communicate(timeout=SECONDS)
        assert driver.returncode == 130
        assert background.is_running()
        assert background.status() != psutil.STATUS_ZOMBIE
    finally:
        background.kill()


def test_crashed_trials_are_named_with_the_command_that_tries_them_again(hpo: Hpo, tmp_path: Path) -> None:
    faults = "\n  fault: {choices: [none, raise_at_once]}\nfidelity"
    (tmp_path / "toy.yaml").write_text((tmp_path / "toy.yaml").read_text().replace("\nfidelity", faults))
    words = ("--space", "toy.yaml", "--backend", "random", "--runner", "inline", "--study", "s")
    result = hpo("search", *words, "--trials", 8, "--max-crashes", 30)
    assert result.exit_code == 0, result.output
    assert re.search(r"^\d trials crashed, the first \(trial \d\) with ValueError", result.output, re.MULTILINE)
    assert "hpo resume s --retry-crashed` tries them again" in result.output
    n_crashed = result.output.count("  crashed ")
    again = hpo("resume", "s", "--retry-crashed", "--max-crashes", 40)
    assert again.exit_code == 0, again.output
    assert f"{n_crashed} trials crashed, and were tried again" in again.output
    assert len(pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")) == 8 + n_crashed
    settings = yaml.safe_load((tmp_path / "studies" / "s" / "study.yaml").read_text())["settings"]
    assert settings["max_crashes"] == 40


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [True, False])
def test_processes_that_inline_trials_started_end_with_the_command(hpo: Hpo, tmp_path: Path, interrupt: bool) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "regime.py").write_text(
        "import subprocess\nfrom tests import toy\n"
        "def build(config, model, data, device):\n"
        "    program = subprocess.Popen(['sh', '-c', 'sleep 1000 & wait'], stderr=subprocess.DEVNULL)\n"
        f"    open({str(tmp_path / 'program')!r}, 'w').write(str(program.pid))\n"
        "    return toy.Curve(config)\n"
    )
    (tmp_path / "toy.yaml").write_text(TOY.replace("tests.toy", "own.regime"))
    words = ("--backend", "random", "--runner", "inline", "--trials", "100000" if interrupt else "2")
    driver = _start(tmp_path, *words)
    if interrupt:
        driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=SECONDS)
    assert driver.returncode == (130 if interrupt else 0)
    program = int((tmp_path / "program").read_text())
    assert wait_until_ended([psutil.Process(program)] if psutil.pid_exists(program) else []) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_search_that_is_ended_from_outside_writes_its_tables(hpo: Hpo, tmp_path: Path, number: int) -> None:
    driver = _start(tmp_path, "--backend", "random", "--runner", "inline", "--trials", "100000")
    driver.send_signal(number)
    _, text = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130
    assert "Go on with:  hpo resume s" in text
    assert len(pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")) >= 1


@pytest.mark.slow
def test_training_code_that_catches_ctrl_c_delays_it_by_one_epoch(hpo: Hpo, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "regime.py").write_text(
        "import os, signal\nfrom tests import toy\n"
        "class Stubborn(toy.Curve):\n"
        "    def step(self):\n"
        "        try:\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "            [None for _ in range(1000)]\n"
        "        except BaseException:\n"
        "            pass\n"
        "        return super().step()\n"
        "def build(config, model, data, device):\n"
        "    return Stubborn(config)\n"
    )
    (tmp_path / "toy.yaml").write_text(TOY.replace("tests.toy", "own.regime"))
    driver = _start(
        tmp_path, "--backend", "random", "--runner", "inline", "--trials", "100000", "--quiet", trains=False
    )
    _, text = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 130
    assert "Go on with:  hpo resume s" in text
    assert pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")["epochs"].sum() == 1
