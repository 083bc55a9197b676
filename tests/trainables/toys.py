"""A toy that any regime can learn in seconds: three classes of striped images, and a model with all that has state."""

import torch
from torch import nn

from trainables.splits import Part, SearchData
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
    stages = {
        "first": nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        "second": nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3)),
    }
    return TransferModel(stages, nn.Sequential(nn.Flatten(), nn.Linear(8 * 2 * 2, len(CLASSES))))
