"""Caltech-101: 8,677 colour photographs and drawings of 101 kinds of objects.

L. Fei-Fei, R. Fergus, P. Perona: "Learning Generative Visual Models from Few Training Examples: An Incremental Bayesian
Approach Tested on 101 Object Categories" (2004). The classes have 31 to 800 images. Most images have about 300 x 200
pixels, and 411 are grey. The folder of background images is not a class; it is left out.

    caltech101/101_ObjectCategories/accordion/image_0001.jpg
    caltech101/train.txt, test.txt      optional; one image in each line: accordion/image_0002.jpg

If the two lists exist, they name the images of the training and of the held-out part. The download has no lists. Then a
third of each class is held out (2,891 of 8,677 images), by the names of the files and a seed that never changes.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path, PurePosixPath

import torch

from trainables import vision
from trainables.data.dataset import DataSet, Files
from trainables.data.file_sets import FileSet, hold_out
from trainables.datasets._folders import dataset_folder, list_images
from trainables.datasets._torchvision import BY_HAND
from trainables.errors import DownloadError, SetupError, printable, reason

IMAGES = "101_ObjectCategories"
LISTS = ("train.txt", "test.txt")
BACKGROUND = "BACKGROUND_Google"
HELD_OUT_SEED = 0
"""Never change it: with another split, earlier test results could not be compared with new ones."""

NAME = "caltech101"
FETCH = f"download it by: hpo fetch --dataset {NAME}"


def build(root: Path | None) -> DataSet:
    """Return the images in the folder caltech101 of `root`. They are not read yet.

    Raises SetupError if something is missing in the folder, or if the lists are wrong.
    """
    folder = dataset_folder(root, NAME, f"{IMAGES} with a folder a class; {FETCH}")
    if not (folder / IMAGES).is_dir():
        raise SetupError(f"{folder}: must hold {IMAGES} with a folder a class; {FETCH}")
    missing = [name for name in LISTS if not (folder / name).is_file()]
    if not missing:
        return _split_by_lists(folder)
    if len(missing) == 1:
        raise SetupError(f"{folder}: {missing[0]} is missing; the lists {' and '.join(LISTS)} go together")
    whole = list_images(folder / IMAGES, without=(BACKGROUND,)).as_training(NAME)
    return hold_out(whole, fraction=1 / 3, seed=HELD_OUT_SEED)


def fetch(root: Path) -> None:
    """Download the images into `root`. Existing images are not changed, and a failed download leaves nothing.

    Raises DownloadError if the download fails.
    """
    target = root / NAME / IMAGES
    if target.is_dir():
        return
    download = vision.datasets().Caltech101
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as temporary:
            try:
                download(temporary, download=True)
            except Exception as error:
                message = f"{NAME} cannot be downloaded: {reason(error)}"
                raise DownloadError(f"{message}; {BY_HAND} {target.parent}") from error
            (Path(temporary) / NAME / IMAGES).rename(target)
    finally:
        with contextlib.suppress(OSError):
            target.parent.rmdir()  # removes only an empty folder


def _split_by_lists(folder: Path) -> FileSet:
    """The data set with the parts that the two lists name."""
    training, held_out = (_listed_paths(folder, name) for name in LISTS)
    if common := sorted(set(training) & set(held_out)):
        raise SetupError(f"{folder}: {common[0]} stands in both {' and '.join(LISTS)}; remove it from one of them")
    classes = tuple(sorted({path.parts[0] for path in (*training, *held_out)}))
    parts = []
    for name, paths in zip(LISTS, (training, held_out), strict=True):
        if lacking := sorted(set(classes) - {path.parts[0] for path in paths}):
            raise SetupError(f"{folder / name}: names no image of class {lacking[0]!r}, which the other list has")
        labels = torch.tensor([classes.index(path.parts[0]) for path in paths])
        parts.append(Files(tuple(folder / IMAGES / path for path in paths), labels, folder=folder / IMAGES))
    training_files, held_out_files = parts
    return FileSet(NAME, tuple(map(printable, classes)), training_files, held_out_files)


def _listed_paths(folder: Path, name: str) -> list[PurePosixPath]:
    """The paths in a list, without background images. A SetupError gives the line whose file does not exist."""
    paths = []
    for number, line in enumerate((folder / name).read_text("utf-8", errors="surrogateescape").splitlines(), start=1):
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
