"""Epochs that BOHB trains: going on from checkpoints, as here, against training each rung from scratch, as HpBandSter.

    python benchmarks/promotion.py [--rungs 27/3 81/3 16/2] [--rounds 1] [--quick]

A search by the backend `bohb` over one or more rounds of all its brackets, for each highest fidelity and eta.
A promoted trial goes on from its checkpoint. Then the other side replays the record of that search: each time
a trial was suggested up to an epoch, it builds the training anew and steps it from the first epoch to that one.

Epochs are counted where they are trained, by the calls of `step()`: no formula. The training itself is free,
and repeatable: the losses that the other side finds at each rung must be those on record.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.free import Free, space
from benchmarks.report import block, machine, note
from hpo.backends.bohb import bracket_sizes
from hpo.loop import Session, begin
from hpo.record import Budget, History, Settings, StudyFolder
from hpo.space import Fidelity
from hpo.trial import Suggestion


class Counter:
    """Builds free trainings, and counts the epochs that they train."""

    def __init__(self) -> None:
        self.epochs = 0

    def build(self, config: Mapping[str, Any], model: object, data: object, device: str) -> Any:
        """A training that is counted."""
        return Counted(self, float(config["x"]))


class Counted(Free):
    """A free training whose epochs are counted."""

    def __init__(self, counter: Counter, x: float) -> None:
        super().__init__(x)
        self._counter = counter

    def step(self) -> Mapping[str, float]:
        self._counter.epochs += 1
        return super().step()


def search(fidelity: Fidelity, trials: int) -> tuple[int, History]:
    """The epochs that a search trains, and its record."""
    counter = Counter()
    settings = Settings(backend="bohb", seed=0, runner="inline", devices="cpu")
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "s"
        begin(study, space(fidelity), settings, Budget(trials=trials), session=Session(counter.build))
        history = StudyFolder.reopen(study).history()[0]
    assert counter.epochs == history.n_epochs, f"{counter.epochs} epochs trained, {history.n_epochs} on record"
    return counter.epochs, history


def from_scratch(history: History) -> int:
    """The epochs that are trained if each suggestion on record is trained from its first epoch."""
    counter = Counter()
    for event in history.events:
        if not isinstance(event, Suggestion):
            continue
        training = counter.build(event.config, None, None, "cpu")
        metrics: Mapping[str, float] = {}
        for _ in range(event.until):
            metrics = training.step()
        on_record = history.trials[event.trial].reports[event.until - 1].metrics
        assert metrics == on_record, f"trial {event.trial}: {metrics} after {event.until} epochs, but {on_record}"
    return counter.epochs


def compare(high: int, eta: int, rounds: int) -> list[object]:
    """A row of the table."""
    fidelity = Fidelity(high, eta=eta)
    n_rungs = len(fidelity.rungs())
    trials = rounds * sum(bracket_sizes(index, n_rungs, eta)[0] for index in range(n_rungs))
    note(f"1..{high} epochs, eta {eta}: {trials} trials")
    here, history = search(fidelity, trials)
    suggestions = sum(isinstance(event, Suggestion) for event in history.events)
    there = from_scratch(history)
    return [f"{high}/{eta}", trials, suggestions - trials, here, there, there / here, 1 - here / there]


def _parsed(text: str) -> tuple[int, int]:
    """The highest fidelity and eta."""
    high, eta = text.split("/")
    return int(high), int(eta)


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="Epochs that BOHB trains, with and without checkpoints.")
    parser.add_argument("--rungs", nargs="+", default=["27/3", "81/3", "16/2"], help="highest fidelity / eta")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of all brackets")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(rungs=["9/3", "4/2"])
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed = arguments()
    begun = machine()
    rows = [compare(*_parsed(each), typed.rounds) for each in typed.rungs]
    header = ("epochs/eta", "trials", "promotions", "epochs here", "epochs from scratch", "ratio", "share saved")
    rounds = "one round" if typed.rounds == 1 else f"{typed.rounds} rounds"
    print(block(f"Epochs that BOHB trains in {rounds} of its brackets", begun, header, rows, []))


if __name__ == "__main__":
    main()
