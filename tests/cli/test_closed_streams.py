"""A search whose output nobody reads, or whose standard streams are closed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.commands import ROOT, TOY, Hpo


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["inline", "processes"])
def test_a_search_goes_on_when_nobody_reads_its_output_any_more(hpo: Hpo, tmp_path: Path, runner: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "regime.py").write_text(
        "import sys\nfrom tests import toy\n"
        "class Talkative(toy.Curve):\n"
        "    def step(self):\n"
        "        print('epoch', self.epoch, file=sys.stderr, flush=True)\n"
        "        return super().step()\n"
        "def build(config, model, data, device):\n"
        "    return Talkative(config)\n"
    )
    (tmp_path / "toy.yaml").write_text(TOY.replace("tests.toy", "own.regime"))
    command = f"{sys.executable} -m hpo.cli search --space toy.yaml --study s --backend random --trials 3 --devices cpu"
    shell = f"({command} --slots 1 --runner {runner}; echo $? > status) 2>&1 | head -1"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(["sh", "-c", shell], cwd=tmp_path, env=environment, timeout=100, check=True)
    assert (tmp_path / "status").read_text() == "0\n"
    assert list(pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")["state"]) == ["complete"] * 3


@pytest.mark.slow
def test_a_search_runs_with_closed_standard_streams(hpo: Hpo, tmp_path: Path) -> None:
    command = f"{sys.executable} -m hpo.cli search --space toy.yaml --study s --backend random --trials 2"
    shell = f"{command} --runner inline <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(["sh", "-c", shell], cwd=tmp_path, env=environment, timeout=100, check=True)
    assert list(pd.read_csv(tmp_path / "studies" / "s" / "trials.csv")["state"]) == ["complete"] * 2
