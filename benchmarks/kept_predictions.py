"""The cost of keeping the validation predictions of an epoch, beside the epoch itself and its checkpoint.

    python benchmarks/kept_predictions.py [--epochs 15] [--heads 1 64] [--threads 1] [--device cpu] [--quick]

A head is a linear layer, trained by SGD in batches of 64. `Caltech-101` and `digits` have the sizes of a linear probe
of ResNet-18 on Caltech-101, with as many validation images as training images, and of softmax regression on the digits
of scikit-learn. One head trains by itself, several are fused.

Each epoch of each head is taken to be the best so far, so all of them write their logits. This is the slowest case: a
search writes the logits only of new best epochs, and the loss and the predicted class of each image after every epoch.
The three parts of each epoch are timed one after another, in the order in which a search runs them. The share is the
median time of the predictions, in percent of that of an epoch with its checkpoint.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import heads
from benchmarks.heads import QUICK, Size, parsed, parser, search_data
from benchmarks.report import block, machine
from hpo.training.checkpoints import Checkpoints
from hpo.training.prediction_files import PredictionFiles
from hpo.training.predictions import KeptPredictions
from trainables import fused

SIZES = heads.SIZES[:2]


def main() -> None:
    """Measure, and print a row for each size."""
    given = parsed(parser(__doc__, epochs=15))
    begun = machine()
    rows = [
        measure(size, n_heads, 1 if given.quick else given.epochs, given.device)
        for size in (QUICK if given.quick else SIZES)
        for n_heads in given.heads
    ]
    times = ["epoch, ms a head", "checkpoint, ms a head", "predictions, ms a head"]
    headers = ["size", "classes", "validation images", "heads", *times, "share, %", "predictions, kB a head"]
    title = f"Validation predictions of an epoch, {given.device}, {given.threads} threads"
    print(block(title, begun, headers, rows, []))


def measure(size: Size, n_heads: int, n_epochs: int, device: str) -> list[object]:
    """Return a row of the table."""
    data = search_data(size, device)
    trained = [heads.head(seed, size, data, device) for seed in range(n_heads)]
    group = fused.Group()
    with tempfile.TemporaryDirectory() as folder:
        files, checkpoints = PredictionFiles(Path(folder) / "predictions"), Checkpoints(Path(folder) / "checkpoints")
        kept = KeptPredictions(files, print)
        keep = [kept.of_trial(trial, head, [data], after=0) for trial, head in enumerate(trained)]

        n_written = itertools.count(1)

        def write_predictions() -> None:
            next_epoch = next(n_written)
            for write in keep:
                assert write is not None, "there are not too many logits"
                write(next_epoch, True)

        def write_checkpoints() -> None:
            for trial, head in enumerate(trained):
                checkpoints.write(trial, {"state": head.state_dict()})

        train = trained[0].step if n_heads == 1 else partial(group.step, trained)
        parts: tuple[Callable[[], object], ...] = (train, write_checkpoints, write_predictions)
        seconds = [[_seconds(part) for part in parts] for _ in range(n_epochs + 1)][1:]  # the first is to warm up
        n_bytes = len(next(files.read(0), b""))
    epoch, checkpoint, predictions = (1000 * median(column) / n_heads for column in zip(*seconds, strict=True))
    how = f"{n_heads} {'fused' if n_heads > 1 else 'alone'}"
    share = 100 * predictions / (epoch + checkpoint)
    return [size.name, size.n_classes, size.n_validation, how, epoch, checkpoint, predictions, share, n_bytes / 1000]


def _seconds(call: Callable[[], object]) -> float:
    """The seconds of a call. The checkpoints wait for the device."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
