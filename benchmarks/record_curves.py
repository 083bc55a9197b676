"""Records the curves that `benchmarks/search_quality.py` plays on: random configurations, trained to the last epoch.

    python benchmarks/record_curves.py caltech101_probe --trials 300 [--studies DIR] [--only-write]

It searches `benchmarks/curves/<name>.yaml` by the backend `random` with seed 0, in a study of the same name, and writes
`benchmarks/curves/<name>.csv`. It goes on with a study that has begun already. `--only-write` trains nothing: it writes
the trials that are complete so far. The data sets are those of `$HPO_DATA`.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import hpo
from benchmarks.recorded_curves import FOLDER
from hpo.record import History, State, StudyFolder
from hpo.space import SearchSpace

DIGITS = 5
"""The significant digits of a recorded value."""


def rows(space: SearchSpace, history: History) -> list[list[object]]:
    """The header and a row for each complete trial, in the order of their numbers.

    An epoch after the end of a trial, which diverged, is empty.
    """
    epochs = range(1, space.fidelity.high + 1)
    table: list[list[object]] = [["trial", *space.domains, *(f"epoch_{epoch}" for epoch in epochs)]]
    for trial in history.trials.values():
        if trial.state is State.COMPLETE:
            values = {report.fidelity: history.objective_of(report) for report in trial.reports}
            config = [trial.config.get(name, "") for name in space.domains]
            table.append([trial.number, *map(_short, config), *(_short(values.get(epoch, "")) for epoch in epochs)])
    return table


def _short(value: object) -> object:
    """A number with few digits, anything else as it is."""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value


def main() -> None:
    """Record, and write the table."""
    parser = argparse.ArgumentParser(description="Record learning curves of random configurations.")
    parser.add_argument("name", help="the name of a space file in benchmarks/curves, without .yaml")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--studies", type=Path, default=Path("studies"))
    parser.add_argument("--runner", default="auto")
    parser.add_argument("--only-write", action="store_true", help="train nothing, write what is complete")
    typed = parser.parse_args()
    if not typed.only_write:
        space, where = FOLDER / f"{typed.name}.yaml", {"study": typed.name, "studies": typed.studies}
        hpo.search(space, **where, backend="random", seed=0, trials=typed.trials, runner=typed.runner)
    study = StudyFolder.reopen(typed.studies / typed.name)
    history, _ = study.history()
    table = rows(study.space, history)
    with (FOLDER / f"{typed.name}.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table)
    print(f"{len(table) - 1} curves in {FOLDER / typed.name}.csv")


if __name__ == "__main__":
    main()
