"""The cost of each epoch's synchronization: how long a device idles because the losses of every epoch are read.

    python benchmarks/synchronization.py [--device cuda] [--epochs 30] [--repeats 3] [--small]

A search needs the losses of each epoch before the next one, so the host waits for the device once an epoch, computes
the metrics, and writes a checkpoint. What that costs is the difference between these sides, each with the same network,
images and batches:

- one wait at the end: a bare loop over all epochs, whose losses stay on the device.
- a wait each epoch: the same, and the two losses of each epoch are read.
- ours: `step()` of the regime, with all metrics.
- ours, with checkpoints: the same, and the state is written to disk after each epoch.

Three trainings: a linear head on 2,892 images of 512 numbers, whose epochs are the shortest; `small_cnn` on 1,437
images of 8 x 8; ResNet-18 on 512 images of 224 pixels. Their numbers are random. The sides take turns. The first turn
warms up and is not counted. `over the least` is the median of the ratios turn by turn to one wait at the end.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from benchmarks.one_epoch import ratio
from benchmarks.report import block, machine, note
from hpo import plugins
from trainables.data.dataset import Part, SearchData
from trainables.regimes import from_scratch, linear_probe
from trainables.trainable import Trainable, TransferModel
from trainables.training import checkpoints

BATCH_SIZE, LR = 64, 1e-3
LEAST = "one wait at the end"


class Task(NamedTuple):
    """What trains."""

    name: str
    model: str
    """The name of a model, or `head` for a linear layer on features."""
    shape: tuple[int, int, int]
    n_train: int
    n_validation: int
    n_classes: int
    shorter: int = 1
    """How many times fewer epochs than the others it trains."""


TASKS = (
    Task("head, 512 features", "head", (512, 1, 1), 2892, 2892, 101),
    Task("small_cnn, 8 x 8", "small_cnn", (1, 8, 8), 1437, 360, 10),
    Task("resnet18, 224 x 224", "resnet18", (3, 224, 224), 512, 512, 10, shorter=5),
)
SMALL_TASKS = (Task("head", "head", (16, 1, 1), 128, 64, 4), Task("small_cnn", "small_cnn", (1, 8, 8), 128, 64, 4))


def data(task: Task, device: str) -> SearchData:
    """Random images of the task."""
    train, validation = (
        Part(torch.randint(0, 256, (n, *task.shape), dtype=torch.uint8), torch.randint(0, task.n_classes, (n,)))
        for n in (task.n_train, task.n_validation)
    )
    return SearchData(train, validation, tuple(map(str, range(task.n_classes)))).to(device)


def network(task: Task) -> TransferModel:
    """A new network of the task."""
    if task.model == "head":
        return TransferModel({"flatten": nn.Flatten()}, nn.Linear(task.shape[0], task.n_classes))
    model: TransferModel = plugins.load("trainables.models", task.model).build(
        {}, shape=task.shape, n_classes=task.n_classes, weights="none"
    )
    return model


def bare(task: Task, found: SearchData, device: str, n_epochs: int, *, waits: bool) -> Callable[[], None]:
    """A bare loop over so many epochs. With `waits`, the losses of each epoch are read after it."""
    model = network(task).to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = SGD(model.parameters(), lr=LR)

    def loop() -> None:
        losses = []
        for _ in range(n_epochs):
            losses.append(_epoch(model, optimizer, found))
            if waits:
                losses[-1].tolist()
        torch.stack(losses).tolist()

    return loop


def _epoch(model: nn.Module, optimizer: Optimizer, found: SearchData) -> Tensor:
    """Train and validate once. Returns the sums of the losses of both parts, (2,), on the device."""
    part = found.train
    sums = torch.zeros(2, device=part.labels.device)
    model.train()
    for batch in torch.split(torch.randperm(len(part), device=part.labels.device), BATCH_SIZE):
        loss = functional.cross_entropy(model(part.images[batch]), part.labels[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        sums[0] += loss.detach() * len(batch)
    model.eval()
    part = found.validation
    with torch.inference_mode():
        for images, labels in zip(torch.split(part.images, 256), torch.split(part.labels, 256), strict=True):
            sums[1] += functional.cross_entropy(model(images), labels) * len(labels)
    return sums


def ours(task: Task, found: SearchData, device: str, n_epochs: int, folder: Path | None) -> Callable[[], None]:
    """So many epochs of the regime. With `folder`, each writes a checkpoint there."""
    regime = linear_probe if task.model == "head" else from_scratch
    config = {"optimizer": "sgd", "lr": LR, "batch_size": BATCH_SIZE}
    trainable: Trainable = regime.build(config, network(task), found, device)

    def loop() -> None:
        for _ in range(n_epochs):
            trainable.step()
            if folder is not None:
                checkpoints.write(folder / f"{task.model}.pt", {"state": trainable.state_dict()})

    return loop


def measure(task: Task, typed: argparse.Namespace, folder: Path) -> list[list[object]]:
    """The rows of a task."""
    found, n_epochs = data(task, typed.device), max(1, typed.epochs // task.shorter)
    settings = task, found, typed.device, n_epochs
    loops = {
        LEAST: bare(*settings, waits=False),
        "a wait each epoch": bare(*settings, waits=True),
        "ours": ours(*settings, None),
        "ours, with checkpoints": ours(*settings, folder),
    }
    taken: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(typed.repeats + 1):
        note(f"{task.name}: {turn} of {typed.repeats}")
        for name, loop in loops.items():
            started = time.perf_counter()
            loop()  # each ends with a wait for the device
            taken[name].append((time.perf_counter() - started) / n_epochs)
    counted = {name: seconds[1:] for name, seconds in taken.items()}
    return [
        [task.name, name, 1000 * statistics.median(seconds), ratio(seconds, counted[LEAST])]
        for name, seconds in counted.items()
    ]


def main() -> None:
    """Measure, and print a row for each task and side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="tiny tasks: a smoke test, no measurement")
    if "--small" in sys.argv:
        parser.set_defaults(epochs=2, repeats=1)
    typed, begun, rows = parser.parse_args(), machine(), []
    with tempfile.TemporaryDirectory() as folder:
        for task in SMALL_TASKS if typed.small else TASKS:
            rows += measure(task, typed, Path(folder))
    header = ["training", "side", "ms an epoch", "over the least"]
    print(block(f"The cost of each epoch's synchronization, {typed.device}", begun, header, rows, []))


if __name__ == "__main__":
    main()
