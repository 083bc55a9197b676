from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("change", [("return 1", "return 2"), ("lr = 0.1", "lr = 0.2"), ("W = 3", "W = 4")])
def test_a_class_from_standard_input_counts_by_its_methods_and_constants(change: tuple[str, str]) -> None:
    text = "W = 3\nclass Net:\n    lr = 0.1\n    def step(self):\n        Net.n = W\n        return 1\n    n = 0\n"
    run = "from hpo.training.user_code.code_digest import digest\nprint(digest(Net))\nNet(){}\nprint(digest(Net))\n"
    first, trained = _run_from_input(text + run.format(".step()"))
    assert first == trained
    assert _run_from_input(text.replace(*change) + run.format("")) != [first, first]
    assert _run_from_input("# New.\n" + text + run.format("")) == [first, first]


def _run_from_input(text: str) -> list[str]:
    done = subprocess.run([sys.executable, "-"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.split()


STABLE = """
import threading
from dataclasses import dataclass, field
from hpo.training.user_code.code_digest import digest
NAMES = {"a", "b", "c", ("d", frozenset({"e", "f"}))}
TABLE = {name: {name} for name in NAMES}
LOCK, THING, FUNCTIONS = threading.Lock(), object(), {print, len, digest}
@dataclass
class Net:
    config: dict
    layers: list = field(default_factory=list)
    def step(self):
        return TABLE, LOCK, [THING, lambda: NAMES & {"x", "y"}], "x" in {"x", "y", "z"}, FUNCTIONS
print(digest(Net), digest(Net({}).step), digest(lambda config: Net(config)))
"""


@pytest.mark.parametrize("is_file", [True, False])
def test_the_digest_is_the_same_in_every_process(is_file: bool, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(STABLE)
    command = [sys.executable, str(tmp_path / "script.py") if is_file else "-"]
    environments = [{**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path.cwd())} for seed in "123"]
    runs = [
        subprocess.run(command, input=STABLE, capture_output=True, text=True, check=True, env=each).stdout
        for each in environments
    ]
    assert len(set(runs)) == 1
    assert len(set(runs[0].split())) == 3
