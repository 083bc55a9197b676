"""Small images that torchvision downloads and reads: one class for all such data sets.

mnist/MNIST/raw/train-images-idx3-ubyte         a folder a data set, inside it as torchvision lays it out
"""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path

import torch

from trainables import vision
from trainables.data.dataset import Part
from trainables.errors import SetupError, reason

BY_HAND = "fetch it where there is a connection, and copy it to"


class Downloaded:
    """A data set of torchvision; its official test part is held out, and read when it is asked for."""

    def __init__(self, name: str, kind: str, classes: tuple[str, ...], root: Path | None) -> None:
        """`kind` is its class in torchvision.datasets. A SetupError says what is missing or damaged in `root`."""
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
        """One part: uint8 (n, channels, height, width)."""
        if not self._folder.is_dir():
            raise SetupError(f"{self._folder}: there is no such folder; {self._remedy()}")
        try:
            read = getattr(vision.datasets(), self._kind)(self._folder, train=train)
            pixels = torch.as_tensor(read.data)
            # Grey images come without a channel, colour with the channels last.
            images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
            part = Part(images, torch.as_tensor(read.targets, dtype=torch.int64))
        except Exception as fault:
            # torchvision reads what it finds: damaged files make it fail in any way.
            raise SetupError(f"{self._folder}: cannot be read ({fault}); remove it and {self._remedy()}") from fault
        return part

    def _remedy(self) -> str:
        return f"download it by: hpo fetch --dataset {self.name}"


def fetch(name: str, kind: str, root: Path) -> None:
    """Download a data set into its folder in `root`, whole or not at all; a SetupError says why it cannot be.

    A folder that is there already stays as it is; a SetupError says if it cannot be read.
    """
    if not (root / name).is_dir():
        download = getattr(vision.datasets(), kind)
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as temporary:
            folder = Path(temporary) / name
            try:
                download(folder, download=True)
            except Exception as fault:
                raise SetupError(f"{name} cannot be downloaded: {reason(fault)}; {BY_HAND} {root / name}") from fault
            folder.rename(root / name)
    Downloaded(name, kind, (), root)
