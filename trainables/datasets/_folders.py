"""Data sets of image files, a folder a class: listed, cut, kept as two parts.

A class has the name of its folder; classes and files stand in the order of their names, whatever order
the operating system lists them in. What begins with a dot, and what is no image by its suffix, is ignored.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.data.dataset import Files
from trainables.data.splits import cut
from trainables.errors import SetupError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""In lower case; a file may have them in upper case as well."""


@dataclass(frozen=True)
class FileSet:
    """A data set of image files whose two parts are known."""

    name: str
    classes: tuple[str, ...]
    files: Files
    """Those to search with."""
    files_held_out: Files

    def training(self) -> Files:
        return self.files

    def held_out(self) -> Files:
        return self.files_held_out


def inside(root: Path | None, name: str, content: str) -> Path:
    """The folder `name` of the folder of all data sets; a SetupError says that it is missing, and its `content`."""
    if root is None:
        raise SetupError(f"`dataset`: {name} needs the folder that data sets are kept in, and none is given")
    if not (root / name).is_dir():
        raise SetupError(f"{root / name}: there is no such folder; it must hold {content}")
    return root / name


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name."""
    return sorted((path for path in folder.iterdir() if path.is_dir() and _is_shown(path)), key=_name)


def listed(folder: Path, *, without: Collection[str] = ()) -> tuple[tuple[str, ...], Files]:
    """The classes in a folder, but for those `without`, and their files.

    A SetupError where there are not two classes, or where one holds no image.
    """
    classes = [path for path in subfolders(folder) if path.name not in without]
    if not classes:
        raise SetupError(f"{folder}: holds no folder; each class needs one of its own, with its images in it")
    if len(classes) == 1:
        raise SetupError(f"{folder}: holds one folder, {classes[0].name}: a class each is needed, and two at least")
    paths: list[Path] = []
    labels: list[int] = []
    for label, path in enumerate(classes):
        found = sorted((file for file in path.iterdir() if _is_image(file)), key=_name)
        if not found:
            raise SetupError(
                f"{path}: class {path.name!r} has no image; put image files ({', '.join(SUFFIXES)}) straight "
                "into this folder, or remove it"
            )
        paths += found
        labels += [label] * len(found)
    return tuple(path.name for path in classes), Files(tuple(paths), torch.tensor(labels))


def cut_off(name: str, classes: tuple[str, ...], files: Files, *, n: int, seed: int) -> FileSet:
    """A data set with `n` of the files held out, stratified, by seed; a SetupError names a class that is too small."""
    try:
        kept, held_out = cut(files.labels, n_cut=n, seed=seed, classes=classes)
    except ValueError as error:
        raise SetupError(f"data set {name!r} cannot be cut into a training and a held-out part: {error}") from None
    return FileSet(name, classes, files.take(kept), files.take(held_out))


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return _is_shown(path) and path.suffix.lower() in SUFFIXES and path.is_file()


def _name(path: Path) -> str:
    return path.name
