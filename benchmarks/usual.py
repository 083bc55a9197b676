"""The usual script, as the tutorials of PyTorch have it: image files, transforms of each image, a DataLoader.

It stands for what a user brings along to Optuna, Ray Tune or HpBandSter: none of them has a say in it.
Every epoch opens, decodes and resizes every image again, and passes it through the whole network, frozen or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.optim import SGD, Optimizer

from trainables import vision
from trainables.data.input_spec import IMAGENET

BATCH_SIZE = 64
MOMENTUM = 0.9


def loader(
    folder: Path, size: int, *, workers: int, batch_size: int = BATCH_SIZE, shuffle: bool = False, pin: bool = False
) -> Any:
    """A DataLoader over a folder of class folders. `pin` is for a GPU: batches lie in pinned memory."""
    v2 = vision.transforms()
    steps = [v2.Resize(size), v2.CenterCrop(size), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    transform = v2.Compose([*steps, v2.Normalize(IMAGENET.mean, IMAGENET.std)])
    images = vision.datasets().ImageFolder(folder, transform)
    return torch.utils.data.DataLoader(images, batch_size, shuffle=shuffle, num_workers=workers, pin_memory=pin)


def frozen_resnet(root: Path, n_classes: int) -> Any:
    """ResNet-18 with ImageNet weights, all frozen but a new last layer."""
    network = vision.models().resnet18()
    network.load_state_dict(torch.load(root / "weights" / "resnet18.pth", weights_only=True))
    network.requires_grad_(False)
    network.fc = nn.Linear(network.fc.in_features, n_classes)
    return network


def train_epoch(network: nn.Module, batches: Any, optimizer: Optimizer, *, bf16: bool = False) -> None:
    """One pass over the training images; the caller says whether BatchNorm and dropout are in training mode."""
    device = next(network.parameters()).device
    for images, labels in batches:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = network(images)
        loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def validate(network: nn.Module, batches: Any, *, bf16: bool = False) -> float:
    """The mean loss over the validation images."""
    network.eval()
    total, n, device = 0.0, 0, next(network.parameters()).device
    with torch.no_grad():
        for images, labels in batches:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits = network(images)
            total += functional.cross_entropy(logits.float(), labels, reduction="sum").item()
            n += len(labels)
    return total / n


def probe(root: Path, size: int, lr: float, weight_decay: float, epochs: int, workers: int) -> Iterator[float]:
    """Train the last layer on the images under `root`; the validation loss after each epoch.

    The network stays in evaluation mode, so that BatchNorm's statistics stay ImageNet's.
    """
    training = loader(root / "train", size, workers=workers, shuffle=True)
    validation = loader(root / "validation", size, workers=workers)
    network = frozen_resnet(root, len(training.dataset.classes))
    optimizer = SGD(network.fc.parameters(), lr=lr, momentum=MOMENTUM, weight_decay=weight_decay)
    for _ in range(epochs):
        network.eval()
        train_epoch(network, training, optimizer)
        yield validate(network, validation)
