"""How a search of many trials on many slots grows: simulated trials, the real search loop, the real journal on disk.

    python benchmarks/scale.py [--trials 100000] [--slots 1000] [--backends random asha] [--folder DIR] [--quick]

No trial trains. The learning curves are a function, epochs take 60 s of simulated time, and 1,000 slots are busy all
the time: the search gets 16.7 reports a second in real life, and has one core for them. Seven hyperparameters are
searched, one of them conditional. With `asha` a trial trains for 1 to 27 epochs, about 3 in the mean; with `random`,
which stops none, for 3.

The trials are divided into ten parts, in the order in which they began. For each part, the table shows the milliseconds
of CPU time of one `ask`, of one `tell`, and of one record (of a suggestion, or of a report and the decisions on it);
the reports that the whole process, with the loop and the runner, takes in a second of CPU time; and the memory at its
end. Waiting for the disk is not CPU time: the journal is synced once a second at most.

Each backend is measured in a process of its own; memory is that of the whole process, imports included. Then another
process opens the record and replays it, as a resume does. A line says how long that takes, and how much memory.
"""

from __future__ import annotations

if __name__ == "__main__":
    import benchmarks.one_thread  # noqa: F401  # before numpy

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import apart, block, machine, note, peak_megabytes, verdict
from hpo.backends._backend import Answer, Backend
from hpo.loop import build_backend, run
from hpo.loop.replay import replay
from hpo.record import Budget, Event, Ledger, Settings, StudyFolder
from hpo.runners.simulated import build as build_runner
from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace
from hpo.training.builder import Job
from hpo.trial import Config, Crash, Decision, Report, Suggestion

EPOCHS = {"random": 3}
"""The epochs of a full training, where they are not 27."""
SECONDS = 60.0
"""The simulated seconds of an epoch."""
PARTS = 10
LIMIT_MS = 5.0
"""The milliseconds under which one ask, one tell and one record together are to stay."""
LIMIT_MB = 1000.0
"""The megabytes under which the process is to stay."""


def space(backend: str) -> SearchSpace:
    """What is searched: the hyperparameters of a small network."""
    domains: dict[str, Domain] = {
        "optimizer": Categorical(("sgd", "nag", "adam", "adamw")),
        "lr": Float(1e-4, 1e-1, log=True),
        "momentum": Float(0.5, 0.99, when={"optimizer": ("sgd", "nag")}),
        "weight_decay": Float(1e-6, 1e-2, log=True),
        "batch_size": Categorical((16, 32, 64, 128)),
        "step_size": Int(5, 30),
        "gamma": Float(0.1, 0.9),
    }
    return SearchSpace("scale", domains, Fidelity(EPOCHS.get(backend, 27)))


def curve(config: Config, epoch: int) -> dict[str, float]:
    """The metrics of a simulated epoch. Slow starters may overtake."""
    lr, gamma = float(config["lr"]), float(config["gamma"])  # type: ignore[arg-type]
    final = (math.log10(lr) + 2.3) ** 2 / 4 + 0.2 * (gamma - 0.5) ** 2 + 0.01 * len(str(config["optimizer"]))
    loss = final + (2.0 + 3 * gamma) / (epoch + 1)
    return {"train_loss": 0.9 * loss, "val_loss": loss, "val_accuracy": 1 / (1 + loss), "seconds": SECONDS}


@dataclass
class Times:
    """The milliseconds of CPU time of calls, each with the number of trials that had begun."""

    calls: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: {"ask": [], "tell": [], "record": []})
    n_trials: int = 0

    def add(self, what: str, started: float) -> None:
        self.calls[what].append((self.n_trials, 1000 * (time.process_time() - started)))


class TimedBackend:
    """A backend whose calls are timed."""

    def __init__(self, backend: Backend, times: Times) -> None:
        self._backend, self._times = backend, times

    def ask(self, *, new: bool = True) -> Answer:
        started = time.process_time()
        answer = self._backend.ask(new=new)
        if isinstance(answer, Suggestion):
            self._times.add("ask", started)
        return answer

    def tell(self, event: Report | Crash) -> Mapping[int, Decision]:
        started = time.process_time()
        decisions = self._backend.tell(event)
        self._times.add("tell", started)
        return decisions


class TimedLedger:
    """A ledger whose records are timed."""

    def __init__(self, ledger: Ledger, times: Times) -> None:
        self._ledger, self._times = ledger, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def suggest(self, suggestion: Suggestion) -> None:
        started = time.process_time()
        self._ledger.suggest(suggestion)
        self._times.add("record", started)

    def record(self, event: Report | Crash) -> None:
        self._began = time.process_time()
        self._ledger.record(event)
        self._spent = time.process_time() - self._began

    def settle(self, event: Report | Crash, decisions: Mapping[int, Decision]) -> None:
        started = time.process_time()
        self._ledger.settle(event, decisions)
        self._times.add("record", started - self._spent)


