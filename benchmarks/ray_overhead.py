"""What the runner `ray` costs beside `processes` on the same cores, and beside Ray Tune running the trials by itself.

    python benchmarks/ray_overhead.py [--trials 60] [--ray-trials 20] [--repeats 2] [--data DIR] [--quick]

- free: trials of nine epochs whose training costs nothing, so all that a trial takes is overhead. Two slots, so two
  trials run at once: the time is that of the search divided by its trials. Ray Tune runs the same trials without
  checkpoints and without a durable record; hpo writes both.
- digits, caltech101 features: the same real searches on both runners, with the random backend. The overhead of an epoch
  is the time in which slots could train, less the seconds that the trials report for their epochs, by the epochs. It
  counts from the first epochs of the slots on, so that imports and the reading of data are left out.

Each side runs in a process of its own, and they take turns; the least of the repeats counts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import others, ours, photos
from benchmarks.free import EPOCHS
from benchmarks.report import apart, block, machine, note, verdict
from hpo import spacefile
from hpo.loop import Session, begin
from hpo.record import Budget, Event, Ledger, Settings
from hpo.trial import Report

SLOTS = 2
LIMIT = 10.0
"""Ray Tune is to take at least so many times what a trial takes here."""
DIGITS = {"regime": "from_scratch", "model": "small_cnn", "dataset": "digits"}
PHOTOS = {"regime": "linear_probe", "model": "resnet18", "weights": "imagenet", "dataset": "caltech101"}


def epoch_overhead(runner: str, task: dict[str, Any], fixed: dict[str, Any], root: str, trials: int) -> float:
    """Milliseconds of an epoch of a real search that its training does not take."""
    space = spacefile.parse(
        {
            "task": {**task, "validation": {"fraction": 0.5, "seed": 42}},
            "space": {"lr": {"low": 1e-4, "high": 1e-3, "log": True}},
            "fixed": {"optimizer": "sgd", **fixed},
            "fidelity": {"high": EPOCHS, "low": EPOCHS},
        },
        name="overhead",
    )
    times: list[float] = []
    seconds: list[float] = []

    def watch(event: Event, ledger: Ledger) -> None:
        if isinstance(event, Report):
            times.append(time.perf_counter())
            seconds.append(event.seconds)

    settings = Settings(backend="random", runner=runner, devices="cpu", slots=SLOTS, data=root or None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HPO_CACHE"] = f"{folder}/store"
        begin(Path(folder) / "s", space, settings, Budget(trials=trials), session=Session(watch=watch))
    # The first trials of the slots import, read and prepare the data, so their epochs are left out.
    first = SLOTS * EPOCHS
    span, trained = times[-1] - times[first - 1], sum(seconds[first:])
    return 1000 * (SLOTS * span - trained) / len(times[first:])


def least(measure: Callable[..., float], *arguments: object, repeats: int) -> float:
    """The least of some measurements, each in a process of its own."""
    return min(float(apart(measure, *arguments)) for _ in range(repeats))


def free_trial(runner: str, trials: int) -> float:
    """Milliseconds of a trial of hpo whose training costs nothing."""
    return ours.search("random", runner, trials, SLOTS).wall


def tune_trial(kind: str, trials: int) -> float:
    """Milliseconds of the same trial in Ray Tune."""
    return others.ray_tune(kind, trials).wall


def free_rows(typed: argparse.Namespace) -> Iterable[list[object]]:
    """A row for each side: its name, milliseconds of a trial and of an epoch, and how often that of `ray`."""
    sides: list[tuple[str, Callable[..., float], str, int, int]] = [
        ("hpo, runner ray", free_trial, "ray", typed.trials, typed.repeats),
        ("hpo, runner processes", free_trial, "processes", typed.trials, typed.repeats),
    ]
    sides += [(f"Ray Tune, {kind}", tune_trial, kind, typed.ray_trials, 1) for kind in ("class", "function")]
    found: list[float] = []
    for name, measure, kind, trials, repeats in sides:
        note(f"free: {name}")
        found.append(least(measure, kind, trials, repeats=repeats))
        yield ["free", name, found[-1], found[-1] / EPOCHS, found[-1] / found[0]]


def real_rows(name: str, task: dict[str, Any], fixed: dict[str, Any], root: str, typed: Any) -> Iterable[list[object]]:
    """A row for each runner, with the overhead of an epoch."""
    found: list[float] = []
    for runner in ("ray", "processes"):
        note(f"{name}: {runner}")
        found.append(least(epoch_overhead, runner, task, fixed, root, typed.real_trials, repeats=typed.repeats))
        yield [name, f"hpo, runner {runner}", found[-1] * EPOCHS, found[-1], found[-1] / found[0]]


def main() -> None:
    """Measure, print the table and the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--ray-trials", type=int, default=20)
    parser.add_argument("--real-trials", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--data", help="the folder of data sets; default $HPO_DATA")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(trials=8, ray_trials=4, real_trials=4, repeats=1, images=16, image_size=32)
    typed = parser.parse_args()
    begun, data = machine(), photos.folder(typed.data)
    rows = list(free_rows(typed))
    rows += real_rows("small_cnn, digits", DIGITS, {"batch_size": 64}, "", typed)
    with tempfile.TemporaryDirectory() as folder:
        if data is not None:
            laid = photos.lay_out(data, Path(folder), typed.images)
            fixed = {"batch_size": 32, "image_size": typed.image_size}
            rows += real_rows(f"probe, {laid.images} images of caltech101", PHOTOS, fixed, str(laid.root), typed)
        else:
            note(photos.MISSING)
    lines = [
        verdict(
            f"{row[1]} takes {row[4]:.1f} times what the runner ray takes",
            float(str(row[4])),
            LIMIT,
            "times",
            least=True,
        )
        for row in rows
        if str(row[1]).startswith("Ray Tune")
    ]
    header = ["task", "side", "ms a trial", "ms an epoch", "times ray"]
    print(block("The runner ray beside processes and Ray Tune", begun, header, rows, lines))


if __name__ == "__main__":
    main()
