"""Folders with one folder for each class: listing the classes and their image files.

The name of a folder is the name of its class. All images below it belong to the class. Classes and files are sorted by
name, because the order in which an operating system lists them varies. What is left out is counted, see
`trainables/datasets/_image_files.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from trainables.data.dataset import Files, LeftOut
from trainables.data.file_sets import FileSet
from trainables.datasets._image_files import BROKEN_LINK, Found, classify, find_images, list_folder, list_subfolders
from trainables.errors import SetupError, printable

NO_CLASS = "images in no class folder"


class ClassFolders(NamedTuple):
    """The classes in a folder, their image files, and what is left out."""

    classes: tuple[str, ...]
    files: Files
    left_out: tuple[LeftOut, ...]

    def as_training(self, name: str) -> FileSet:
        """Return a data set called `name` with all files in its training part."""
        return FileSet(name, self.classes, self.files, left_out=self.left_out)


def dataset_folder(root: Path | None, name: str, content: str) -> Path:
    """Return the folder `name` in `root`. If it is missing, a SetupError says so, and that it must hold `content`."""
    if root is None:
        raise SetupError(f"`dataset`: {name} needs the folder that data sets are kept in, and none is given")
    if not (root / name).is_dir():
        raise SetupError(f"{root / name}: there is no such folder; it must hold {content}")
    return root / name


def list_images(folder: Path, *, without: Collection[str] = (), within: Path | None = None) -> ClassFolders:
    """Return the classes in a folder and their image files. Folders named in `without` are left out.

    `within` is the folder of the data set if `folder` is only a part of it.

    Raises SetupError if there are fewer than two classes, if a class has no image, or if it is a link to another class.
    """
    return list_parts([folder], without=without, within=within)[0]


def list_parts(
    folders: Sequence[Path], *, without: Collection[str] = (), within: Path | None = None
) -> list[ClassFolders]:
    """Return what `list_images` returns, for several parts of a data set. No folder is listed in two of them."""
    classes = [_class_folders(folder, without) for folder in folders]
    found = iter(find_images([path for each in classes for path in each]))
    return [
        _labelled(folder, within or folder, {path: next(found) for path in paths})
        for folder, paths in zip(folders, classes, strict=True)
    ]


def _class_folders(folder: Path, without: Collection[str]) -> list[Path]:
    """The folders of the classes in a folder. Raises SetupError if there are fewer than two."""
    classes = [path for path in list_subfolders(folder) if path.name not in without]
    if not classes:
        raise SetupError(f"{folder}: holds no folder; each class needs one of its own, with its images in it")
    if len(classes) == 1:
        raise SetupError(f"{folder}: holds one folder, {classes[0].name}: at least two class folders are needed")
    return classes


def _labelled(folder: Path, within: Path, classes: Mapping[Path, Found]) -> ClassFolders:
    """The images of each class with their labels. Raises SetupError if a class has none."""
    paths: list[Path] = []
    labels: list[int] = []
    left_out = beside_folders(folder)
    for label, (path, found) in enumerate(classes.items()):
        if not found.images:
            first = next(iter(found.left_out), None)
            hint = f"; left out: {len(found.left_out)}, the first is {first.path.name} ({first.kind})" if first else ""
            raise SetupError(
                f"{path}: class {path.name!r} has no image; put image files, such as .jpg or .png, into this folder, "
                f"or remove it{hint}"
            )
        paths += found.images
        labels += [label] * len(found.images)
        left_out += found.left_out
    names = tuple(printable(path.name) for path in classes)
    files = Files(tuple(paths), torch.tensor(labels), folder=within)
    return ClassFolders(names, files, tuple(left_out))


def beside_folders(folder: Path) -> list[LeftOut]:
    """Return the files beside the folders in a folder. They are left out, images as well."""
    left_out = []
    for path in list_folder(folder):
        kind = classify(path)
        if isinstance(kind, LeftOut):
            left_out.append(replace(kind, may_matter=kind.kind == BROKEN_LINK))  # others are no class and no image
        elif kind == "image":
            left_out.append(LeftOut(path, NO_CLASS))
    return left_out
