"""Your own images: a folder with one subfolder for each class, or with a folder for each part.

With class folders, a share of each class is held out, drawn by the seed and the names of the files:

    flowers/daisy/1.jpg
    flowers/rose/1.jpg

With parts, there is a folder `train`, and `val` or `test` or both. `val` is the validation part, `test` the held-out
part. Without `test`, a share of each class is held out, both of `train` and of `val`:

    flowers/train/daisy/1.jpg
    flowers/val/daisy/2.jpg
    flowers/test/daisy/3.jpg

The parts may have other usual names, in any case: see `PART_NAMES` in `trainables/data/file_sets/image_table.py`. Other
folders beside them are left out. The images of a class may also lie in folders below that of the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from trainables.data.dataset import DataSet, LeftOut
from trainables.data.file_sets import PARTS, ImageTable, SplitOptions, from_files, part_of
from trainables.datasets._folders import ClassFolders, beside_folders, list_images, list_parts
from trainables.datasets._image_files import list_subfolders
from trainables.datasets._path_options import read_path
from trainables.errors import SetupError, printable
from trainables.hyperparameters import Scalar

OPTIONS: dict[str, str | list[str]] = {
    "folder": "the path of the folder; a relative one is looked up beside the space, in the working directory and in "
    "the folder of all data sets",
    "held_out": "share of the images that is held out, stratified, above 0 and below 1, or none; default 0.2",
    "seed": "seed of the draw, a whole number of at least 0; default 0",
    "rare_classes": ["error", "keep", "leave_out"],
    "group": "images of one group stay in one part: folder, or a regular expression on file names",
}
RANGES = {"held_out": "0 < float < 1 or none", "seed": "int >= 0"}
PATHS = ("folder",)
NO_PART = "folders beside the parts"


def build(
    root: Path | None,
    *,
    folder: Scalar = None,
    held_out: Scalar = None,
    seed: Scalar = None,
    rare_classes: Scalar = None,
    group: Scalar = None,
) -> DataSet:
    """Return the images of a folder. They are not read yet. `OPTIONS` explains the options.

    `rare_classes` is an error by default. It is also what the split into training and validation does.

    Raises SetupError if an option is wrong, if the folder is missing, if two folders are the same part, or if a class
    has no image in one of the parts.
    """
    path = _folder(root, folder)
    options = SplitOptions(held_out_fraction=held_out, seed=seed, rare_classes=rare_classes, group=group)
    parts = _part_folders(path)
    if parts:
        return _from_parts(path, parts, options)
    _check_no_parts(path)
    found = list_images(path)
    table = ImageTable(found.files.paths, _labels(found), folder=path)
    name = printable(path.name)
    dataset = from_files(name, table, classes=found.classes, options=options)
    folders = dict.fromkeys(("train", "validation", "test"), name)
    return replace(dataset, left_out=found.left_out, part_folders=folders)


def _part_folders(path: Path) -> dict[str, Path]:
    """The folder of each part. Empty if there are no parts: those are `train` and at least one other.

    Raises SetupError if two folders are the same part.
    """
    found: dict[str, list[Path]] = {}
    for folder in list_subfolders(path):
        if (part := part_of(folder.name)) is not None:
            found.setdefault(part, []).append(folder)
    if "train" not in found or len(found) == 1:
        return {}
    for part, folders in found.items():
        if len(folders) > 1:
            first, second = (folder.name for folder in folders[:2])
            raise SetupError(
                f"{path}: the folders {first} and {second} both stand for the {part} part; keep one of them"
            )
    return {part: found[part][0] for part in PARTS if part in found}


def _from_parts(path: Path, parts: Mapping[str, Path], options: SplitOptions) -> DataSet:
    """The data set with a folder for each part. Raises SetupError if they do not have the same classes."""
    names = {part: {each.name for each in list_subfolders(folder)} for part, folder in parts.items()}
    for part, folder in parts.items():
        if lacking := sorted(set[str]().union(*names.values()) - names[part]):
            raise SetupError(f"{folder}: class {lacking[0]!r} is missing, which another part has")
    found = dict(zip(parts, list_parts(list(parts.values()), within=path), strict=True))
    left_out = [LeftOut(other, NO_PART) for other in list_subfolders(path) if other not in parts.values()]
    left_out += [*beside_folders(path), *(each for part in found.values() for each in part.left_out)]
    table = ImageTable(
        [image for part in found.values() for image in part.files.paths],
        [label for part in found.values() for label in _labels(part)],
        splits=[name for name, part in found.items() for _ in part.files.paths],
        folder=path,
    )
    dataset = from_files(printable(path.name), table, classes=found["train"].classes, options=options)
    shown = {part: f"{printable(path.name)}/{printable(folder.name)}" for part, folder in parts.items()}
    searched = [shown[part] for part in ("train", "validation") if part in shown]
    shown = {"validation": shown["train"], "test": " and ".join(searched), **shown}
    return replace(dataset, left_out=tuple(left_out), part_folders=shown)


def _labels(found: ClassFolders) -> list[str]:
    """The name of the class of each file."""
    return [found.classes[label] for label in found.files.labels.tolist()]


def _folder(root: Path | None, folder: Scalar) -> Path:
    path = read_path(root, "folder", folder, "the path of a folder that holds a folder a class")
    if not path.is_dir():
        raise SetupError(f"`dataset.folder`: there is no folder {path}; it must hold a folder a class")
    return path


def _check_no_parts(path: Path) -> None:
    """Raise SetupError if the folders are parts with class folders in them, and no classes.

    Otherwise all images of a part would be taken for one class, because the images of a class may lie in sub-folders.
    """
    folders = list_subfolders(path)
    parts = [folder for folder in folders if part_of(folder.name) is not None]
    if not parts:
        return
    inner = {folder: {each.name for each in list_subfolders(folder)} for folder in folders}
    for part in parts:
        others = set[str]().union(*(each for folder, each in inner.items() if folder != part))
        if inner[part] & others:
            raise SetupError(
                f"{part}: class {part.name!r} has no image of its own, but the folders of other classes: it looks like "
                "a part of the data set; the parts must be train and at least one of val and test"
            )
