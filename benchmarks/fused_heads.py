"""Heads side by side against the same heads one after another.

    python benchmarks/fused_heads.py [--heads 1 8 64 256] [--epochs 3] [--threads 2] [--quick] [--imbalance]

Two tasks: a linear probe on kept features of the size that ResNet-18 gives of Caltech-101 (2,892 images to train,
2,892 to validate, 512 numbers each, 101 classes), and softmax regression on images of the size of scikit-learn's
digits (1,437 and 360 of 8x8, 10 classes). The numbers themselves are random: what is measured hangs on their
count alone. All heads have a batch size of 64; half of them are trained by SGD with momentum, half by AdamW.

One after another, each training steps alone, with all threads or with one, whichever is faster. The least of
the epochs counts on either side, because others who load the machine only ever add. Up to 32 heads are stepped
alone, the rest is taken to be alike. `difference` is the largest between the two sides in any metric
but the AUROC, in which a rounding error may exchange two almost equal probabilities.

With `--imbalance`, both sides train side by side instead: the heads as above, and the same heads with class weights,
balanced sampling or the focal loss. The two sides take turns, epoch by epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.heads import parsed, parser
from benchmarks.report import block, machine, verdict
from trainables import fused
from trainables.data.dataset import Part, SearchData
from trainables.trainable import TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training

Metrics = Mapping[str, float]

N_ALONE = 32
"""Heads at most that are stepped one after another."""


class Task(NamedTuple):
    """What the heads learn."""

    name: str
    n_train: int
    n_validation: int
    width: int
    n_classes: int


TARGETS = {("cpu", 64): 5.0, ("cuda", 1024): 100.0}
"""Times faster, by the kind of device and the number of heads. For the CPU it is on two cores."""
TASKS = (Task("probe, 512 features", 2892, 2892, 512, 101), Task("softmax, 8x8 digits", 1437, 360, 64, 10))
PLAIN = "nothing"
AGAINST_IMBALANCE: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "class weights": {"class_weights": "balanced"},
    "balanced sampling": {"sampler": "balanced"},
    "class weights and sampling": {"class_weights": "effective", "sampler": "balanced"},
    "focal loss": {"loss_function": "focal"},
    "all with label smoothing": {
        "class_weights": "effective",
        "sampler": "balanced",
        "loss_function": "focal",
        "label_smoothing": 0.1,
    },
}
MOST_TIMES = {"class weights": 1.05, "balanced sampling": 1.05}
"""The most that an epoch may take, in times of an epoch with nothing of it."""
QUICK = (Task("quick", 100, 50, 16, 4),)


def main() -> None:
    """Measure, and print a row a task and number of heads."""
    command_line = parser(__doc__, epochs=3, heads=(1, 8, 64, 256))
    command_line.add_argument("--imbalance", action="store_true", help="measure class weights, sampling and focal loss")
    given = parsed(command_line)
    begun = machine()
    if given.imbalance:
        print(imbalance(QUICK if given.quick else TASKS, given.heads[-1], given.epochs, given.device, begun))
        return
    rows = [
        measure(task, n_heads, given.epochs, given.device)
        for task in (QUICK if given.quick else TASKS)
        for n_heads in ([1, 8] if given.quick else given.heads)
    ]
    headers = ["task", "heads", "side by side, s an epoch", "one after another, s", "ratio", "difference"]
    ratios = {(row[0], int(str(row[1]))): float(str(row[4])) for row in rows}
    kind = torch.device(given.device).type
    lines = [
        verdict(f"{task} x {heads}: {ratio:.1f} times", ratio, TARGETS[kind, heads], "times", least=True)
        for (task, heads), ratio in ratios.items()
        if (kind, heads) in TARGETS
    ]
    print(block(f"Heads side by side, {given.device}, {given.threads} threads", begun, headers, rows, lines))


def measure(task: Task, n_heads: int, n_epochs: int, device: str) -> list[object]:
    """A row of the table."""
    data = _data(task, device)
    together = [_head(i, task, data, device) for i in range(n_heads)]
    alone = [_head(i, task, data, device) for i in range(min(n_heads, N_ALONE))]
    group, difference = fused.Group(), 0.0
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(n_epochs + 1):  # the first is to warm up
        seconds, reports = _timed(lambda: group.step(together), device)
        ours.append(seconds)
        threads = torch.get_num_threads()
        if len(theirs) % 2:
            torch.set_num_threads(1)
        seconds, others = _timed(lambda: [each.step() for each in alone], device)
        torch.set_num_threads(threads)
        theirs.append(seconds * n_heads / len(alone))
        pairs = zip(reports, others, strict=False)
        difference = max(
            [difference, *(abs(one[name] - other[name]) for one, other in pairs for name in one if name != "val_auroc")]
        )
    fastest, others_fastest = min(ours[1:]), min(theirs[1:])
    return [task.name, n_heads, fastest, others_fastest, others_fastest / fastest, difference]


def imbalance(tasks: Sequence[Task], n_heads: int, n_epochs: int, device: str, begun: str) -> str:
    """The table of what class weights, balanced sampling and the focal loss add to an epoch."""
    rows, lines = [], []
    for task in tasks:
        data = _data(task, device)
        sides = {
            name: (fused.Group(), [_head(i, task, data, device, **config) for i in range(n_heads)])
            for name, config in AGAINST_IMBALANCE.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(n_epochs + 1):  # the first is to warm up
            for name, (group, heads) in sides.items():
                seconds[name].append(_timed(partial(group.step, heads), device)[0])
        fastest = {name: min(each[1:]) for name, each in seconds.items()}
        for name, value in fastest.items():
            ratio = value / fastest[PLAIN]
            rows.append([task.name, n_heads, name, value, ratio])
            if name in MOST_TIMES:
                lines.append(verdict(f"{task.name}, {name}: {ratio:.2f} times", ratio, MOST_TIMES[name], "times"))
    headers = ["task", "heads", "heads with", "s an epoch", "ratio"]
    return block(f"Imbalance, heads side by side, {device}", begun, headers, rows, lines)


def _timed(call: Callable[[], Sequence[Metrics]], device: str) -> tuple[float, Sequence[Metrics]]:
    started = time.perf_counter()
    result = call()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - started, result


def _data(task: Task, device: str) -> SearchData:
    classes = tuple(map(str, range(task.n_classes)))
    return SearchData(_part(task, task.n_train), _part(task, task.n_validation), classes).to(device)


def _part(task: Task, n: int) -> Part:
    return Part(torch.randn(n, task.width, 1, 1), torch.randint(0, task.n_classes, (n,)))


def _head(seed: int, task: Task, data: SearchData, device: str, **settings: Any) -> Training:
    torch.manual_seed(seed)
    model = TransferModel({"flatten": nn.Flatten()}, nn.Linear(task.width, task.n_classes))
    model.freeze(model.stages)
    optimizer: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.9} if seed % 2 else {"optimizer": "adamw"}
    config = {"lr": 10 ** (-3 + seed % 5 / 4), "batch_size": 64, **optimizer, **settings}
    return gradient_descent.build(config, model, data, device)


if __name__ == "__main__":
    main()
