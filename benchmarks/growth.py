"""How time and memory grow with the number of trials, of images and of slots.

    python benchmarks/growth.py [--trials 100 1000 10000] [--images 1000 10000 50000] [--slots 1 2 4 8] [--quick]

- Trials: a whole search of so many free trials of nine reports by the backend `random`, inline, then its
  `resume`, which opens and replays the record and writes the tables again (`benchmarks/ours.py`).
- Images: synthetic ones of 32 pixels in memory, 80 % of them to train on. One epoch of a linear probe of
  ResNet-18 (random weights) on kept features, the first epoch, which computes them, apart; and one of
  `softmax_regression` on the pixels.
- Slots: trials whose epochs wait for 20 ms and do no work, on the runner `processes`. Ideal is what the waiting
  alone takes, divided by the slots; what is beyond it is the framework. More slots than cores make sense here.

Each row is measured in a process of its own; memory is the most that the process had at once, all
imports included.
"""

from __future__ import annotations

import argparse
import sys
import time

from benchmarks import free, ours
from benchmarks.report import apart, block, machine, note, peak_megabytes, verdict

RESUME_LIMIT = 60.0
"""Seconds that the resume of the longest study may take."""
PAUSE = 0.02
"""Seconds of an epoch where slots are measured."""
SIZE = 32
"""Pixels a side of the synthetic images."""
REGIMES = {"linear_probe": "resnet18", "softmax_regression": "softmax_regression"}


def trials_table(counts: list[int]) -> tuple[list[str], list[list[object]], list[str]]:
    """Header, rows and verdicts of the growth with trials."""
    header = ["trials", "search s", "ms/trial at first", "ms/trial at last", "peak MB", "journal MB"]
    header += ["resume s", "resume ms/trial", "peak MB with resume"]
    rows: list[list[object]] = []
    seconds = 0.0
    for n in counts:
        note(f"{n} trials")
        grown = apart(ours.growth, n)
        searched, resumed = grown.peaks
        row = [n, grown.searched, grown.early[0], grown.late[0], searched, grown.megabytes]
        rows.append([*row, grown.resume, 1000 * grown.resume / n, resumed])
        seconds = grown.resume
    line = verdict(f"resume of {counts[-1]:,} trials takes {seconds:.1f} s", seconds, RESUME_LIMIT, "s")
    return header, rows, [line]


def train(regime: str, n: int) -> tuple[float, float, float]:
    """Seconds of the first and of the second epoch on `n` synthetic images, and the peak of memory in MB."""
    import torch

    from hpo import plugins
    from trainables.data.dataset import Part, SearchData
    from trainables.regimes import from_scratch, linear_probe

    torch.manual_seed(0)
    pixels = torch.randint(256, (n, 3, SIZE, SIZE), dtype=torch.uint8)
    labels, cut = torch.arange(n) % 10, n * 4 // 5
    data = SearchData(Part(pixels[:cut], labels[:cut]), Part(pixels[cut:], labels[cut:]), tuple("abcdefghij"))
    family = plugins.load("trainables.models", REGIMES[regime])
    model = family.build({}, shape=data.train.shape, n_classes=10, weights="none")
    build = linear_probe.build if regime == "linear_probe" else from_scratch.build
    trainable = build({"optimizer": "sgd", "lr": 1e-3, "batch_size": 64}, model, data, "cpu")
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        trainable.step()
        seconds.append(time.perf_counter() - started)
    return seconds[0], seconds[1], peak_megabytes()


def images_table(counts: list[int]) -> tuple[list[str], list[list[object]], list[str]]:
    """Header and rows of the growth with images."""
    header = ["regime", "images", "first epoch s", "an epoch s", "ms an image", "images MB", "peak MB"]
    rows: list[list[object]] = []
    for regime in REGIMES:
        for n in counts:
            note(f"{regime}, {n} images")
            first, later, peak = apart(train, regime, n)
            rows.append([regime, n, first, later, 1000 * later / n, n * 3 * SIZE**2 / 1e6, peak])
    return header, rows, []


def paused(slots: int, trials: int) -> tuple[float, float, float]:
    """Milliseconds a trial on so many slots, and the peaks of this process and of the largest worker in MB."""
    cost = ours.search("random", "processes", trials, slots, PAUSE)
    return cost.wall, peak_megabytes(), peak_megabytes("children")


def slots_table(counts: list[int], trials: int) -> tuple[list[str], list[list[object]], list[str]]:
    """Header and rows of the growth with slots."""
    header = ["slots", "trials", "ms/trial", "ideal", "ratio to ideal", "driver MB", "a worker MB"]
    rows: list[list[object]] = []
    for n in counts:
        note(f"{n} slots")
        wall, driver, worker = apart(paused, n, trials * n)
        ideal = 1000 * PAUSE * free.EPOCHS / n
        rows.append([n, trials * n, wall, ideal, wall / ideal, driver, worker])
    return header, rows, []


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="How time and memory grow.")
    parser.add_argument("--trials", type=int, nargs="*", default=[100, 1_000, 10_000])
    parser.add_argument("--images", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 2, 4, 8])
    parser.add_argument("--slot-trials", type=int, default=50, help="trials a slot")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(trials=[40], images=[50], slots=[1], slot_trials=8)
    return parser.parse_args()


def main() -> None:
    """Measure and print; a list left empty leaves its table out."""
    typed = arguments()
    begun = machine()
    if typed.trials:
        print(block("Growth with trials", begun, *trials_table(typed.trials)), end="\n\n")
    if typed.images:
        print(block("Growth with images", begun, *images_table(typed.images)), end="\n\n")
    if typed.slots:
        print(block("Growth with slots", begun, *slots_table(typed.slots, typed.slot_trials)))


if __name__ == "__main__":
    main()
