"""CIFAR-10: 50,000 colour images to search with and 10,000 held out, 32 x 32 pixels.

A. Krizhevsky: "Learning Multiple Layers of Features from Tiny Images" (2009). Animals and vehicles, 6,000 a
class; the official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "cifar10"
KIND = "CIFAR10"
"""Its class in torchvision.datasets."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def build(root: Path | None) -> DataSet:
    """The images, uint8, in the folder cifar10 of `root`; a SetupError says what is missing there."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download them into `root`; what is there already stays. A SetupError says why it cannot be done."""
    _torchvision.fetch(NAME, KIND, root)
