"""The Python API as its users have it: scripts in files, from standard input, and a notebook in a real kernel."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

SCRIPT = """
import hpo

class Parabola:
    def __init__(self, config):
        self.x, self.epoch = config["x"], 0

    def step(self):
        self.epoch += 1
        return {"val_loss": (self.x - OFFSET) ** 2 + 1 / self.epoch}

    def state_dict(self):
        return {"epoch": self.epoch}

    def load_state_dict(self, state):
        self.epoch = state["epoch"]

def train(config):
    epoch = 0
    while True:
        epoch += 1
        yield {"val_loss": (config["x"] - OFFSET) ** 2 + 1 / epoch}

OFFSET = 0.3
space = hpo.SearchSpace("parabola", {"x": hpo.Float(0.0, 1.0)}, hpo.Fidelity(9))
"""

SEARCH = """
forms = {"class": Parabola, "generator": train, "lambda": lambda config, model, data, device: Parabola(config)}
for name, form in forms.items():
    study = hpo.search(space, form, backend="random", trials=3, study=name, runner="processes", devices="cpu", slots=1)
    print(name, len(study.table()), study.best.loss < 0.3, study.table()["epochs"].max())
"""


def run(command: list[str], folder: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("source", ["file", "standard input"])
def test_all_forms_are_searched_from_a_script_without_a_main_guard(source: str, tmp_path: Path) -> None:
    text = SCRIPT + SEARCH
    (tmp_path / "script.py").write_text(text)
    done = run(["script.py"], tmp_path) if source == "file" else run(["-"], tmp_path, text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["class 3 True 9", "generator 3 True 9", "lambda 3 True 9"]
    assert done.stderr == ""  # no progress, because nobody looks at a pipe


def test_a_script_whose_code_changed_says_so_and_one_with_a_new_comment_goes_on(tmp_path: Path) -> None:
    call = 'hpo.search(space, lambda config: Parabola(config), backend="random", trials=TRIALS, runner="inline")'
    line = f"print(len({call}.table()))\n"
    (tmp_path / "script.py").write_text(SCRIPT + line.replace("TRIALS", "2"))
    assert run(["script.py"], tmp_path).stdout == "2\n"
    (tmp_path / "script.py").write_text("# A comment.\n" + SCRIPT + line.replace("TRIALS", "3"))
    assert run(["script.py"], tmp_path).stdout == "3\n"
    for changed in (SCRIPT.replace("OFFSET = 0.3", "OFFSET = 0.4"), SCRIPT.replace("1 / self.epoch", "2 / self.epoch")):
        (tmp_path / "script.py").write_text(changed + line.replace("TRIALS", "3"))
        done = run(["script.py"], tmp_path)
        assert done.returncode == 1
        assert done.stdout == ""
        assert "other training code" in done.stderr.splitlines()[-1]
        assert "such as 'parabola-random-0-2'" in done.stderr.splitlines()[-1]


def test_a_notebook_shows_the_progress_and_the_study(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    search = 'study = hpo.search(space, Parabola, backend="random", trials=12, runner="inline")'
    options = 'backend="random", trials=2, runner="processes", devices="cpu", slots=1, study="quiet", quiet=True'
    quiet = f"hpo.search(space, train, {options}).best.trial"
    cells = [nbformat.v4.new_code_cell(text) for text in (SCRIPT, search, "study", quiet)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    script = (
        "import sys, nbclient, nbformat\n"
        "notebook = nbformat.reads(sys.stdin.read(), as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=100, kernel_name='python3').execute()\n"
        "print(nbformat.writes(notebook))\n"
    )
    done = run(["-W", "ignore", "-c", script], tmp_path, nbformat.writes(notebook))
    assert done.returncode == 0, done.stderr
    executed = nbformat.reads(done.stdout, as_version=4)
    shown = [[output for output in cell.outputs if output.output_type != "stream"] for cell in executed.cells]
    (progress,) = shown[1]
    assert "12 of 12 trials" in progress.data["text/plain"]
    assert progress.data["text/html"].startswith("<pre>")
    (study,) = shown[2]
    assert "<table" in study.data["text/html"]
    assert "trials   12:" in study.data["text/plain"]
    (best,) = shown[3]
    assert best.data["text/plain"] in ("0", "1")


def test_a_mistake_in_a_script_shows_its_own_line_and_the_message_alone(tmp_path: Path) -> None:
    for runner in ("inline", "processes"):
        call = f'hpo.search(space, lambda config: 0.93, trials=2, runner={runner!r}, devices="cpu", slots=1)\n'
        (tmp_path / "script.py").write_text(SCRIPT + call)
        done = run(["script.py"], tmp_path)
        assert done.returncode == 1
        assert call.strip() in done.stderr
        assert done.stderr.splitlines()[-1].startswith("hpo.errors.TaskError: the trainable <lambda> returned 0.93")
        assert len(done.stderr.splitlines()) < 12
        assert "assembly" not in done.stderr


@pytest.mark.parametrize("quiet", [False, True])
def test_a_script_shows_its_progress_in_a_terminal(tmp_path: Path, quiet: bool) -> None:
    search = f"hpo.search(space, Parabola, backend='random', trials=3, runner='inline', quiet={quiet})\n"
    (tmp_path / "script.py").write_text(SCRIPT + search)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the end of the output, on Linux
            pass
        os.close(ours)
    assert process.returncode == 0, shown
    assert (b"of 3 trials" in shown) is not quiet
