"""Fashion-MNIST: 60,000 grey images to search with and 10,000 held out, 28 x 28 pixels.

H. Xiao, K. Rasul, R. Vollgraf: "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms" (2017). Pieces of clothing, 10 classes of 7,000; the official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "fashion_mnist"
KIND = "FashionMNIST"
"""Its class in torchvision.datasets."""
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
    """The pieces of clothing, uint8, in the folder fashion_mnist of `root`; a SetupError says what is missing there."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download them into `root`; what is there already stays. A SetupError says why it cannot be done."""
    _torchvision.fetch(NAME, KIND, root)
