"""The cost of the metrics of an epoch: heads trained with all metrics, and with loss and accuracy alone.

    python benchmarks/metrics.py [--epochs 15] [--heads 1 64] [--threads 1] [--device cpu] [--random] [--quick]

A head is a linear layer, trained by SGD in batches of 64. `Caltech-101` and `digits` have the sizes of a linear probe
of ResNet-18 on Caltech-101, and of softmax regression on the digits of scikit-learn. The other two have four times as
many training images as validation images, as with `validation: {fraction: 0.2}`. Images of a class lie around its mean,
so the heads learn. With `--random`, there is nothing to learn. This is the slowest case: for the AUROC, only the
images that score above the lowest image of each class need an order. One head trains by itself, several are fused.

Epochs with all metrics and epochs with loss and accuracy take turns. The time of a whole epoch varies by more than the
metrics cost, so the computation of the metrics is timed within each epoch. The share is the difference between the
median times of the two computations, in percent of the median epoch with loss and accuracy. On a CPU, the time is that
of the process, because it changes less than the real time if the machine has other work.
"""

from __future__ import annotations

from statistics import median
from typing import Protocol

import torch
from torch import Tensor

from benchmarks.heads import DISTANCE, QUICK, SIZES, Size, head, parsed, parser, search_data, timed
from benchmarks.report import block, machine, verdict
from trainables import fused
from trainables.training import metrics


class Compute(Protocol):
    """How the metrics are computed, with all metrics or with loss and accuracy alone."""

    def __call__(self, logits: Tensor, labels: Tensor) -> metrics.Metrics: ...


TARGET = 3.0
"""The largest share of an epoch in percent."""
ALL_METRICS = metrics.compute, metrics.names


def main() -> None:
    """Measure, and print a row for each size."""
    command_line = parser(__doc__, epochs=15)
    command_line.add_argument("--random", action="store_true", help="labels that do not depend on the images")
    given = parsed(command_line)
    begun = machine()
    n_epochs = 1 if given.quick else given.epochs
    rows = [
        measure(size, n_heads, n_epochs, given.device, 0.0 if given.random else DISTANCE)
        for size in (QUICK if given.quick else SIZES)
        for n_heads in given.heads
    ]
    times = ["epoch, ms a head", "all metrics, ms a head", "loss and accuracy, ms a head"]
    headers = ["size", "classes", "validation images", "heads", *times, "share, %"]
    lines = [verdict(f"{row[0]}, {row[1]} classes, {row[3]}", float(str(row[-1])), TARGET, "%") for row in rows]
    labels = ", random labels" if given.random else ""
    print(block(f"Metrics of an epoch, {given.device}, {given.threads} threads{labels}", begun, headers, rows, lines))


def measure(size: Size, n_heads: int, n_epochs: int, device: str, distance: float) -> list[object]:
    """A row of the table. `distance` is that of the mean of each class from 0, in standard deviations."""
    data = search_data(size, device, distance)
    members = [head(seed, size, data, device) for seed in range(n_heads)]
    group = fused.Group()

    def epoch() -> None:
        if n_heads == 1:
            members[0].step()
        else:
            group.step(members)

    full_times, least_times, whole_times = [], [], []
    for _ in range(n_epochs + 1):  # the first is to warm up
        calls: list[float] = []  # fused heads are computed a part of the group at a time
        metrics.compute, metrics.names = _recorded(ALL_METRICS[0], device, calls), ALL_METRICS[1]
        epoch()
        full_times.append(sum(calls))
        calls = []
        metrics.compute = _recorded(_loss_and_accuracy, device, calls)
        metrics.names = lambda n_classes: ("accuracy",)
        whole_times.append(timed(epoch, device)[0])
        least_times.append(sum(calls))
    metrics.compute, metrics.names = ALL_METRICS
    full, least, whole = (1000 * median(each[1:]) / n_heads for each in (full_times, least_times, whole_times))
    how = f"{n_heads} {'fused' if n_heads > 1 else 'alone'}"
    return [size.name, size.n_classes, size.n_validation, how, whole, full, least, 100 * (full - least) / whole]


def _recorded(compute: Compute, device: str, seconds: list[float]) -> Compute:
    """The same computation, which adds the time of each call to `seconds`."""

    def recorded(logits: Tensor, labels: Tensor) -> metrics.Metrics:
        elapsed, found = timed(lambda: compute(logits, labels), device)
        seconds.append(elapsed)
        return found

    return recorded


def _loss_and_accuracy(logits: Tensor, labels: Tensor) -> metrics.Metrics:
    """Loss and accuracy alone. The loss is summed up by batches, which fit into the cache."""
    losses = torch.zeros(len(logits), device=logits.device)
    for some, their_labels in zip(torch.split(logits, 256, dim=1), torch.split(labels, 256), strict=True):
        targets = their_labels.expand(len(logits), -1).unsqueeze(2)
        losses -= some.log_softmax(dim=2).gather(2, targets).sum(dim=(1, 2))
    accuracy = (logits.argmax(dim=2) == labels).sum(dim=1).double().unsqueeze(1) / len(labels)
    return metrics.Metrics(losses.double() / len(labels), accuracy)


if __name__ == "__main__":
    main()
