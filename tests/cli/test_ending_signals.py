from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpo.cli.ending_signals import ending_line
from tests.cli.commands import ROOT

TWO_SIGNALS = """
import os, signal, sys
from hpo.cli.ending_signals import ending_signals, write_line
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under `nohup`
with ending_signals(write_line, lambda: "the last line"):
    for name in sys.argv[1:]:
        try:
            os.kill(os.getpid(), getattr(signal, name))
        except KeyboardInterrupt:
            print(name, flush=True)
"""

FORK = """
import os, signal
from hpo.cli.ending_signals import ending_signals, write_line
with ending_signals(write_line, lambda: "the last line"):
    child = os.fork()
    if child == 0:
        for _ in range(2):
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                print("interrupted", flush=True)
        os._exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

CLOSED = """
from pathlib import Path
file = open("other", "w")
Path("number").write_text(str(file.fileno()))
from hpo.cli.ending_signals import write_line
write_line("ending")
"""


def run(script: str, *words: str, shell: str = 'exec "$@"', folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, by a line of the shell."""
    return subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-c", script, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_interrupts_and_ctrl_c_after_it_ends_at_once(first: signal.Signals) -> None:
    done = run(TWO_SIGNALS, first.name, "SIGINT")
    assert (done.returncode, done.stdout) == (130, f"{first.name}\n")
    assert done.stderr == f"{ending_line(first)}\nthe last line\n"


def test_sigterm_after_ctrl_c_interrupts_again_without_another_line() -> None:
    done = run(TWO_SIGNALS, "SIGINT", "SIGTERM")
    assert (done.returncode, done.stdout) == (0, "SIGINT\nSIGTERM\n")
    assert done.stderr == f"{ending_line(signal.SIGINT)}\n"


def test_the_line_says_again_only_if_ctrl_c_was_pressed() -> None:
    assert ending_line(signal.SIGINT).endswith("; press Ctrl-C again to end at once")
    assert ending_line(signal.SIGTERM).endswith("; press Ctrl-C to end at once")


def test_a_process_that_training_code_forked_is_only_interrupted() -> None:
    done = run(FORK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\ninterrupted\n3\n", "")


def test_no_line_is_written_into_a_file_that_has_the_number_of_a_closed_standard_error(tmp_path: Path) -> None:
    assert run(CLOSED, shell='exec "$@" 2>&-', folder=tmp_path).returncode == 0
    assert (tmp_path / "number").read_text() == "2"
    assert (tmp_path / "other").read_text() == ""
