"""A toy that any regime can learn in seconds: three classes of striped images, and a model with all that has state."""

from functools import cache

import torch
from torch import nn
from torch.nn import functional

from trainables.data.dataset import Part, SearchData
from trainables.trainable import TransferModel

CLASSES = ("rows", "columns", "blank")


def part(n: int, seed: int) -> Part:
    """`n` images (1, 8, 8): bright rows, bright columns or nothing, under noise; the classes take turns."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % len(CLASSES)
    images = 0.3 * torch.rand(n, 1, 8, 8, generator=generator)
    images[labels == 0, :, ::2, :] += 0.7
    images[labels == 1, :, :, ::2] += 0.7
    return Part(images, labels)


def data() -> SearchData:
    return SearchData(part(97, seed=1), part(48, seed=2), CLASSES)


def first_weight(model: TransferModel) -> torch.Tensor:
    """A copy of the first weights that an image meets."""
    return model.get_parameter("stages.first.0.weight").detach().clone()


def model() -> TransferModel:
    """Two stages with BatchNorm, the second with dropout, and a linear head; weights from torch's global state."""
    return TransferModel(_stages(), nn.Sequential(nn.Flatten(), nn.Linear(8 * 2 * 2, len(CLASSES))))


def pretrained() -> TransferModel:
    """The same stages and a fully connected one with dropout, which learned the toy before, and a new linear head.

    Always the same weights; torch's global state stays as it is.
    """
    with torch.random.fork_rng():
        torch.manual_seed(8)
        model = _with_classifier()
    model.load_state_dict(_learned(), strict=False)
    return model


@cache
def _learned() -> dict[str, torch.Tensor]:
    """The state of stages that learned the toy."""
    with torch.random.fork_rng():
        torch.manual_seed(9)
        model, learned = _with_classifier(), part(60, seed=3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(20):
            optimizer.zero_grad()
            functional.cross_entropy(model(learned.images), learned.labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model.state_of(model.stages)


def _with_classifier() -> TransferModel:
    fc = nn.Sequential(nn.Flatten(), nn.Linear(8 * 2 * 2, 16), nn.ReLU(), nn.Dropout(0.2))
    return TransferModel({**_stages(), "fc": fc}, nn.Linear(16, len(CLASSES)), classifier=["fc"])


def _stages() -> dict[str, nn.Module]:
    first = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    second = nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3)
    return {"first": nn.Sequential(*first), "second": nn.Sequential(*second)}
