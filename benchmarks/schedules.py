"""The cost of schedules that change the learning rate before each step, beside PyTorch's LambdaLR once an epoch.

    python benchmarks/schedules.py [--epochs 30] [--heads 1 64] [--threads 1] [--device cpu] [--quick]

A head is a linear layer, trained by AdamW in batches of 64. The sizes are a head on 512 features of 512 images, which
are 8 batches, and softmax regression on the digits of scikit-learn. One head trains by itself, several are fused.

All sides train the same heads with the same network and data, and take turns, epoch by epoch. `LambdaLR` is a cosine
schedule of PyTorch that is stepped once after each epoch, and changes nothing in between. The ratio is the median over
the turns of the time of an epoch, divided by that of the epoch of `LambdaLR` in the same turn. On a CPU, the time is
that of the process, because it changes less than the real time if the machine has other work.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.heads import QUICK, SIZES, Size, network, parsed, parser, search_data, timed
from benchmarks.report import block, machine, verdict
from trainables import fused
from trainables.data.dataset import SearchData
from trainables.hyperparameters import Config
from trainables.training import classification, gradient_descent, schedule_curves
from trainables.training.gradient_descent import Training
from trainables.training.schedules import Schedule, Warmup

N_EPOCHS = 1000
"""The epochs of the whole training of each schedule, more than are measured."""
BASIS = "LambdaLR"
SIDES: dict[str, Config] = {
    BASIS: {},
    "constant": {},
    "cosine": {"schedule": "cosine", "warmup": 1},
    "one_cycle": {"schedule": "one_cycle"},
    "wsd": {"schedule": "wsd", "cooldown_share": 1.0},
}
MOST = 1.02
"""The most that an epoch may take, in times of one with LambdaLR."""


def main() -> None:
    """Measure, and print a row for each size, number of heads and schedule."""
    given = parsed(parser(__doc__, epochs=30))
    begun = machine()
    sizes = QUICK if given.quick else (Size("8 batches", 512, 128, 512, 10), SIZES[1])
    rows = [
        row
        for size in sizes
        for n_heads in given.heads
        for row in measure(size, n_heads, 2 if given.quick else given.epochs, given.device)
    ]
    lines = [
        verdict(f"{row[0]}, {row[2]}, {row[3]}: {float(str(row[5])):.3f} times", float(str(row[5])), MOST, "times")
        for row in rows
        if row[3] != BASIS
    ]
    headers = ["size", "batches", "heads", "schedule", "epoch, ms a head", "ratio"]
    print(block(f"Schedules step by step, {given.device}, {given.threads} threads", begun, headers, rows, lines))


def measure(size: Size, n_heads: int, n_epochs: int, device: str) -> list[list[object]]:
    """The rows of a size and a number of heads."""
    data = search_data(size, device)
    sides = {name: [_head(seed, size, data, name, is_fused=n_heads > 1) for seed in range(n_heads)] for name in SIDES}
    groups = {name: fused.Group() for name in sides}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(n_epochs + 2):  # the first two are to warm up
        for name, members in sides.items():
            seconds[name].append(timed(partial(_epoch, members, groups[name]), device)[0])
    how = f"{n_heads} {'fused' if n_heads > 1 else 'alone'}"
    n_batches = -(-size.n_train // 64)
    rows: list[list[object]] = []
    for name, each in seconds.items():
        ratio = median(one / other for one, other in zip(each[2:], seconds[BASIS][2:], strict=True))
        rows.append([size.name, n_batches, how, name, 1000 * median(each[2:]) / n_heads, ratio])
    return rows


def _epoch(members: Sequence[Training], group: fused.Group) -> None:
    if len(members) == 1:
        members[0].step()
    else:
        group.step(members)


def _head(seed: int, size: Size, data: SearchData, name: str, *, is_fused: bool) -> Training:
    model, device = network(seed, size), str(data.train.labels.device)
    config: Config = {"lr": 10 ** (-4 + seed % 5 / 4), "batch_size": 64, "schedule_epochs": N_EPOCHS, **SIDES[name]}
    objective, _ = classification.build(config, model, data.train.labels, size.n_classes)
    optimization = gradient_descent.build_optimization(config, model, objective, device)
    if name == BASIS:
        optimization = replace(optimization, schedule=_OnceAnEpoch(optimization.optimizer, is_fused=is_fused))
    return Training(model, data, optimization, device)


class _OnceAnEpoch(Schedule):
    """A scheduler of PyTorch, stepped once an epoch."""

    def __init__(self, optimizer: Optimizer, *, is_fused: bool) -> None:
        super().__init__(optimizer, schedule_curves.constant, Warmup("warmup", 0.0), None)
        self._stepped, self._is_fused = optimizer, is_fused
        self._scheduler = LambdaLR(optimizer, lambda epoch: (1 + math.cos(math.pi * epoch / N_EPOCHS)) / 2)

    def factors(self, n_steps: int) -> list[float]:
        group: dict[str, Any] = self._stepped.param_groups[0]
        return [group["lr"] / group["initial_lr"]] * n_steps

    def set_factor(self, factor: float) -> None:
        """Nothing changes within an epoch."""

    def end_epoch(self) -> None:
        if self._is_fused:
            # PyTorch warns if no step of the optimizer came before. Fused heads have no gradients, so nothing changes.
            self._stepped.step()
        self._scheduler.step()


if __name__ == "__main__":
    main()
