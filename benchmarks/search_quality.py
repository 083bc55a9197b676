"""How good searches are: any backends side by side, on curves that are known, in simulated time.

    python benchmarks/search_quality.py [--problems lcbench synthetic tables ...] [--backends ...] [--seeds 3]
                                        [--slots 1] [--trainings 50] [--noise 0] [--processes 2] [--every N]
                                        [--results FILE] [--label TEXT] [--held-out] [--quick]

A backend is any name that `hpo search --backend` takes, with its options: `optuna:sampler=gp,pruner=none`.

The budget is counted in full trainings' worth of epochs. The tables show the normalised regret of the configuration
with the lowest value seen at any epoch so far: its value after the last epoch, without noise, where 0 is the best
known of the problem and 1 the median of random configurations. Then the mean rank among the backends, and the CPU
milliseconds of an `ask`. Errors are standard errors over runs.

Each run is one line of the file of results, so a benchmark that was interrupted goes on where it was: it plays only
the runs that the file lacks. `--label` marks the backends of this call, to compare two versions of one.
"""

from __future__ import annotations

import benchmarks.one_thread  # noqa: F401  # isort: skip

import argparse
import json
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import problems
from benchmarks.clocked import clocked
from benchmarks.regrets import comparison, regrets
from benchmarks.report import block, machine, note
from hpo.errors import UserError
from hpo.loop.simulation import play

BUDGETS = (5, 10, 20, 50)
"""The budgets at which regrets are taken, in full trainings."""
BACKENDS = ("random", "optuna", "optuna:sampler=gp,pruner=none", "asha", "bohb")


@dataclass(frozen=True)
class Wanted:
    """One run: a backend on a problem."""

    problem: str
    backend: str
    seed: int
    slots: int
    noise: float
    trainings: int
    label: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """What tells the run from others, as in a line of the results."""
        return self.problem, self.shown, self.seed, self.slots, self.noise, self.trainings

    @property
    def shown(self) -> str:
        """What the tables call the backend."""
        return f"{self.backend} ({self.label})" if self.label else self.backend


def played(wanted: Wanted) -> dict[str, Any]:
    """Play one run, and return its line of the results."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    problem = problems.problem(wanted.problem, seed=wanted.seed, noise=wanted.noise)
    backend = clocked(wanted.backend, problem.space, wanted.seed)
    epochs = wanted.trainings * problem.space.fidelity.high
    history = play(backend, problem.space, problem.curve, slots=wanted.slots, epochs=epochs)
    budgets = [budget for budget in BUDGETS if budget <= wanted.trainings]
    line = {key: value for key, value in asdict(wanted).items() if key != "label"}
    return line | {
        "backend": wanted.shown,
        "regrets": regrets(problem, history, budgets),
        "trials": len(history.trials),
        "epochs": history.n_epochs,
        "ask_ms": [round(ms, 3) for ms in backend.ask_ms],
        "tell_ms": round(backend.tell_ms, 3),
        "seconds": round(time.perf_counter() - started, 2),
    }


def key_of(line: dict[str, Any]) -> tuple[object, ...]:
    """The `key` of the run of a line."""
    return tuple(line[name] for name in ("problem", "backend", "seed", "slots", "noise", "trainings"))


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results. A last line that was cut off is left out."""
    found = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(text))
        except json.JSONDecodeError:
            note(f"{path}: a line is cut off and is played again")
    return found


def play_all(wanted: Iterable[Wanted], path: Path, processes: int) -> bool:
    """Play runs, and append each to the file as it ends. Returns whether all of them ended well."""
    wanted, good = list(wanted), True
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        begun = {pool.submit(played, run): run for run in wanted}
        for n, future in enumerate(as_completed(begun), start=1):
            run = begun[future]
            try:
                line = future.result()
            except Exception as error:
                note(f"{run.shown} failed on {run.problem}, seed {run.seed}: {type(error).__name__}: {error}")
                good = False
                continue
            with path.open("a") as file:
                file.write(json.dumps(line) + "\n")
            shown = " ".join(f"@{budget} {regret:.3f}" for budget, regret in line["regrets"].items())
            note(f"{n}/{len(wanted)} {run.problem} seed {run.seed} {run.shown}: {shown} in {line['seconds']:.0f} s")
    return good


def tables(results: Iterable[dict[str, Any]], begun: str) -> Iterator[str]:
    """A table for each group of problems, number of slots and size of the noise."""
    groups: dict[tuple[str, int, float, int], list[dict[str, Any]]] = {}
    for line in results:
        group = line["problem"].partition("/")[0]
        groups.setdefault((group, line["slots"], line["noise"], line["trainings"]), []).append(line)
    for (group, slots, noise, trainings), runs in groups.items():
        header, rows, n = comparison(runs, [budget for budget in BUDGETS if budget <= trainings])
        title = f"{group}, {slots} slot{'s' * (slots != 1)}" + (f", noise {noise:g}" if noise else "")
        yield block(title, begun, header, rows, [f"{n} runs of each backend, {trainings} trainings"])


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="How good searches are, on curves that are known.")
    parser.add_argument(
        "--problems", nargs="+", default=["lcbench", "synthetic", "tables"], help="groups, or single problems"
    )
    parser.add_argument("--every", type=int, default=1, help="take only every so many problems of a group")
    parser.add_argument("--backends", nargs="+", default=BACKENDS, help="name:option=value,option=value")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--slots", type=int, nargs="+", default=[1])
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0])
    parser.add_argument("--trainings", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("search_quality.jsonl"))
    parser.add_argument("--label", default="", help="marks the backends of this call in the results")
    parser.add_argument("--held-out", action="store_true", help="allow the data sets that are for judging only")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(problems=["branin-crossing@5"], backends=["random", "asha"], seeds=2, trainings=5)
    return parser.parse_args()


def main() -> None:
    """Play what is lacking, and print."""
    typed = arguments()
    begun = machine()
    try:
        names = problems.Choice(typed.problems, typed.every, typed.held_out).expanded()
    except UserError as error:
        sys.exit(f"error: {error}")
    wanted = [
        Wanted(problem, backend, seed, slots, noise, typed.trainings, typed.label)
        for seed in range(typed.seeds)
        for problem in names
        for slots in typed.slots
        for noise in typed.noise
        for backend in typed.backends
    ]
    done = {key_of(line) for line in lines(typed.results)}
    good = play_all((run for run in wanted if run.key not in done), typed.results, typed.processes)
    keys = {run.key for run in wanted}
    for table in tables((line for line in lines(typed.results) if key_of(line) in keys), begun):
        print(table, end="\n\n")
    if not good:
        sys.exit(1)


if __name__ == "__main__":
    main()
