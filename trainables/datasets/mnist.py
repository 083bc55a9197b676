"""MNIST: 60,000 grey images to search with and 10,000 held out, 28 x 28 pixels.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: "Gradient-Based Learning Applied to Document Recognition" (1998).
Handwritten digits, 10 classes of about 7,000; the official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "mnist"
KIND = "MNIST"
"""Its class in torchvision.datasets."""
CLASSES = tuple("0123456789")


def build(root: Path | None) -> DataSet:
    """The digits, uint8, in the folder mnist of `root`; a SetupError says what is missing there."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download them into `root`; what is there already stays. A SetupError says why it cannot be done."""
    _torchvision.fetch(NAME, KIND, root)
