"""Linear heads for a benchmark: the command line that says how many are trained, their sizes, their data, the timing.

Images of a class lie around its mean, so the heads learn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.data.dataset import Part, SearchData
from trainables.hyperparameters import Config
from trainables.trainable import TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training

T = TypeVar("T")


class Size(NamedTuple):
    """What the heads learn."""

    name: str
    n_train: int
    n_validation: int
    width: int
    n_classes: int


SIZES = (
    Size("Caltech-101", 2892, 2892, 512, 101),
    Size("digits", 1437, 360, 64, 10),
    Size("4,000 images", 4000, 1000, 512, 10),
    Size("4,000 images", 4000, 1000, 512, 100),
)
QUICK = (Size("quick", 160, 40, 16, 4),)
DISTANCE = 5.0
"""How far the mean of each class lies from 0, in standard deviations."""


def parser(description: str | None, *, epochs: int, heads: Sequence[int] = (1, 64)) -> argparse.ArgumentParser:
    """The command line of a benchmark of heads. `epochs` and `heads` are its defaults."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--epochs", type=int, default=epochs)
    found.add_argument("--heads", type=int, nargs="+", default=list(heads))
    found.add_argument("--threads", type=int, default=torch.get_num_threads())
    found.add_argument("--device", default="cpu")
    found.add_argument("--quick", action="store_true", help="a tiny size, to see that it runs")
    return found


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of the command line. From then on, torch has the number of threads that they say."""
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    return given


def search_data(size: Size, device: str, distance: float = DISTANCE) -> SearchData:
    """Return random images of a size. `distance` is that of the mean of each class from 0."""
    means = distance * functional.normalize(torch.randn(size.n_classes, size.width))
    classes = tuple(map(str, range(size.n_classes)))
    return SearchData(_part(means, size.n_train), _part(means, size.n_validation), classes).to(device)


def _part(means: Tensor, n: int) -> Part:
    """Return `n` images around the means of the classes, (n_classes, width)."""
    labels = torch.randint(0, len(means), (n,))
    return Part((torch.randn(n, means.shape[1]) + means[labels]).view(n, -1, 1, 1), labels)


def network(seed: int, size: Size) -> TransferModel:
    """Return a network whose head is a linear layer, and the only part that trains."""
    torch.manual_seed(seed)
    model = TransferModel({"flatten": nn.Flatten()}, nn.Linear(size.width, size.n_classes))
    model.freeze(model.stages)
    return model


def head(seed: int, size: Size, data: SearchData, device: str) -> Training:
    """Return the training of a head for `data` by SGD. Its learning rate depends on `seed`."""
    model = network(seed, size)
    config: Config = {"lr": 10 ** (-3 + seed % 5 / 4), "batch_size": 64, "momentum": 0.9, "optimizer": "sgd"}
    return gradient_descent.build(config, model, data, device)


def timed(call: Callable[[], T], device: str) -> tuple[float, T]:
    """The seconds of a call, of the process on a CPU and real ones on other devices, and what it returns."""
    if device == "cpu":
        started = time.process_time()
        result = call()
        return time.process_time() - started, result
    torch.cuda.synchronize()
    started = time.perf_counter()
    result = call()
    torch.cuda.synchronize()
    return time.perf_counter() - started, result
