"""Data sets of image files with one folder for each class: listing the files, and splitting them into two parts.

The name of a folder is the name of its class. Classes and files are sorted by name, because the order in which an
operating system lists them varies. Names that begin with a dot, and files without an image suffix, are ignored.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.data import splits
from trainables.data.dataset import Files
from trainables.errors import SetupError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""The suffixes of image files. Upper case is accepted as well."""


@dataclass(frozen=True)
class FileSet:
    """A data set of image files that is already split into its two parts."""

    name: str
    classes: tuple[str, ...]
    files: Files
    """The training part, for searches."""
    files_held_out: Files

    def training(self) -> Files:
        return self.files

    def held_out(self) -> Files:
        return self.files_held_out


def dataset_folder(root: Path | None, name: str, content: str) -> Path:
    """Return the folder `name` in `root`. If it is missing, a SetupError says so, and that it must hold `content`."""
    if root is None:
        raise SetupError(f"`dataset`: {name} needs the folder that data sets are kept in, and none is given")
    if not (root / name).is_dir():
        raise SetupError(f"{root / name}: there is no such folder; it must hold {content}")
    return root / name


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name. Hidden ones are left out."""
    return sorted((path for path in folder.iterdir() if path.is_dir() and _is_shown(path)), key=_name)


def list_images(
    folder: Path, *, without: Collection[str] = (), within: Path | None = None
) -> tuple[tuple[str, ...], Files]:
    """Return the classes in a folder and their image files. Folders named in `without` are left out.

    `within` is the folder of the data set if `folder` is only a part of it.

    Raises SetupError if there are fewer than two classes, or if a class has no image.
    """
    classes = [path for path in subfolders(folder) if path.name not in without]
    if not classes:
        raise SetupError(f"{folder}: holds no folder; each class needs one of its own, with its images in it")
    if len(classes) == 1:
        raise SetupError(f"{folder}: holds one folder, {classes[0].name}: a class each is needed, and two at least")
    paths: list[Path] = []
    labels: list[int] = []
    for label, path in enumerate(classes):
        images = sorted((file for file in path.iterdir() if _is_image(file)), key=_name)
        if not images:
            raise SetupError(
                f"{path}: class {path.name!r} has no image; put image files ({', '.join(SUFFIXES)}) straight "
                "into this folder, or remove it"
            )
        paths += images
        labels += [label] * len(images)
    return tuple(path.name for path in classes), Files(tuple(paths), torch.tensor(labels), folder=within or folder)


def hold_out(name: str, classes: tuple[str, ...], files: Files, *, fraction: float, seed: int) -> FileSet:
    """Return a data set with a fraction of each class held out. The draw follows from `seed` and the files' names.

    Raises SetupError if a class has too few files; the message names it.
    """
    try:
        kept, held_out = splits.split(files, classes=classes, fraction=fraction, seed=seed)
    except ValueError as error:
        raise SetupError(f"data set {name!r} cannot be cut into a training and a held-out part: {error}") from None
    assert isinstance(kept, Files), "a split of files"
    assert isinstance(held_out, Files), "a split of files"
    return FileSet(name, classes, kept, held_out)


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return _is_shown(path) and path.suffix.lower() in SUFFIXES and path.is_file()


def _name(path: Path) -> str:
    return path.name
