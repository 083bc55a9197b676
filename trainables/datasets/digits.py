"""Handwritten digits: 1,797 real images that come with scikit-learn.

The test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998, UCI
Machine Learning Repository), 8x8 pixels, no two images alike. Nothing is downloaded.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.dataset import DataSet, Part
from trainables.data.splits import cut

N_HELD_OUT = 360
"""A fifth of the images."""
HELD_OUT_SEED = 0
"""Fixed for good: another cut would make earlier test results incomparable."""
BRIGHTEST = 16.0
"""The highest grey value in the files."""


class Digits:
    """1,437 images to search with and 360 held out: (1, 8, 8), 0 (paper) to 1 (ink), 10 classes."""

    name = "digits"
    classes = tuple("0123456789")

    def __init__(self) -> None:
        table = torch.from_numpy(rows())
        whole = Part((table[:, :-1] / BRIGHTEST).float().reshape(-1, 1, 8, 8), table[:, -1].long())
        kept, held_out = cut(whole.labels, n_cut=N_HELD_OUT, seed=HELD_OUT_SEED, classes=self.classes)
        self._training, self._held_out = whole.take(kept), whole.take(held_out)

    def training(self) -> Part:
        return self._training

    def held_out(self) -> Part:
        return self._held_out


def rows(place: str = "sklearn/datasets/data/digits.csv.gz") -> NDArray[np.float64]:
    """(1797, 65): each image with its class. Read past scikit-learn, whose import takes longer than all else here.

    `place` is where its releases keep them; from one that does not, they come by its own function.
    """
    path = Path(str(distribution("scikit-learn").locate_file(place)))
    if path.is_file():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    return np.column_stack(load_digits(return_X_y=True))


def build(root: Path | None) -> DataSet:
    """The digits; they need no folder, so `root` is ignored."""
    return Digits()
