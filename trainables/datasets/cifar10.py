"""CIFAR-10: 50,000 colour images for the search and 10,000 held out, 32 x 32 pixels.

A. Krizhevsky: "Learning Multiple Layers of Features from Tiny Images" (2009). Animals and vehicles, 10 classes of 6,000
images. The official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "cifar10"
KIND = "CIFAR10"
"""The name of its class in torchvision.datasets."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def build(root: Path | None) -> DataSet:
    """Return the images, uint8, from the folder cifar10 of `root`. A SetupError says which files are missing."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download the images into `root`. An existing folder is not changed. Raises DownloadError if that fails."""
    _torchvision.fetch(NAME, KIND, root)
