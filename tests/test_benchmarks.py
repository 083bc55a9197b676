from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_comparison_of_overheads_runs_and_prints_every_row() -> None:
    """A handful of trials: what is printed is no measurement, but all of it is there."""
    command = [sys.executable, "benchmarks/overhead.py", "--quick", "--trials", "6", "--growth-trials", "40"]
    command += ["--without", "ray", "--backends", "random"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split("  ")[0] for line in done.stdout.splitlines()]
    for sampler in ("tpe", "random"):
        assert rows.count(f"Optuna alone, {sampler}") == 3
    assert rows.count("ours, random, backend alone") == 1
    assert rows.count("ours, random") == 2
    assert "HpBandSter's arithmetic" in rows
    verdicts = [line.split()[1] for line in done.stdout.splitlines() if line.startswith(("reached", "MISSED"))]
    assert verdicts == ["inline:", "processes:", "growth:", "resume:"]


def test_the_comparison_of_heads_side_by_side_runs_and_finds_no_difference() -> None:
    command = [sys.executable, "benchmarks/fused_heads.py", "--quick", "--epochs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("quick")]
    assert [row[1] for row in rows] == ["1", "8"]
    assert all(float(row[-1]) < 1e-5 for row in rows)
