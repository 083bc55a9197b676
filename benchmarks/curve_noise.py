"""How noisy real validation losses are from epoch to epoch: the size of `--noise` of `benchmarks/search_quality.py`.

    python benchmarks/curve_noise.py digits_cnn caltech101_probe [--studies DIR]

The names are those of studies whose record is on this machine. Of each trial, the residual of an epoch is the logarithm
of its loss minus the mean of those of the epochs before and after it, for which a smooth curve gives about 0. For
independent noise of standard deviation s on the logarithms, its variance is 1.5 s^2. The first three epochs, where
curves bend most, are left out, and losses that are not finite or not positive.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from hpo.record import StudyFolder

SKIPPED = 3
"""The first epochs that are left out."""
LEAST = 3
"""The least number of residuals of a trial."""


def noise(losses: Sequence[float]) -> float:
    """The standard deviation of the noise on the logarithms of a learning curve. NaN if it is too short."""
    values = np.array(losses[SKIPPED:], float)
    logs = np.log(np.where(np.isfinite(values) & (values > 0), values, np.nan))
    residuals = logs[1:-1] - (logs[:-2] + logs[2:]) / 2
    residuals = residuals[np.isfinite(residuals)]
    return math.sqrt(float(np.mean(residuals**2)) / 1.5) if len(residuals) >= LEAST else math.nan


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The noise of learning curves.")
    parser.add_argument("names", nargs="+", help="studies")
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    typed = parser.parse_args()
    rows = []
    for name in typed.names:
        history, _ = StudyFolder.reopen(typed.studies / name).history()
        curves = [[history.objective_of(report) for report in trial.reports] for trial in history.trials.values()]
        sizes = np.array([size for curve in curves if math.isfinite(size := noise(curve))])
        rows.append([name, len(sizes), *(np.percentile(sizes, [25, 50, 75]) if len(sizes) else [math.nan] * 3)])
    print(tabulate(rows, ["study", "trials", "25 %", "median", "75 %"], "github", floatfmt=".3f"))


if __name__ == "__main__":
    main()
