"""The cost of the metrics of an epoch: heads trained with all metrics, and with loss and accuracy alone.

    python benchmarks/metrics.py [--epochs 15] [--heads 16] [--threads 1] [--device cpu] [--quick]

A head is a linear layer on 512 features, as ResNet-18 gives, trained by SGD in batches of 64. For each number of
classes and of validation images, there are four times as many training images, as with `validation: {fraction: 0.2}`.
The numbers are random. `alone` is a training by itself, `fused` are several side by side. Epochs with all metrics and
epochs with loss and accuracy take turns, and the fastest of each counts, because other work on the machine only makes
them slower.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn

from benchmarks.report import block, machine, verdict
from trainables import fused
from trainables.data.dataset import Part, SearchData
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel
from trainables.training import gradient_descent, metrics
from trainables.training.gradient_descent import Training

WIDTH = 512
N_CLASSES = (10, 100)
N_VALIDATION = (1000, 5000)
TARGET = 3.0
"""The largest share of an epoch in percent."""
ALL_METRICS = metrics.compute, metrics.names


def main() -> None:
    """Measure, and print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    begun = machine()
    sizes = list(product((4,), (40,))) if given.quick else list(product(N_CLASSES, N_VALIDATION))
    n_epochs, rows = 1 if given.quick else given.epochs, []
    for n_classes, n_validation in sizes:
        for n_heads in (1, given.heads):
            rows.append(measure(n_classes, n_validation, n_heads, n_epochs, given.device))
    headers = ["classes", "validation images", "heads", "with, ms a head", "without, ms a head", "share, %"]
    lines = [verdict(f"{row[0]} classes, {row[1]} images, {row[2]}", float(str(row[5])), TARGET, "%") for row in rows]
    print(block(f"Metrics of an epoch, {given.device}, {given.threads} threads", begun, headers, rows, lines))


def measure(n_classes: int, n_validation: int, n_heads: int, n_epochs: int, device: str) -> list[object]:
    """A row of the table."""
    data = SearchData(
        _part(4 * n_validation, n_classes), _part(n_validation, n_classes), tuple(map(str, range(n_classes)))
    ).to(device)
    members = [_head(seed, data, n_classes, device) for seed in range(n_heads)]
    group = fused.Group()

    def epoch() -> None:
        if n_heads == 1:
            members[0].step()
        else:
            group.step(members)

    full, least = [], []
    for _ in range(n_epochs + 1):  # the first is to warm up
        metrics.compute, metrics.names = ALL_METRICS
        full.append(_timed(epoch, device))
        metrics.compute, metrics.names = _accuracy, lambda n_classes: ("accuracy",)
        least.append(_timed(epoch, device))
    metrics.compute, metrics.names = ALL_METRICS
    with_all, without = (min(each[-n_epochs:]) * 1000 / n_heads for each in (full, least))
    return [
        n_classes,
        n_validation,
        f"{n_heads} {'fused' if n_heads > 1 else 'alone'}",
        with_all,
        without,
        100 * (with_all / without - 1),
    ]


def _accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The accuracy alone, float64 (k, 1)."""
    return (logits.argmax(dim=2) == labels).sum(dim=1).double().unsqueeze(1) / len(labels)


def _timed(call: Callable[[], None], device: str) -> float:
    started = time.perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _part(n: int, n_classes: int) -> Part:
    return Part(torch.randn(n, WIDTH, 1, 1), torch.randint(0, n_classes, (n,)))


def _head(seed: int, data: SearchData, n_classes: int, device: str) -> Training:
    torch.manual_seed(seed)
    model = TransferModel({"flatten": nn.Flatten()}, nn.Linear(WIDTH, n_classes))
    model.freeze(model.stages)
    config: Config = {"lr": 10 ** (-3 + seed % 5 / 4), "batch_size": 64, "momentum": 0.9, "optimizer": "sgd"}
    return gradient_descent.build(config, model, data, device)


if __name__ == "__main__":
    main()
