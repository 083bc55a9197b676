"""The runs of `benchmarks/search_quality.py`: plays them in processes, and keeps each as a JSON line in a file."""

from __future__ import annotations

import json
import multiprocessing
import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import problems
from benchmarks.clocked import clocked
from benchmarks.regrets import regrets
from benchmarks.report import note
from hpo.loop.simulation import play

BUDGETS = (5, 10, 20, 50)
"""The budgets at which regrets are taken, in full trainings."""


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


def played_or_error(wanted: Wanted) -> dict[str, Any] | str:
    """The line of a run, or, if it failed, the error in words."""
    try:
        return played(wanted)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


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
            note(f"{path}: a line is cut off, and its run counts as not played")
    return found


def add_line(path: Path, line: Mapping[str, Any]) -> None:
    """Append a line to a file of results, on a line of its own even if the last one was cut off."""
    is_cut_off = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a") as file:
        file.write("\n" * is_cut_off + json.dumps(line) + "\n")


def play_all(wanted: Sequence[Wanted], path: Path, processes: int) -> bool:
    """Play runs, and append each to the file as it ends. Returns whether all of them ended well."""
    good = True
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        begun = {pool.submit(played_or_error, run): run for run in wanted}
        for n, future in enumerate(as_completed(begun), start=1):
            run, line = begun[future], future.result()
            if isinstance(line, str):
                note(f"{run.shown} failed on {run.problem}, seed {run.seed}: {line}")
                good = False
                continue
            add_line(path, line)
            shown = " ".join(f"@{budget} {regret:.3f}" for budget, regret in line["regrets"].items())
            note(f"{n}/{len(wanted)} {run.problem} seed {run.seed} {run.shown}: {shown} in {line['seconds']:.0f} s")
    return good
