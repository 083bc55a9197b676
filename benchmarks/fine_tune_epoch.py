"""One epoch of fine-tuning all layers: ours, a bare loop written by hand, and the usual script.

    python benchmarks/fine_tune_epoch.py [--model resnet18|alexnet] [--images 256] [--image-size 224] [--batch-size 64]
                                         [--repeats 5] [--precision fp32|bf16] [--data DIR] [--quick]

The sides are those of `benchmarks/one_epoch.py`. The images are some of Caltech-101, resized and cut to one size.

The sides take turns in one process. The first turn warms up and is not counted; of the others, the medians are
printed: of the seconds, and of the ratios turn by turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import one_epoch, photos
from benchmarks.one_epoch import Setup, ratio
from benchmarks.report import block, machine, verdict
from trainables import seeding

MODELS = ("alexnet", "resnet18")
BARE_LIMIT = 1.03
"""How many times the bare loop ours may take."""
USUAL_LIMIT = 1.5
"""How many times ours the usual script shall take at least."""


def report(typed: argparse.Namespace, laid: photos.Photos, begun: str, taken: dict[str, list[float]]) -> str:
    """The table and the verdicts."""
    rows: list[list[object]] = []
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        cells = [name, median, min(seconds), max(seconds), 1000 * median / laid.images]
        rows.append([*cells, ratio(seconds, taken["bare loop"])])
    to_bare, to_usual = ratio(taken["ours"], taken["bare loop"]), ratio(taken["usual script"], taken["ours"])
    lines = [
        verdict(f"ours takes {to_bare:.3f} times the bare loop", to_bare, BARE_LIMIT, "times"),
        verdict(f"the usual script takes {to_usual:.2f} times ours", to_usual, USUAL_LIMIT, "times", least=True),
    ]
    size = f"{laid.images} images of {typed.image_size} pixels, batches of {typed.batch_size}, {typed.precision}"
    header = ("side", "median s", "least s", "most s", "ms an image", "ratio to bare")
    return block(f"One epoch of all of {typed.model}: {size}", begun, header, rows, lines)


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="One epoch of fine-tuning all layers of a network.")
    parser.add_argument("--model", default="resnet18", choices=MODELS)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--data", help="the folder of the data sets; $HPO_DATA by default")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(images=32, image_size=64, batch_size=8, repeats=1)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed = arguments()
    data = photos.folder(typed.data)
    if data is None:
        print(photos.MISSING)
        return
    begun = machine()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HPO_CACHE"] = f"{folder}/store"
        laid = photos.lay_out(data, Path(folder) / "photos", typed.images)
        kept = one_epoch.in_memory(laid.root, typed.image_size)
        seeding.seed_everything(0)
        setup = Setup(typed.model, typed.image_size, typed.batch_size, typed.precision)
        epochs = {"ours": one_epoch.ours(setup, kept), "bare loop": one_epoch.bare(setup, kept)}
        taken = one_epoch.measure(epochs | {"usual script": one_epoch.usual_script(setup, laid.root)}, typed.repeats)
    print(report(typed, laid, begun, taken))


if __name__ == "__main__":
    main()