@dataclass
class Growth:
    """What a search was like at the end of each part of its trials."""

    times: Times
    marks: list[tuple[int, int, float, float]] = field(default_factory=list)
    """Trials, reports, seconds of CPU time, and megabytes."""
    peak: float = 0.0
    """The most megabytes that the process had."""
    journal: float = 0.0
    """The megabytes of the journal."""
    resume: tuple[float, float] = (0.0, 0.0)
    """The seconds of CPU time of opening and replaying the record, and the most megabytes of that process."""


def megabytes() -> float:
    """The memory of this process now."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * 4096 / 1e6 if pages.exists() else peak_megabytes()


def searched(backend: str, trials: int, slots: int, folder: str | None) -> Growth:
    """Search so many trials, and return what each part took."""
    times = Times()
    growth = Growth(times)
    settings = Settings(backend, runner="simulated", slots=slots, curves="benchmarks.scale:curve")
    with tempfile.TemporaryDirectory(dir=folder) as parent:
        study = StudyFolder(Path(parent) / "s", space(backend), settings, Budget(trials=trials))
        study.folder.mkdir()
        ledger = study.begin()
        job = Job(study.space, settings.seed, study.data)
        runner = build_runner(job, study.checkpoints, slots=slots, curves=settings.curves)

        def watch(event: Event, ledger: Ledger) -> None:
            if isinstance(event, Suggestion):
                times.n_trials += 1
                if times.n_trials % (trials // PARTS) == 0:
                    history = ledger.history
                    growth.marks.append((times.n_trials, history.n_epochs, time.process_time(), megabytes()))
                    note(f"{backend}: {times.n_trials:,} trials, {growth.marks[-1][-1]:,.0f} MB")

        growth.marks.append((0, 0, time.process_time(), megabytes()))
        made = TimedBackend(build_backend(study.space, settings), times)
        run(made, runner, TimedLedger(ledger, times), Budget(trials=trials), watch)  # type: ignore[arg-type, type-var]
        growth.journal = (study.folder / "ledger.log").stat().st_size / 1e6
        ledger.close()
        growth.peak = peak_megabytes()
        growth.resume = apart(resumed, study.folder)
    return growth


def resumed(folder: Path) -> tuple[float, float]:
    """Open and replay a record. Returns the seconds of CPU time, and the most megabytes of this process."""
    started = time.process_time()
    study = StudyFolder.reopen(folder)
    ledger = study.ledger(write=True)
    replay(build_backend(study.space, study.settings), ledger)
    seconds = time.process_time() - started
    ledger.close()
    return seconds, peak_megabytes()


def rows(backend: str, growth: Growth) -> list[list[object]]:
    """The rows of the table, one for each part."""
    found: list[list[object]] = []
    calls = {what: np.array(times) for what, times in growth.times.calls.items()}
    for (before, n_before, began, _), (trials, reports, ended, memory) in zip(
        growth.marks, growth.marks[1:], strict=False
    ):
        row: list[object] = [backend, trials, reports]
        for each in calls.values():
            part = each[(each[:, 0] > before) & (each[:, 0] <= trials), 1]
            row += [float(each) for each in np.percentile(part, [50, 95])] if len(part) else [math.nan, math.nan]
        found.append([*row, (reports - n_before) / (ended - began), memory])
    return found


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="How a search of many trials on many slots grows.")
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--slots", type=int, default=1_000)
    parser.add_argument("--backends", nargs="+", default=["random", "asha"])
    parser.add_argument("--folder", help="where the journal is written; the folder of temporary files by default")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(trials=100, slots=10)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed, begun = arguments(), machine()
    needed = typed.slots / SECONDS
    header = ["backend", "trials", "reports", "ask ms", "95 %", "tell ms", "95 %", "record ms", "95 %"]
    header += ["reports/s", "memory MB"]
    table: list[list[object]] = []
    lines = []
    for backend in typed.backends:
        growth = apart(searched, backend, typed.trials, typed.slots, typed.folder)
        found = rows(backend, growth)
        table += found
        last: list[Any] = found[-1]
        medians = float(last[3] + last[5] + last[7])
        what = f"{backend}, at {typed.trials:,} trials"
        lines.append(verdict(f"{what}: {medians:.2f} ms for ask, tell and record", medians, LIMIT_MS, "ms"))
        slowest = min(float(pace) for *_, pace, _ in found if pace)  # type: ignore[arg-type]  # a first part has none
        pace = f"{what}: {slowest:,.0f} reports a second of one core in the slowest part"
        lines.append(verdict(pace, slowest, needed, f"that {typed.slots:,} slots send", least=True))
        peak = f"{what}: {growth.peak:,.0f} MB at most, journal {growth.journal:,.0f} MB"
        lines.append(verdict(peak, growth.peak, LIMIT_MB, "MB"))
        seconds, memory = growth.resume
        lines.append(f"{what}: opening and replaying the record takes {seconds:,.0f} s, and {memory:,.0f} MB at most")
    print(block(f"Many trials on {typed.slots:,} slots", begun, header, table, lines))


if __name__ == "__main__":
    main()
