"""Images a second of fine-tuning all layers of a network: ours, a bare loop written by hand, and the usual script.

    python benchmarks/fine_tuning_speed.py [--device cuda] [--models resnet50 timm:vit_small_patch16_224]
                                           [--images 1536] [--image-size 224] [--batch-size 64] [--repeats 3]
                                           [--seconds S] [--small]

The sides are those of `benchmarks/one_epoch.py`: each network in fp32 and in bf16, and in bf16 compiled. The images are
JPEG files of random colours (`benchmarks/synthetic_photos.py`). The sides take turns in one process; the first turn
warms up and compiles, and is not counted. Images a second are those of an epoch, half of which are trained on and half
validated. `of bare` is the median of the ratios turn by turn. The usual script runs in bf16 alone, not compiled.

After `--seconds`, what was measured is printed, and the rest is named as left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import one_epoch, synthetic_photos
from benchmarks.one_epoch import Setup
from benchmarks.report import block, machine, note, verdict
from hpo.alarm import interrupted_after
from trainables import seeding

MODELS = ("resnet50", "timm:vit_small_patch16_224")
SMALL_MODELS = ("resnet18", "timm:vit_tiny_patch16_224")
COMPILERS = {"cuda": "inductor", "cpu": "eager"}
"""The backend of torch.compile. On the CPU, the one that needs no C++ compiler; it makes nothing faster."""
BARE_SHARE = 0.97
"""The least share of the images a second of the bare loop that ours shall reach."""
HEADER = ("network", "precision", "side", "images/s", "least s", "median s", "most s", "of bare")
USUAL = "usual script"


class OutOfTime(BaseException):
    """The time of this benchmark is over. It is no Exception, so that no other code catches it."""


def setups(typed: argparse.Namespace) -> list[Setup]:
    """What is measured, in order. The compiled ones come last, because compiling takes long."""
    compiler = COMPILERS[typed.device.partition(":")[0]]
    plain, compiled = [("fp32", None), ("bf16", None)], [("bf16", compiler)]
    pairs = itertools.chain(itertools.product(typed.models, plain), itertools.product(typed.models, compiled))
    return [
        Setup(model, typed.image_size, typed.batch_size, precision, typed.device, compiler)
        for model, (precision, compiler) in pairs
    ]


def name(setup: Setup) -> str:
    """The precision of a setup, and whether it is compiled."""
    return f"{setup.precision}, compiled" if setup.compiler else setup.precision


def measure(setup: Setup, root: Path, n_images: int, repeats: int) -> tuple[list[list[object]], list[str]]:
    """The rows and the verdicts of one setup."""
    data = one_epoch.in_memory(root, setup.image_size)
    seeding.seed_everything(0)
    epochs = {"ours": one_epoch.ours(setup, data), "bare loop": one_epoch.bare(setup, data)}
    if setup.is_bf16 and setup.compiler is None:
        epochs[USUAL] = one_epoch.usual_script(setup, root)
    taken = one_epoch.measure(epochs, repeats)
    bare, what = taken["bare loop"], f"{setup.model}, {name(setup)}"
    rows: list[list[object]] = []
    for side, seconds in taken.items():
        median = statistics.median(seconds)
        cells = [setup.model, name(setup), side, n_images / median, min(seconds), median, max(seconds)]
        rows.append([*cells, one_epoch.ratio(bare, seconds)])
    share = one_epoch.ratio(bare, taken["ours"])
    lines = [verdict(f"{what}: ours trains {share:.3f} of the bare loop", share, BARE_SHARE, "of it", least=True)]
    if USUAL in taken:
        times = one_epoch.ratio(taken[USUAL], taken["ours"])
        lines.append(f"{what}: ours trains {times:.2f} times the images a second of the usual script")
    return rows, lines


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--images", type=int, default=1536)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="the longest time that this may take; no limit by default")
    parser.add_argument("--small", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--small" in sys.argv:
        parser.set_defaults(models=SMALL_MODELS, images=8, image_size=32, batch_size=4, repeats=1)
    return parser.parse_args()


def main() -> None:
    """Measure one setup after another, and print."""
    typed, begun = arguments(), machine()
    ends, left = time.monotonic() + (typed.seconds or float("inf")), setups(typed)
    rows: list[list[object]] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HPO_CACHE"] = f"{folder}/store"
        root = synthetic_photos.write(Path(folder) / "photos", typed.images)
        try:
            with interrupted_after(ends - time.monotonic(), OutOfTime):
                while left:
                    note(f"{left[0].model}, {name(left[0])}")
                    more_rows, more_lines = measure(left[0], root, typed.images, typed.repeats)
                    rows, lines, left = rows + more_rows, lines + more_lines, left[1:]
        except OutOfTime:
            lines += [f"left out, because the time was over: {setup.model}, {name(setup)}" for setup in left]
    size = f"{typed.images} images of {typed.image_size} pixels, batches of {typed.batch_size}, {typed.device}"
    print(block(f"Fine-tuning of all layers: {size}", begun, HEADER, rows, lines))


if __name__ == "__main__":
    main()
