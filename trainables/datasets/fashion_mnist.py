"""Fashion-MNIST: 60,000 grey images for the search and 10,000 held out, 28 x 28 pixels.

H. Xiao, K. Rasul, R. Vollgraf: "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms"
(2017). Pieces of clothing, 10 classes of 7,000 images. The official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "fashion_mnist"
KIND = "FashionMNIST"
"""The name of its class in torchvision.datasets."""
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def build(root: Path | None) -> DataSet:
    """Return the images, uint8, from the folder fashion_mnist of `root`. A SetupError says which files are missing."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download the images into `root`. An existing folder is not changed. Raises DownloadError if that fails."""
    _torchvision.fetch(NAME, KIND, root)
