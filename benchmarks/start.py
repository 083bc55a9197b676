"""From Enter to the first epoch: how long `hpo search` takes until a trial on digits has trained one.

    python benchmarks/start.py [--repeats 5] [--quick]

Beside it stands what importing torch takes alone, in a fresh process: no search that trains with it can begin sooner.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import block, machine, verdict

TARGET = 3.0
"""Seconds."""


def main() -> None:
    """Measure in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="once, to see that it runs")
    given = parser.parse_args()
    begun, searched, imported = machine(), [], []
    for _ in range(1 if given.quick else given.repeats):
        searched.append(_search())
        imported.append(_imports())
    search, imports = statistics.median(searched), statistics.median(imported)
    rows = [["hpo search, until its first epoch is trained", search, search / imports]]
    rows.append(["import torch, alone", imports, 1.0])
    lines = [verdict(f"start: {search:.1f} s", search, TARGET, "s")]
    print(block("From Enter to the first epoch on digits", begun, ["what", "s", "ratio"], rows, lines))


def _search() -> float:
    """Seconds until the first epoch of the first trial has its checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--space", "digits_cnn", "--backend", "random", "--epochs", "1", "--studies", folder, "--study", "s"]
        first = Path(folder) / "s" / "checkpoints" / "0.pt"
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "hpo.cli", "search", "-q", *words], stdout=subprocess.DEVNULL)
        while not first.exists() and process.poll() is None:
            time.sleep(0.005)
        seconds = time.perf_counter() - started
        process.wait()
    return seconds


def _imports() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
