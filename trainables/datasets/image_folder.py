"""Images of your own: a folder with a sub-folder a class.

flowers/daisy/1.jpg             a share of each class is held out, by seed
flowers/rose/1.jpg

flowers/train/daisy/1.jpg       or: train/ and test/ are the two parts; any other
flowers/test/daisy/2.jpg        folder beside them is left out
"""

from __future__ import annotations

import math
from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.datasets._folders import FileSet, cut_off, listed, subfolders
from trainables.errors import SetupError
from trainables.hyperparameters import ABOVE_0_BELOW_1, Scalar, real, whole

OPTIONS = {
    "folder": "the folder: its name in the folder of all data sets, or its path",
    "held_out": "share of the images that is held out, stratified, above 0 and below 1; default 0.2",
    "seed": "of the cut, a whole number of at least 0; default 0",
}
PARTS = ("train", "test")


def build(root: Path | None, *, folder: Scalar = None, held_out: Scalar = None, seed: Scalar = None) -> DataSet:
    """The images of a folder, not yet read.

    A SetupError names a wrong option, a class without an image in one of the parts, or what is missing on disk.
    """
    path = _folder(root, folder)
    parts = [path / part for part in PARTS]
    if all(part.is_dir() for part in parts):
        for option, value in (("held_out", held_out), ("seed", seed)):
            if value is not None:
                raise SetupError(
                    f"`dataset.{option}` must not be given: {path} has the folders train and test, which are its parts"
                )
        return _given(path.name, parts)
    options = {"dataset.held_out": held_out, "dataset.seed": seed}
    try:
        fraction = real(options, "dataset.held_out", 0.2, ABOVE_0_BELOW_1)
        cut_seed = whole(options, "dataset.seed", 0, least=0)
    except ValueError as error:
        raise SetupError(str(error)) from None
    classes, files = listed(path)
    return cut_off(path.name, classes, files, n=math.ceil(fraction * len(files)), seed=cut_seed)


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


def _given(name: str, parts: list[Path]) -> FileSet:
    """The parts as they lie there; both must have the same classes."""
    names = [{path.name for path in subfolders(part)} for part in parts]
    for part, own, other in zip(parts, names, reversed(names), strict=True):
        if lacking := sorted(other - own):
            raise SetupError(f"{part}: class {lacking[0]!r} is missing, which the other part has")
    (classes, files), (_, files_held_out) = (listed(part) for part in parts)
    return FileSet(name, classes, files, files_held_out)
