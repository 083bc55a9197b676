"""Data sets of small images that torchvision downloads and reads: one class for all of them.

Each data set has a folder. Inside it, the files lie as torchvision lays them out:

    mnist/MNIST/raw/train-images-idx3-ubyte
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path

import torch

from trainables import vision
from trainables.data.dataset import Part
from trainables.errors import DownloadError, SetupError, reason

BY_HAND = "download it on a machine with a connection, and copy it to"


class Downloaded:
    """A data set of torchvision. Its official test part is held out. It is read only when it is asked for."""

    def __init__(self, name: str, kind: str, classes: tuple[str, ...], root: Path | None) -> None:
        """Read the training part. `kind` is the name of its class in torchvision.datasets.

        Raises SetupError if files in `root` are missing or damaged; the message says which, and what to do.
        """
        if root is None:
            raise SetupError(f"`dataset`: {name} needs the folder that data sets are kept in, and none is given")
        self.name = name
        self.classes = classes
        self._kind = kind
        self._folder = root / name
        self._training = self._read(train=True)

    def training(self) -> Part:
        return self._training

    def held_out(self) -> Part:
        return self._test

    @cached_property
    def _test(self) -> Part:
        return self._read(train=False)

    def _read(self, *, train: bool) -> Part:
        """Read one part; its images are uint8 (n, channels, height, width)."""
        if not self._folder.is_dir():
            raise SetupError(f"{self._folder}: there is no such folder; {self._remedy()}")
        try:
            dataset = getattr(vision.datasets(), self._kind)(self._folder, train=train)
            pixels = torch.as_tensor(dataset.data)
            # torchvision gives grey images without a channel, and colour images with the channels last.
            images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
            part = Part(images, torch.as_tensor(dataset.targets, dtype=torch.int64))
        except Exception as error:  # for damaged files, torchvision raises all kinds of errors
            raise SetupError(f"{self._folder}: cannot be read ({error}); remove it and {self._remedy()}") from error
        return part

    def _remedy(self) -> str:
        return f"download it by: hpo fetch --dataset {self.name}"


def fetch(name: str, kind: str, root: Path) -> None:
    """Download a data set into its folder in `root`. If the download fails, no folder is left.

    An existing folder is not changed. Raises DownloadError if the download fails, and SetupError if the folder
    cannot be read.
    """
    if not (root / name).is_dir():
        download = getattr(vision.datasets(), kind)
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            folder = Path(temporary) / name
            try:
                download(folder, download=True)
            except Exception as error:
                raise DownloadError(f"{name} cannot be downloaded: {reason(error)}; {BY_HAND} {root / name}") from error
            folder.rename(root / name)
    Downloaded(name, kind, (), root)
