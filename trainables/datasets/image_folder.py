"""Your own images: a folder with one subfolder for each class.

There are two layouts. With the first, a share of each class is held out, drawn by the seed and the names of the files:

    flowers/daisy/1.jpg
    flowers/rose/1.jpg

With the second, `test` is the held-out part. Any other folder beside `train` and `test` is left out:

    flowers/train/daisy/1.jpg
    flowers/test/daisy/2.jpg

The images of a class may also lie in folders below that of the class.
"""

from __future__ import annotations

from pathlib import Path

from trainables.data.dataset import DataSet, LeftOut
from trainables.data.file_sets import FileSet, hold_out
from trainables.data.splits import RARE_CLASSES
from trainables.datasets._folders import beside_folders, list_images, list_parts
from trainables.datasets._image_files import list_subfolders
from trainables.errors import SetupError, printable
from trainables.hyperparameters import ABOVE_0_BELOW_1, Scalar, read_choice, read_float, read_int

OPTIONS: dict[str, str | list[str]] = {
    "folder": "the folder: its name in the folder of all data sets, or its path",
    "held_out": "share of the images that is held out, stratified, above 0 and below 1; default 0.2",
    "seed": "seed of the draw, a whole number of at least 0; default 0",
    "rare_classes": ["error", "keep", "leave_out"],
}
PARTS = ("train", "test")
PART_NAMES = (*PARTS, "dev", "eval", "testing", "training", "val", "valid", "validation")
"""What the parts of a data set are often called, in lower case."""
NO_PART = "folders beside train and test"


def build(
    root: Path | None,
    *,
    folder: Scalar = None,
    held_out: Scalar = None,
    seed: Scalar = None,
    rare_classes: Scalar = None,
) -> DataSet:
    """Return the images of a folder. They are not read yet. `OPTIONS` explains the options.

    `rare_classes` is an error by default. It is also what the split into training and validation does.

    Raises SetupError if an option is wrong, if the folder is missing, or if a class has no image in one of the parts.
    """
    path = _folder(root, folder)
    options = {"dataset.held_out": held_out, "dataset.seed": seed, "dataset.rare_classes": rare_classes}
    try:
        rare = read_choice(options, "dataset.rare_classes", RARE_CLASSES[0], RARE_CLASSES)
        fraction = read_float(options, "dataset.held_out", 0.2, ABOVE_0_BELOW_1)
        cut_seed = read_int(options, "dataset.seed", 0, least=0)
    except ValueError as error:
        raise SetupError(str(error)) from None
    parts = [path / part for part in PARTS]
    if all(part.is_dir() for part in parts):
        for option, value in (("held_out", held_out), ("seed", seed)):
            if value is not None:
                raise SetupError(
                    f"`dataset.{option}` must not be given: {path} has the folders train and test, which are its parts"
                )
        return _split_by_folders(path, parts, rare)
    _check_no_parts(path)
    whole = list_images(path).as_training(printable(path.name))
    return hold_out(whole, fraction=fraction, seed=cut_seed, rare_classes=rare)


def _folder(root: Path | None, folder: Scalar) -> Path:
    if not isinstance(folder, str) or not folder:
        given = "is missing" if folder is None else f"is {folder!r}"
        raise SetupError(f"`dataset.folder` {given}: give the name or the path of a folder that holds a folder a class")
    path = Path(folder).expanduser()
    if not path.is_absolute():
        if root is None:
            raise SetupError(
                f"`dataset.folder` must be an absolute path where no folder of data sets is given: {folder!r}"
            )
        path = root / path
    if not path.is_dir():
        raise SetupError(
            f"`dataset.folder`: there is no folder {path}; it must hold a folder a class. A name is looked up in the "
            f"folder of all data sets ({root}); one elsewhere needs its whole path"
        )
    return path


def _check_no_parts(path: Path) -> None:
    """Raise SetupError if the folders are parts with class folders in them, and no classes.

    Otherwise all images of a part would be taken for one class, because the images of a class may lie in sub-folders.
    """
    folders = list_subfolders(path)
    parts = [folder for folder in folders if folder.name.lower() in PART_NAMES]
    if not parts:
        return
    inner = {folder: {each.name for each in list_subfolders(folder)} for folder in folders}
    for part in parts:
        others = set[str]().union(*(each for folder, each in inner.items() if folder != part))
        if inner[part] & others:
            raise SetupError(
                f"{part}: class {part.name!r} has no image of its own, but the folders of other classes: it looks like "
                "a part of the data set; the parts must be named train and test, both of them"
            )


def _split_by_folders(path: Path, parts: list[Path], rare_classes: str) -> FileSet:
    """The data set with the parts train and test. A SetupError if they do not have the same classes."""
    names = [{path.name for path in list_subfolders(part)} for part in parts]
    for part, own, other in zip(parts, names, reversed(names), strict=True):
        if lacking := sorted(other - own):
            raise SetupError(f"{part}: class {lacking[0]!r} is missing, which the other part has")
    training, held_out = list_parts(parts, within=path)
    left_out = [LeftOut(other, NO_PART) for other in list_subfolders(path) if other not in parts]
    left_out += (*beside_folders(path), *training.left_out, *held_out.left_out)
    name = printable(path.name)
    return FileSet(
        name, training.classes, training.files, held_out.files, rare_classes=rare_classes, left_out=tuple(left_out)
    )
