"""Handwritten digits: 1,797 images of 8 x 8 pixels that come with scikit-learn.

They are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, 1998, UCI Machine
Learning Repository). No two images are equal. Nothing is downloaded.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.dataset import DataSet, Part
from trainables.data.splits import split_indices

N_HELD_OUT = 360
"""A fifth of the images."""
HELD_OUT_SEED = 0
"""Never change it: with another split, earlier test results could not be compared with new ones."""
BRIGHTEST = 16.0
"""The highest grey value in the files."""


class Digits:
    """10 classes, 1,437 images for the search and 360 held out. An image is (1, 8, 8), from 0 (paper) to 1 (ink)."""

    name = "digits"
    classes = tuple("0123456789")

    def __init__(self) -> None:
        table = torch.from_numpy(rows())
        whole = Part((table[:, :-1] / BRIGHTEST).float().reshape(-1, 1, 8, 8), table[:, -1].long())
        kept, held_out = split_indices(whole.labels, n_second=N_HELD_OUT, seed=HELD_OUT_SEED, classes=self.classes)
        self._training, self._held_out = whole.take(kept), whole.take(held_out)

    def training(self) -> Part:
        return self._training

    def held_out(self) -> Part:
        return self._held_out


def rows(place: str = "sklearn/datasets/data/digits.csv.gz") -> NDArray[np.float64]:
    """Return the digits as (1797, 65): in each row the 64 pixels of an image and its class.

    The file `place` of the scikit-learn package is read directly, because importing scikit-learn takes longer than
    everything else here. If a release of scikit-learn has no such file, its own function is used.
    """
    path = Path(str(distribution("scikit-learn").locate_file(place)))
    if path.is_file():
        return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    return np.column_stack(load_digits(return_X_y=True))


def build(root: Path | None) -> DataSet:
    """Return the digits. `root` is ignored, because they need no folder."""
    return Digits()
