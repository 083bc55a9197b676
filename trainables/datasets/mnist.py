"""MNIST: 60,000 grey images for the search and 10,000 held out, 28 x 28 pixels.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: "Gradient-Based Learning Applied to Document Recognition" (1998).
Handwritten digits, 10 classes of about 7,000 images. The official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "mnist"
KIND = "MNIST"
"""The name of its class in torchvision.datasets."""
CLASSES = tuple("0123456789")


def build(root: Path | None) -> DataSet:
    """Return the images, uint8, from the folder mnist of `root`. A SetupError says which files are missing."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download the images into `root`. An existing folder is not changed. Raises DownloadError if that fails."""
    _torchvision.fetch(NAME, KIND, root)
