"""Kuzushiji-MNIST: 60,000 grey images for the search and 10,000 held out, 28 x 28 pixels.

T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha: "Deep Learning for Classical Japanese
Literature" (2018). Cursive Hiragana, 10 classes of 7,000 images. The official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "kmnist"
KIND = "KMNIST"
"""The name of its class in torchvision.datasets."""
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def build(root: Path | None) -> DataSet:
    """Return the images, uint8, from the folder kmnist of `root`. A SetupError says which files are missing."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download the images into `root`. An existing folder is not changed. Raises DownloadError if that fails."""
    _torchvision.fetch(NAME, KIND, root)
