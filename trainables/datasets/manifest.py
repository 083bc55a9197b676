"""Your own images: a table that names each file with its label, as a CSV, TSV or Parquet file.

    path,label,split,group
    images/1.jpg,daisy,train,field 3
    images/2.jpg,rose,test,field 7

The paths are relative to the folder of the table. The columns `split` (train, validation, test) and `group` are
optional. Images of one group, such as those of one patient, stay in one part. Without a split, the parts are cut by a
seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainables.data.dataset import DataSet
from trainables.data.file_sets import ImageTable, SplitOptions, from_files, in_order, part_of
from trainables.data.file_sets.tables import Table, read
from trainables.datasets._path_options import read_path
from trainables.errors import SetupError, printable
from trainables.hyperparameters import Scalar

OPTIONS: dict[str, str | list[str]] = {
    "file": "the path of the table: .csv, .tsv, .txt or .parquet; a relative one is looked up beside the space, in the "
    "working directory and in the folder of all data sets",
    "path": "the column of the paths, relative to the folder of the table; default `path`",
    "label": "the column of the labels; default `label`",
    "split": "the column that says train, validation or test; default `split` if there is one; `none` to cut the parts",
    "group": "the column of the groups, which stay in one part; or `folder`, or a regular expression on file names; "
    "default `group` if there is such a column; `none` for no groups",
    "held_out": "share that is held out without a test split, above 0 and below 1, or `none`; default 0.2",
    "seed": "seed of the draw, a whole number of at least 0; default 0",
    "rare_classes": ["error", "keep", "leave_out"],
}
RANGES = {"held_out": "0 < float < 1 or none", "seed": "int >= 0"}
PATHS = ("file",)
NONE = "none"
OTHER_NAMES = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "img_path"),
    "label": ("class", "category", "target", "class_name", "label_name"),
    "split": (),
    "group": (),
}
"""What the columns are also called. Such a column is taken if there is only one of them."""
NEEDED = ("path", "label")
FOLDER = "folder"
EXPRESSION = frozenset("()[]{}\\^$*+?|")
"""Characters that make a group a regular expression, if it is no column."""
N_NAMED = 5
"""The largest number of wrong lines that an error names."""


def build(
    root: Path | None,
    *,
    file: Scalar = None,
    path: Scalar = None,
    label: Scalar = None,
    split: Scalar = None,
    group: Scalar = None,
    held_out: Scalar = None,
    seed: Scalar = None,
    rare_classes: Scalar = None,
) -> DataSet:
    """Return the images of a table. They are not read yet. `OPTIONS` explains the options.

    Raises SetupError if an option is wrong, if the table is missing or cannot be read, or if lines of it are wrong; the
    message names the first of them.
    """
    options = SplitOptions(held_out_fraction=held_out, seed=seed, rare_classes=rare_classes)
    given = {"path": path, "label": label, "split": split, "group": group}
    table = read(_find(root, file), lambda names: all(_named(key, given[key], names) for key in NEEDED))
    if isinstance(group, str) and group not in table.columns and (group == FOLDER or set(group) & EXPRESSION):
        given["group"], options = NONE, replace(options, group=group)
    names = {key: _column(key, given[key], table) for key in given}
    images = _images(table, names)
    _check(table, images)
    dataset = from_files(printable(table.file.stem), images, classes=in_order(set(images.labels)), options=options)
    guessed = [f"{key}s from the column {name!r}" for key, name in names.items() if name not in (key, given[key], None)]
    return replace(dataset, notes=(*dataset.notes, f"{table.file.name}: {', '.join(guessed)}")) if guessed else dataset


def _find(root: Path | None, file: Scalar) -> Path:
    """The path of the table. Raises SetupError if there is no such file."""
    path = read_path(root, "file", file, "the path of a CSV, TSV or Parquet file")
    if path.is_dir():
        raise SetupError(f"`dataset.file`: {path} is a folder; for class folders, use the data set image_folder")
    if not path.is_file():
        raise SetupError(f"`dataset.file`: there is no file {path}")
    return path


def _named(key: str, given: Scalar, names: Sequence[str]) -> list[str]:
    """The columns that may be meant by an option: the given one, the one of its name, or those of its other names."""
    if given is not None:
        return [name for name in names if name == given]
    exact = [name for name in names if name.lower() == key]
    return exact or [name for name in names if name.lower() in OTHER_NAMES[key]]


def _column(key: str, given: Scalar, table: Table) -> str | None:
    """The name of the column for an option. None if there is none. Raises SetupError if it is missing or unclear."""
    names = list(table.columns)
    if key not in NEEDED and given == NONE and NONE not in names:
        return None
    found = _named(key, given, names)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise SetupError(f"{table.file}: `dataset.{key}` must say which of the columns {', '.join(found)} is meant")
    if given is None and key not in NEEDED:
        return None
    first = next(iter(table.columns))
    if given is None and (table.file.parent / first).is_file():
        raise SetupError(
            f"{table.file}: its first line names an image; put a line with the names of the columns above, such as "
            "path,label"
        )
    missing = f"has no column {given or key!r}"
    raise SetupError(f"{table.file}: {missing}; set `dataset.{key}` to one of its columns: {', '.join(names)}")


def _images(table: Table, names: Mapping[str, str | None]) -> ImageTable:
    """The files of a table with their labels, splits and groups."""
    columns = {key: None if name is None else table.columns[name] for key, name in names.items()}
    paths, labels = columns["path"], columns["label"]
    assert paths is not None, "a table without paths is an error"
    assert labels is not None, "a table without labels is an error"
    folder = table.file.parent
    found = [_with_slashes(path, folder) for path in paths]
    # Files elsewhere are known by their paths below the folder that they share.
    is_elsewhere = all(os.path.isabs(path) for path in found)
    return ImageTable(
        found, labels, splits=columns["split"], groups=columns["group"], folder=None if is_elsewhere else folder
    )


def _with_slashes(path: str, folder: Path) -> str:
    r"""A path as this system writes it: a table from Windows may have a\1.jpg instead of a/1.jpg."""
    if "\\" not in path or (folder / path).is_file():
        return path
    changed = path.replace("\\", "/")
    return changed if (folder / changed).is_file() else path


def _check(table: Table, images: ImageTable) -> None:
    """Raise SetupError if lines of the table are wrong. It names the first of them."""
    checks: list[Callable[[Table, ImageTable], Iterator[tuple[int, str]]]] = [_wrong_values, _repeated, _in_two_splits]
    for check in checks:
        if wrong := list(check(table, images)):
            lines = [f"{table.place(row)}: {text}" for row, text in wrong[:N_NAMED]]
            more = [f"and {len(wrong) - N_NAMED} more such {table.unit}s"] if len(wrong) > N_NAMED else []
            raise SetupError("\n".join([*lines, *more]))


def _wrong_values(table: Table, images: ImageTable) -> Iterator[tuple[int, str]]:
    """The rows with a wrong path, label, split or group, each with what is wrong."""
    folder = os.fspath(images.folder or "")
    for row, (path, label) in enumerate(zip(images.paths, images.labels, strict=True)):
        split = images.splits[row] if images.splits is not None else "train"
        if not path:
            yield row, "has no path"
        elif "://" in str(path):
            yield row, f"{path} is a web address; download the image, and give the path of the file"
        elif not label:
            yield row, f"{path} has no label"
        elif part_of(split) is None:
            yield row, f"the split of {path} must be train, validation or test, but is {split!r}"
        elif images.groups is not None and not images.groups[row]:
            yield row, f"{path} has no group; an image that belongs to no other needs a group of its own"
        elif not os.path.isfile(full := os.path.join(folder, path)):  # several times faster than Path.is_file
            yield row, f"{full} {'is a folder' if os.path.isdir(full) else 'is missing'}"


def _repeated(table: Table, images: ImageTable) -> Iterator[tuple[int, str]]:
    """The rows whose file stands in an earlier row, also if it has another path there because of a link."""
    first: dict[str, int] = {}
    for row, (path, file) in enumerate(zip(images.paths, _real_paths(images), strict=True)):
        earlier = first.setdefault(file, row)
        if earlier != row:
            differs = [
                f"another {name}"
                for name, column in (("label", images.labels), ("split", images.splits), ("group", images.groups))
                if column is not None and column[row] != column[earlier]
            ]
            also = f", with {' and '.join(differs)}" if differs else ""
            yield row, f"{path} stands in {table.unit} {table.numbers[earlier]} already{also}"


def _real_paths(images: ImageTable) -> Iterator[str]:
    """The path of each file without links. Each folder is looked up once."""
    real_folders: dict[str, str] = {}
    for path in images.paths:
        folder, name = os.path.split(os.path.join(images.folder or "", path))
        if folder not in real_folders:
            real_folders[folder] = os.path.realpath(folder)
        file = os.path.join(real_folders[folder], name)
        yield os.path.realpath(file) if os.path.islink(file) else file


def _in_two_splits(table: Table, images: ImageTable) -> Iterator[tuple[int, str]]:
    """The rows whose group has an earlier row of another split."""
    if images.groups is None or images.splits is None:
        return
    first: dict[str, int] = {}
    for row, (group, split) in enumerate(zip(images.groups, images.splits, strict=True)):
        earlier = first.setdefault(group, row)
        if part_of(split) != part_of(images.splits[earlier]):
            other = f"{images.splits[earlier]} ({table.unit} {table.numbers[earlier]})"
            yield row, f"group {group!r} is in two splits: {split} here, and {other}"
