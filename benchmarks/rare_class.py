"""A search against a rare class, and a search that ignores it, compared by balanced accuracy on held-out images.

    python benchmarks/rare_class.py [--data DIR] [--class dog] [--seeds 3] [--trials 16] [--epochs 12] [--quick]

The images are the cartoons of PACS. Of one class, only one of 20 training images is left; the held-out images stay as
they are. Two searches of a linear probe of ResNet-18 have the same budget. One minimises `val_loss`, without class
weights and without a sampler. The other minimises `val_balanced_error`, and its space has `class_weights` and
`sampler` too. The best trial of each is trained again and tested once. Each seed draws another
validation part and other configurations.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image

import hpo
from benchmarks import photos
from benchmarks.report import block, machine, note, verdict
from trainables.data import heldout
from trainables.data.dataset import Files, Source
from trainables.datasets import pacs

TIMES_RARER = 20
PLAIN, AGAINST = "val_loss", "val_balanced_error"
"""The objectives of the two searches. The second one also searches what works against imbalance."""
SPACE: Mapping[str, object] = {
    "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    "weight_decay": {"low": 1e-6, "high": 1e-1, "log": True},
    "batch_size": {"choices": [32, 64, 128]},
}
IMBALANCE: Mapping[str, object] = {
    "class_weights": {"choices": ["none", "balanced", "effective"]},
    "sampler": {"choices": ["shuffle", "balanced"]},
}
PROBE: Mapping[str, object] = {"regime": "linear_probe", "model": "resnet18", "weights": "imagenet"}
TINY: Mapping[str, object] = {"regime": "from_scratch", "model": "softmax_regression"}
QUICK_CLASSES = ("ant", "bee", "cow")

Result = tuple[float, Mapping[str, Any]]
"""The balanced accuracy on held-out images, and the configuration of the tested trial."""
Row = tuple[str, str, str]
"""The path, the class and the split of an image."""


def main() -> None:
    """Search on both sides with each seed, and print their balanced accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the folder of the data sets; $HPO_DATA by default")
    parser.add_argument("--class", dest="rare", help="the class that is made rarer; the first one by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="tiny pictures and a small model, to see that it runs")
    given = parser.parse_args()
    begun = machine()
    with tempfile.TemporaryDirectory() as folder:
        rows, root = _rows(given, Path(folder))
        if not rows:
            print("not measured: pacs/cartoon and weights/resnet18.pth are needed, in --data DIR or $HPO_DATA")
            return
        classes = sorted({label for _, label, _ in rows})
        rare = given.rare or classes[0]
        if rare not in classes:
            parser.error(f"--class must be one of {', '.join(classes)}, but is {rare!r}")
        table = Path(folder) / "table.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("path", "label", "split"), *_thinned(rows, rare)])
        results = [measure(table, seed, given, root) for seed in range(given.seeds)]
    print(report(results, f"{TIMES_RARER} times fewer images of the class {rare}", begun))


def measure(table: Path, seed: int, given: argparse.Namespace, root: Path | None) -> dict[str, Result]:
    """Search and test on both sides with one seed. Return the result of each objective."""
    results = {}
    for objective, further in ((PLAIN, {}), (AGAINST, IMBALANCE)):
        note(f"seed {seed}, by {objective}")
        space = {
            "task": {
                **(TINY if given.quick else PROBE),
                "dataset": {"name": "manifest", "file": str(table)},
                "validation": {"fraction": 0.2, "seed": seed},
            },
            "space": {**SPACE, **further},
            "fixed": {"optimizer": "sgd", "momentum": 0.9, **({"image_size": 8} if given.quick else {})},
            "fidelity": {"high": given.epochs},
            "objective": objective,
        }
        how: dict[str, Any] = {"seed": seed, "trials": given.trials, "devices": "cpu", "quiet": True}
        if root is not None:
            how["data"] = root
        study = hpo.search(space, study=f"{objective}-{seed}", studies=table.parent / "studies", **how)
        tested = study.test(quiet=True)
        results[objective] = float(tested["test_balanced_accuracy"].iloc[0]), study.best.config
    return results


def report(results: list[dict[str, Result]], title: str, begun: str) -> str:
    """The table of the balanced accuracies of each seed, and the verdict on their means."""
    found = {name: [of_seed[name][0] for of_seed in results] for name in (PLAIN, AGAINST)}
    headers = ["search by", *(f"seed {seed}" for seed in range(len(results))), "mean"]
    table = [[name, *values, mean(values)] for name, values in found.items()]
    difference = mean(found[PLAIN]) - mean(found[AGAINST])
    line = verdict(f"the mean by {PLAIN} less that by {AGAINST}: {difference:+.4f}", difference, 0.0, "in accuracy")
    return block(f"Balanced test accuracy, {title}", begun, headers, table, [line, *_chosen(results)])


def _chosen(results: list[dict[str, Result]]) -> Iterator[str]:
    """A line on each seed: what the best trial of the second search has against imbalance."""
    for seed, of_seed in enumerate(results):
        _, config = of_seed[AGAINST]
        yield f"chosen with seed {seed}: " + ", ".join(f"`{name}: {config[name]}`" for name in IMBALANCE)


def _rows(given: argparse.Namespace, folder: Path) -> tuple[list[Row], Path | None]:
    """All images, and the folder of the weights. No image if the data are missing. `folder` is for drawn pictures."""
    if given.quick:
        return list(_drawn(folder)), None
    root = photos.data_root(given.data)
    if not (root / "weights" / "resnet18.pth").is_file() or not (root / "pacs" / "cartoon").is_dir():
        return [], root
    data = pacs.build(root, domain="cartoon")
    parts = (("train", data.training()), ("test", heldout.held_out(data)))
    return [row for split, part in parts for row in _listed(part, data.classes, split)], root


def _listed(files: Source | None, classes: Sequence[str], split: str) -> Iterator[Row]:
    """The rows of the files of one part."""
    assert isinstance(files, Files), "PACS is a folder of image files, of which a share is held out"
    for path, label in zip(files.paths, files.labels.tolist(), strict=True):
        yield str(path.absolute()), classes[label], split


def _drawn(folder: Path) -> Iterator[Row]:
    """Write small pictures of three classes, each of another grey. 120 of each class are to train, 20 to test."""
    for number, label in enumerate(QUICK_CLASSES):
        for i in range(140):
            path = folder / f"{label}{i}.png"
            Image.new("L", (8, 8), 60 * number + i).save(path)
            yield str(path), label, "test" if i % 7 == 0 else "train"


def _thinned(rows: list[Row], rare: str) -> list[Row]:
    """The rows with only one of 20 training images of the class `rare`."""
    candidates = [row for row in rows if row[1:] == (rare, "train")]
    kept = set(random.Random(0).sample(candidates, len(candidates) // TIMES_RARER))
    return [row for row in rows if row[1:] != (rare, "train") or row in kept]


if __name__ == "__main__":
    main()
