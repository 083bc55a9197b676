"""Small heads on fixed inputs, and the check that fused ones train as alone."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from trainables import fused
from trainables.data.dataset import Part, SearchData
from trainables.models import _heads
from trainables.trainable import TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training

WIDTH, CLASSES = 12, ("a", "b", "c")


def part(n: int, seed: int) -> Part:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(CLASSES)
    images = torch.rand(n, WIDTH, 1, 1, generator=generator) + 0.3 * labels.reshape(-1, 1, 1, 1)
    return Part(images, labels)


DATA = SearchData(part(97, 1), part(300, 2), CLASSES)
N_PAIRS = 100 * 200
"""The number of pairs of a validation image of one class and one of another class."""
N_SWAPPED = 20
"""The number of these pairs that rounding errors may put in another order."""
HEADS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(WIDTH, len(CLASSES)),
    "without a bias": lambda: nn.Linear(WIDTH, len(CLASSES), bias=False),
    "mlp": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(WIDTH, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, len(CLASSES)), nn.Identity()
    ),
    "wide": lambda: nn.Sequential(nn.Linear(WIDTH, 300), nn.ReLU(inplace=True), nn.Linear(300, len(CLASSES))),
    "large": lambda: nn.Sequential(nn.Linear(WIDTH, 140_000), nn.Linear(140_000, len(CLASSES))),
    "zero first": lambda: nn.Sequential(nn.Linear(WIDTH, 2), nn.ReLU(), nn.Linear(2, 1), _heads.ZeroFirst()),
}


def model(head: str = "linear") -> TransferModel:
    return TransferModel({"flatten": nn.Flatten()}, HEADS[head]())


def build(seed: int, head: str = "linear", data: SearchData = DATA, *, device: str = "cpu", **config: Any) -> Training:
    torch.manual_seed(seed)
    made = model(head)
    made.freeze(())
    return gradient_descent.build({"lr": 0.05, "batch_size": 16, **config}, made, data, device)


BINARY = SearchData(
    Part(DATA.train.images, DATA.train.labels % 2), Part(DATA.validation.images, DATA.validation.labels % 2), ("a", "b")
)


SKEWED = SearchData(Part(DATA.train.images, torch.tensor([0] * 80 + [1] * 15 + [2] * 2)), DATA.validation, CLASSES)
"""With a class of two images."""
ABSENT = SearchData(Part(DATA.train.images, DATA.train.labels % 2), DATA.validation, CLASSES)
"""With a class that only the validation part has."""


ONE_IMAGE = 1 / len(DATA.validation)
LONG = 1e-4
"""The tolerance of tests of long trainings."""


def check_equal(ours: Mapping[str, float], theirs: Mapping[str, float], tolerance: float = 1e-5) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        # A rounding error may change the order of two almost equal probabilities. In a long training it may grow until
        # an image gets another class.
        swapped = {"val_auroc": N_SWAPPED / N_PAIRS}
        if tolerance >= LONG:
            swapped |= dict.fromkeys(("val_accuracy", "val_balanced_accuracy", "val_f1"), ONE_IMAGE)
        absolute = max(tolerance, swapped.get(name, 0.0))
        assert ours[name] == pytest.approx(value, rel=tolerance, abs=absolute, nan_ok=True), name


def check_alike(members: list[Training], alone: list[Training], n_epochs: int = 4, tolerance: float = 1e-5) -> None:
    """Each member reports what it would have alone, and is left in the same state."""
    assert len({fused.key(member) for member in members}) == 1
    assert fused.key(members[0]) is not None
    group = fused.Group()
    for _ in range(n_epochs):
        for ours, other in zip(group.step(members), alone, strict=True):
            check_equal(ours, other.step(), tolerance)
    for member, other in zip(members, alone, strict=True):
        check_states(member.state_dict(), other.state_dict(), 10 * tolerance)


def check_states(ours: Any, theirs: Any, tolerance: float) -> None:
    assert type(ours) is type(theirs)
    if isinstance(ours, torch.Tensor):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    elif isinstance(ours, Mapping):
        assert ours.keys() == theirs.keys()
        for name in ours:
            check_states(ours[name], theirs[name], tolerance)
    elif isinstance(ours, list | tuple):
        for one, other in zip(ours, theirs, strict=True):
            check_states(one, other, tolerance)
    else:
        assert ours == theirs
