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

HELD_OUT = bytes.fromhex(
    "000004883524104000064100934205001a00080100240028062c12001000940a009019120420f8a0028110a000080a88204415244942"
    "40a00a0000004004d80000818020004805c400104008a0100005404800301000020ec409000224840083a8013c20a6980a0000000b08"
    "400804a0184802024041c1008004404684376a810216004480004042a0a4180a5000840b8561c608108008004c80c02004068e000108"
    "82008100380803c008190000100e01008410a0210033282904c044c080680e0102830082008822a6402c24042108a860809081a00c02"
    "820242120138a41500"
)
"""One bit for each image, the highest bit of a byte first: 1 if it is held out. These are 360 images, a fifth.

scikit-learn's `train_test_split` drew them once, stratified, with the seed 0. Never change them: with another split,
earlier test results could not be compared with new ones.
"""
BRIGHTEST = 16.0
"""The highest grey value in the files."""


class Digits:
    """10 classes, 1,437 images for the search and 360 held out. An image is (1, 8, 8), from 0 (paper) to 1 (ink)."""

    name = "digits"
    classes = tuple("0123456789")

    def __init__(self) -> None:
        table = torch.from_numpy(rows())
        whole = Part((table[:, :-1] / BRIGHTEST).float().reshape(-1, 1, 8, 8), table[:, -1].long())
        is_held_out = np.unpackbits(np.frombuffer(HELD_OUT, dtype=np.uint8))[: len(whole)]
        self._training, self._held_out = (whole.take(np.flatnonzero(is_held_out == held).tolist()) for held in (0, 1))

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
