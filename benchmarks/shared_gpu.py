"""Trials that share a GPU, against the same trials one after another on it.

    python benchmarks/shared_gpu.py [--device cuda:0] [--fractions 1 4] [--images 512] [--image-size 96]
                                       [--epochs 150] [--small]

The runner `processes` with `--slots N` on one GPU: N worker processes, each of which trains a trial at a time, so each
has a fraction of 1/N of the GPU. N = 1 trains one trial after another. Two tasks: `small_cnn` on the digits of
scikit-learn, and ResNet-18 from scratch on JPEG files of random colours (`benchmarks/synthetic_photos.py`). Epochs are
counted while all slots train, as in `benchmarks/slots.py`: starts of workers do not count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import synthetic_photos
from benchmarks.report import apart, block, machine, note
from benchmarks.slots import DIGITS, rate

PHOTOS = {"regime": "from_scratch", "model": "resnet18"}


def measure(name: str, task: dict[str, Any], fixed: dict[str, Any], typed: argparse.Namespace) -> list[list[object]]:
    """A row for each number of slots."""
    rows: list[list[object]] = []
    for n_slots in typed.fractions:
        note(f"{name}, {n_slots} at once")
        found = apart(rate, task, fixed, "", typed.epochs, n_slots, typed.device)
        first = rows[0][3] if rows else found
        rows.append([name, n_slots, f"1/{n_slots}", found, found / first])
    return rows


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, or one GPU such as cuda:0")
    parser.add_argument("--fractions", type=int, nargs="+", default=[1, 4], help="numbers of trials at once")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--small", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--small" in sys.argv:
        parser.set_defaults(fractions=[1, 2], images=8, image_size=32, epochs=8)
    return parser.parse_args()


def main() -> None:
    """Measure, and print a row for each task and number of slots."""
    typed, begun = arguments(), machine()
    rows = measure("small_cnn, digits", DIGITS, {"batch_size": 64}, typed)
    with tempfile.TemporaryDirectory() as folder:
        root = synthetic_photos.write(Path(folder), typed.images)
        dataset = {"name": "image_folder", "folder": str(root / "train"), "held_out": "none"}
        fixed = {"batch_size": 4 if typed.small else 32, "image_size": typed.image_size}
        name = f"resnet18, {typed.images // 2} images of {typed.image_size} pixels"
        rows += measure(name, {**PHOTOS, "dataset": dataset}, fixed, typed)
    lines = [f"{row[0]}: {row[1]} at once train {row[4]:.2f} times the epochs a second" for row in rows if row[1] != 1]
    header = ["task", "at once", "share of the device", "epochs/s", "ratio"]
    print(block(f"Trials that share a device, {typed.device}", begun, header, rows, lines))


if __name__ == "__main__":
    main()
