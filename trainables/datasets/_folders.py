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
    rare_classes: str = "error"
    """What to do with a class that has too few images to be split: one of `splits.RARE_CLASSES`."""
    notes: tuple[str, ...] = ()
    """What was done with rare classes, in words for the user."""

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


def hold_out(
    name: str, classes: tuple[str, ...], files: Files, *, fraction: float, seed: int, rare_classes: str = "error"
) -> FileSet:
    """Return a data set with a fraction of each class held out. The draw follows from `seed` and the files' names.

    `rare_classes` says what to do with a class of too few files: see `splits.RARE_CLASSES`. Raises SetupError if such a
    class is an error, if it has not even two files to be kept, or if fewer than two classes are left; the message names
    the class.
    """
    needed = splits.n_needed(fraction)
    rare = splits.rare(files, classes, needed)
    if rare and rare_classes == "leave_out":
        classes, files = _without_classes(name, classes, files, rare)
    notes = (splits.rare_words(rare, rare_classes, needed),) if rare and rare_classes != "error" else ()
    try:
        keep = rare_classes == "keep"
        kept, held_out = splits.split(files, classes=classes, fraction=fraction, seed=seed, keep_rare=keep)
    except ValueError as error:
        raise SetupError(f"data set {name!r} cannot be cut into a training and a held-out part: {error}") from None
    assert isinstance(kept, Files), "a split of files"
    assert isinstance(held_out, Files), "a split of files"
    return FileSet(name, classes, kept, held_out, rare_classes, notes)


def _without_classes(
    name: str, classes: tuple[str, ...], files: Files, left_out: Collection[str]
) -> tuple[tuple[str, ...], Files]:
    """The classes and files without the classes in `left_out`. Raises SetupError if fewer than two classes are left."""
    kept = tuple(each for each in classes if each not in left_out)
    if len(kept) < 2:
        raise SetupError(f"data set {name!r}: without its rare classes, {len(kept)} of {len(classes)} classes are left")
    new_label = torch.tensor([kept.index(each) if each in kept else -1 for each in classes])
    chosen = (new_label[files.labels] >= 0).nonzero().squeeze(1).tolist()
    return kept, files.take(chosen).relabelled(new_label[files.labels[chosen]])


def _is_shown(path: Path) -> bool:
    return not path.name.startswith(".")


def _is_image(path: Path) -> bool:
    return _is_shown(path) and path.suffix.lower() in SUFFIXES and path.is_file()


def _name(path: Path) -> str:
    return path.name
