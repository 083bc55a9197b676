"""The search of a linear probe on real images: ours, next to the script that a user of another tool writes.

    python benchmarks/probe_search.py [--images 400] [--configurations 16] [--epochs 10] [--image-size 224]
                                      [--without ray warm] [--runner inline] [--data DIR] [--quick]
    python benchmarks/probe_search.py --full [--precision bf16] [--no-channels-last] [--data DIR]

All train the last layer of ResNet-18 with frozen ImageNet weights by SGD, batches of 64, over the same grid
of learning rate and weight decay, on the same images of Caltech-101, half of them for validation.

- Ours: the task in a space file, searched by the backend `grid`. What a user gets: features computed once,
  the record on disk, a checkpoint an epoch, the tables. Cold: its store of features is empty. Warm: again,
  in another study, with the store that the first one left (where this version keeps one on disk, $HPO_CACHE).
- Optuna, Ray Tune: the objective is the training script of PyTorch's tutorials (`benchmarks/usual.py`): a
  DataLoader over image files with a worker a core, the frozen network in the loop. That is how their own
  tutorials write it, and how a user does who has such a script: the tool sees a function that gives a loss.
  Optuna runs a trial at a time with all cores, Ray a trial a core.
- HpBandSter: the same script in the `compute` of a worker, which is told a budget and trains for it from the
  first epoch on, as its examples do. One bracket of successive halving over the same configurations; as it
  trains fewer epochs, the ratio an epoch is the one to look at.

Each side starts cold, in a process of its own, and `seconds` are the whole life of that process. The last
columns are an EXTRAPOLATION to all 5,784 images and 64 configurations of 30 epochs (of HpBandSter: its
bracket of them): the seconds an image and epoch took here, without imports, times their number. It holds for
sides that pass each image through the network in every epoch; what ours takes, `--full` measures.

`--full`: ours alone, 64 configurations of 30 epochs on all images, beside one bare pass: every image read
and passed through the network once, by a loop that does nothing else. No search can do with less.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import photos, probe_others, probe_ours
from benchmarks.probe_others import Search, Spent
from benchmarks.report import block, machine, note, timed, verdict

LIMIT = 50.0
"""How many times faster than the other sides ours shall be, an epoch."""
FULL_LIMIT = 1.3
"""How many times the bare pass the whole search may take."""
WHOLE = (64, 30)
"""The configurations and epochs of the whole search."""
Row = tuple[str, float, Spent]
"""A side, the seconds of its process, and what it says itself."""


def grid(root: Path, image_size: int, configurations: int, epochs: int) -> Search:
    """A grid of so many configurations, as square as it can be."""
    n_decays = next(n for n in range(int(configurations**0.5), 0, -1) if configurations % n == 0)
    n_lrs = configurations // n_decays
    lrs = tuple(1e-3 * 100 ** (i / max(1, n_lrs - 1)) for i in range(n_lrs))
    return Search(root, image_size, lrs, tuple(10.0 ** (i - 6) for i in range(n_decays)), epochs)


def compare(search: Search, typed: argparse.Namespace, store: Path) -> Iterator[Row]:
    """Measure one side after another."""
    for name in ("cold", "warm"):
        if name in typed.without:
            continue
        note(f"ours, {name}")
        yield f"ours, {name}", *timed(probe_ours.ours, search, typed.runner, "fp32", store)
    for name, side in (
        ("Optuna", probe_others.optuna),
        ("Ray Tune", probe_others.ray_tune),
        ("HpBandSter", probe_others.hpbandster),
    ):
        if name.split()[0].lower() not in typed.without:
            note(name)
            yield name, *timed(side, search)


def small(data: Path, typed: argparse.Namespace) -> str:
    """All sides on a part of the images."""
    begun = machine()
    with tempfile.TemporaryDirectory() as folder:
        laid = photos.lay_out(data, Path(folder) / "data", typed.images)
        search = grid(laid.root, typed.image_size, typed.configurations, typed.epochs)
        rows = list(compare(search, typed, Path(folder) / "store"))
    n = len(search.configurations)
    header = ["side", "epochs", "best loss", "seconds", "ratio", "ratio an epoch"]
    header += ["extrapolated: epochs", "extrapolated: hours"]
    title = f"Linear probe, {laid.images} images of {laid.classes} classes, {typed.image_size} pixels, "
    title += f"{n} configurations of {typed.epochs} epochs"
    return block(title, begun, header, [_row(row, rows[0], laid.images) for row in rows], _verdicts(rows))


def _row(row: Row, first: Row, images: int) -> list[object]:
    name, seconds, spent = row
    cells: list[object] = [name, spent.epochs, spent.loss, seconds, seconds / first[1], _an_epoch(row, first)]
    if name.startswith("ours"):
        return [*cells, "", "see --full"]
    configurations, epochs = WHOLE
    whole = configurations * epochs
    if name == "HpBandSter":
        whole = sum(n * rung for n, rung in probe_others.bracket(configurations, epochs))
    return [*cells, whole, spent.seconds / (images * spent.epochs) * photos.WHOLE * whole / 3600]


def _an_epoch(row: Row, first: Row) -> float:
    return row[1] / row[2].epochs / (first[1] / first[2].epochs)


def _verdicts(rows: list[Row]) -> list[str]:
    lines = []
    for row in (row for row in rows if not row[0].startswith("ours")):
        ratio = _an_epoch(row, rows[0])
        lines.append(
            verdict(f"{row[0]}: {ratio:.1f} times the seconds an epoch of ours", ratio, LIMIT, "times", least=True)
        )
    return lines


def full(data: Path, typed: argparse.Namespace) -> str:
    """Ours on all images, beside one bare pass."""
    begun = machine()
    configurations, epochs = (2, 2) if typed.quick else WHOLE
    search = grid(data, typed.image_size, configurations, epochs)
    note("one bare pass")
    whole, bare = timed(probe_ours.bare_pass, data, typed.image_size, typed.precision, typed.channels_last)
    rows: list[list[object]] = [
        ["bare pass: files read", "", "", bare.reading, bare.reading / whole],
        ["bare pass: through the network", "", "", bare.features, bare.features / whole],
        ["bare pass, with its imports", "", "", whole, 1.0],
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "warm"):
            note(f"ours, {name}")
            seconds, spent = timed(probe_ours.ours, search, typed.runner, typed.precision, Path(folder))
            rows.append([f"ours, {name}", spent.epochs, spent.loss, seconds, seconds / whole])
    ratio = float(str(rows[3][4]))
    lines = [verdict(f"the whole search, cold: {ratio:.2f} times the bare pass", ratio, FULL_LIMIT, "times")]
    title = f"Linear probe, all {bare.images:,} images of Caltech-101, {typed.image_size} pixels, {typed.precision}, "
    title += f"{configurations} configurations of {epochs} epochs"
    return block(title, begun, ("what", "epochs", "best loss", "seconds", "ratio"), rows, lines)


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="The search of a linear probe, ours and others'.")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--configurations", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--without", nargs="*", default=[], choices=("warm", "optuna", "ray", "hpbandster"))
    parser.add_argument("--runner", default="auto", choices=("auto", "fused", "processes", "inline"))
    parser.add_argument("--full", action="store_true", help="ours alone, on all images, beside one bare pass")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help="of --full")
    memory = "the memory format of the bare pass of --full"
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True, help=memory)
    parser.add_argument("--data", help="the folder of the data sets; $HPO_DATA by default")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(images=48, configurations=2, epochs=2, image_size=32, runner="inline")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed = arguments()
    data = photos.folder(typed.data)
    if data is None:
        print(photos.MISSING)
        return
    print(full(data, typed) if typed.full else small(data, typed))


if __name__ == "__main__":
    main()
