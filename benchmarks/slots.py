"""How the cores are best dealt out: few slots of many threads, or a slot a core with one thread each.

    python benchmarks/slots.py [--images 320] [--image-size 96] [--epochs 8] [--repeats 2] [--data DIR] [--quick]

The same trials by the runner `processes`, all cores in use at any number of slots: `small_cnn` on digits, and the
fine-tuning of all of ResNet-18 on real images. Each slot trains one trial; epochs are counted from the moment when each
of them has trained its first, to the moment when the first of them is at its end, so all slots train all the while. Of
the repeats the median counts. hpo takes a slot a core unless `--slots` says otherwise, so the last row of a task is
what it does by itself.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import photos
from benchmarks.report import apart, block, cores, machine, note, verdict
from hpo import spacefile
from hpo.loop import Session, begin
from hpo.record import Budget, Event, Ledger, Settings
from hpo.trial import Report

DIGITS = {"regime": "from_scratch", "model": "small_cnn", "dataset": "digits"}
PHOTOS = {"regime": "fine_tune", "model": "resnet18", "weights": "imagenet", "dataset": "caltech101"}


def rate(
    task: dict[str, Any], fixed: dict[str, Any], root: str, epochs: int, slots: int, devices: str = "cpu"
) -> float:
    """Epochs a second that so many slots train together, on the CPU or one GPU."""
    space = spacefile.parse(
        {
            "task": {**task, "validation": {"fraction": 0.5, "seed": 42}},
            "space": {"lr": {"low": 1e-4, "high": 1e-3, "log": True}},
            "fixed": {"optimizer": "sgd", **fixed},
            "fidelity": {"high": epochs},
        },
        name="slots",
    )
    ends: dict[int, list[float]] = defaultdict(list)

    def watch(event: Event, ledger: Ledger) -> None:
        if isinstance(event, Report):
            ends[event.trial].append(time.perf_counter())

    settings = Settings(backend="random", runner="processes", devices=devices, slots=slots, data=root)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HPO_CACHE"] = f"{folder}/store"
        begin(Path(folder) / "slots", space, settings, Budget(trials=slots), session=Session(watch=watch))
    begun, ended = max(times[0] for times in ends.values()), min(times[-1] for times in ends.values())
    counted = sum(begun < time <= ended for times in ends.values() for time in times)
    return counted / (ended - begun) if ended > begun else math.nan


def measure(name: str, task: dict[str, Any], fixed: dict[str, Any], root: str, typed: Any) -> Iterable[list[object]]:
    """A row for each number of slots that divides the cores, the fewest first."""
    first = 0.0
    for slots in (n for n in range(1, cores() + 1) if cores() % n == 0):
        note(f"{name}, {slots} slots")
        found = statistics.median(apart(rate, task, fixed, root, typed.epochs, slots) for _ in range(typed.repeats))
        first = first or found
        yield [name, slots, cores() // slots, found, found / first]


def main() -> None:
    """Measure, print the table and a verdict for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--data", help="the folder of data sets; default $HPO_DATA")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(images=16, image_size=32, epochs=3, repeats=1)
    typed = parser.parse_args()
    begun, data = machine(), photos.folder(typed.data)
    rows = list(measure("small_cnn, digits", DIGITS, {"batch_size": 64}, "", typed))
    with tempfile.TemporaryDirectory() as folder:
        if data is not None:
            laid = photos.lay_out(data, Path(folder), typed.images)
            name = f"resnet18, {laid.images} images of {typed.image_size} pixels"
            fixed = {"batch_size": 32, "image_size": typed.image_size}
            rows += measure(name, PHOTOS, fixed, str(laid.root), typed)
        else:
            note(photos.MISSING)
    last = {str(row[0]): row for row in rows}
    lines = [
        verdict(
            f"{name}: a slot a core trains {row[4]:.2f} times what one slot does",
            float(str(row[4])),
            1.0,
            "times",
            least=True,
        )
        for name, row in last.items()
    ]
    print(block("Slots and threads", begun, ["task", "slots", "threads each", "epochs/s", "ratio"], rows, lines))


if __name__ == "__main__":
    main()
