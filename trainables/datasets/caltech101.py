"""Caltech-101: 8,677 colour photographs and drawings of 101 kinds of objects.

L. Fei-Fei, R. Fergus, P. Perona: "Learning Generative Visual Models from Few Training Examples: An
Incremental Bayesian Approach Tested on 101 Object Categories" (2004). Classes of 31 to 800 images, most of them
about 300 x 200 pixels, 411 of them grey. The background, which is no class, is always left out.

    caltech101/101_ObjectCategories/accordion/image_0001.jpg
    caltech101/train.txt, test.txt      accordion/image_0002.jpg, a line an image

Where the two lists are there, they are the training and the held-out part. The download has none: then a third of
the images is held out (2,893 of 8,677), stratified, by a seed that is fixed for good.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from pathlib import Path, PurePosixPath

import torch

from trainables import vision
from trainables.data.dataset import DataSet, Files
from trainables.datasets._folders import FileSet, cut_off, inside, listed
from trainables.datasets._torchvision import BY_HAND
from trainables.errors import SetupError, reason

IMAGES = "101_ObjectCategories"
LISTS = ("train.txt", "test.txt")
BACKGROUND = "BACKGROUND_Google"
HELD_OUT_SEED = 0
"""Fixed for good: another cut would make earlier test results incomparable."""

NAME = "caltech101"
FETCH = f"download it by: hpo fetch --dataset {NAME}"


def build(root: Path | None) -> DataSet:
    """The images in the folder caltech101 of `root`, not yet read; a SetupError says what is missing there."""
    folder = inside(root, NAME, f"{IMAGES} with a folder a class; {FETCH}")
    if not (folder / IMAGES).is_dir():
        raise SetupError(f"{folder}: must hold {IMAGES} with a folder a class; {FETCH}")
    missing = [name for name in LISTS if not (folder / name).is_file()]
    if not missing:
        return _given(folder)
    if len(missing) == 1:
        raise SetupError(f"{folder}: {missing[0]} is missing; the lists {' and '.join(LISTS)} go together")
    classes, files = listed(folder / IMAGES, without=(BACKGROUND,))
    return cut_off(NAME, classes, files, n=math.ceil(len(files) / 3), seed=HELD_OUT_SEED)


def fetch(root: Path) -> None:
    """Download the images into `root`, whole or not at all; what is there already stays. A SetupError if it fails."""
    target = root / NAME / IMAGES
    if target.is_dir():
        return
    download = vision.datasets().Caltech101
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as temporary:
            try:
                download(temporary, download=True)
            except Exception as fault:
                words = f"{NAME} cannot be downloaded: {reason(fault)}"
                raise SetupError(f"{words}; {BY_HAND} {target.parent}") from fault
            (Path(temporary) / NAME / IMAGES).rename(target)
    finally:
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # only where nothing is in it


def _given(folder: Path) -> FileSet:
    """The parts that the lists name."""
    training, held_out = (_lines(folder, name) for name in LISTS)
    if common := sorted(set(training) & set(held_out)):
        raise SetupError(f"{folder}: {common[0]} stands in both {' and '.join(LISTS)}; remove it from one of them")
    classes = tuple(sorted({path.parts[0] for path in (*training, *held_out)}))
    parts = []
    for name, paths in zip(LISTS, (training, held_out), strict=True):
        if lacking := sorted(set(classes) - {path.parts[0] for path in paths}):
            raise SetupError(f"{folder / name}: names no image of class {lacking[0]!r}, which the other list has")
        labels = torch.tensor([classes.index(path.parts[0]) for path in paths])
        parts.append(Files(tuple(folder / IMAGES / path for path in paths), labels))
    return FileSet(NAME, classes, *parts)


def _lines(folder: Path, name: str) -> list[PurePosixPath]:
    """What a list names, but for the background; a SetupError names a line whose file is not there."""
    paths = []
    for number, line in enumerate((folder / name).read_text().splitlines(), start=1):
        path = PurePosixPath(line.strip())
        if not path.parts or path.parts[0] == BACKGROUND:
            continue
        if len(path.parts) != 2 or path.parts[0].startswith((".", "/")) or not (folder / IMAGES / path).is_file():
            expected = f"must name a file of {folder / IMAGES}, such as accordion/image_0001.jpg"
            raise SetupError(f"{folder / name}:{number}: {expected}, but is {line.strip()!r}")
        paths.append(path)
    if not paths:
        raise SetupError(f"{folder / name}: names no image")
    return paths
