"""Kuzushiji-MNIST: 60,000 grey images to search with and 10,000 held out, 28 x 28 pixels.

T. Clanuwat, M. Bober-Irizar, A. Kitamoto, A. Lamb, K. Yamamoto, D. Ha: "Deep Learning for Classical Japanese
Literature" (2018). Cursive Hiragana, 10 classes of 7,000; the official test part is held out.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets import _torchvision

NAME = "kmnist"
KIND = "KMNIST"
"""Its class in torchvision.datasets."""
CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def build(root: Path | None) -> DataSet:
    """The characters, uint8, in the folder kmnist of `root`; a SetupError says what is missing there."""
    return _torchvision.Downloaded(NAME, KIND, CLASSES, root)


def fetch(root: Path) -> None:
    """Download them into `root`; what is there already stays. A SetupError says why it cannot be done."""
    _torchvision.fetch(NAME, KIND, root)
