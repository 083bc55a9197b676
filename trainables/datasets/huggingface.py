"""Your own images: a data set of the library `datasets` of Hugging Face, saved to disk or from its hub.

    path: a folder that `save_to_disk` wrote: a Dataset, or a DatasetDict with train, validation and test
    hub: a name on the hub, such as `AI-Lab-Makerere/beans`

The images are written once as files, into the folder `huggingface` of the folder of all data sets. So a study knows
them by name and content, like all image files. A data set of the hub is downloaded by `hpo fetch` and never later.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from trainables.data.dataset import DataSet
from trainables.data.file_sets import ImageTable, SplitOptions, from_files
from trainables.datasets._huggingface_images import INDEX, Columns, library, write_images
from trainables.errors import SetupError, printable, reason
from trainables.hyperparameters import Scalar

OPTIONS: dict[str, str | list[str]] = {
    "path": "a folder that `save_to_disk` wrote: its name in the folder of all data sets, or its path",
    "hub": "a name on the hub, such as `AI-Lab-Makerere/beans`; `hpo fetch` downloads it",
    "config": "the configuration of a data set of the hub that has several",
    "image": "the column of the images; default: the only one of the type Image",
    "label": "the column of the labels; default: the only one of the type ClassLabel, or `label`",
    "group": "the column of groups that stay in one part; default: no groups",
    "held_out": "share that is held out without a test split, above 0 and below 1, or `none`; default 0.2",
    "seed": "seed of the draw, a whole number of at least 0; default 0",
    "rare_classes": ["error", "keep", "leave_out"],
}
FOLDER = "huggingface"
FETCH = "hpo fetch --dataset huggingface --option hub="


def build(
    root: Path | None,
    *,
    path: Scalar = None,
    hub: Scalar = None,
    config: Scalar = None,
    image: Scalar = None,
    label: Scalar = None,
    group: Scalar = None,
    held_out: Scalar = None,
    seed: Scalar = None,
    rare_classes: Scalar = None,
) -> DataSet:
    """Return the images of a data set as files. `OPTIONS` explains the options.

    The first call writes the files of a data set that is saved to disk, which takes a while.

    Raises SetupError if an option is wrong, if the data set is missing or cannot be read, if the library is not
    installed, or if a column is missing or has another type.
    """
    options = SplitOptions(held_out_share=held_out, seed=seed, rare_classes=rare_classes)
    columns = _columns(image, label)
    if root is None:
        raise SetupError("`dataset`: huggingface needs the folder that data sets are kept in, and none is given")
    if hub is None:
        folder = _from_disk(root, path, config, columns)
    else:
        folder = _hub_folder(root, hub, config, columns)
        if path is not None:
            raise SetupError("`dataset.path` and `dataset.hub` must not both be given")
        if not (folder / INDEX).is_file():
            raise SetupError(f"{folder}: there is no such data set; download it by: {FETCH}{hub}")
    return _read(folder, _name(path if hub is None else hub), group, options)


def fetch(
    root: Path,
    *,
    path: Scalar = None,
    hub: Scalar = None,
    config: Scalar = None,
    image: Scalar = None,
    label: Scalar = None,
    group: Scalar = None,
    held_out: Scalar = None,
    seed: Scalar = None,
    rare_classes: Scalar = None,
) -> None:
    """Download a data set of the hub, and write its images as files into `root`.

    An existing one is not changed. Raises SetupError if that fails.
    """
    columns = _columns(image, label)
    if hub is None:
        _from_disk(root, path, config, columns)
        return
    folder = _hub_folder(root, hub, config, columns)
    if (folder / INDEX).is_file():
        return
    datasets = library()
    try:
        found = datasets.load_dataset(hub, None if config is None else str(config))
    except Exception as error:  # the library raises errors of all kinds
        raise SetupError(
            f"`dataset.hub`: {hub} cannot be downloaded: {type(error).__name__}: {reason(error)}"
        ) from error
    _write_once(folder, lambda temporary: write_images(found, temporary, columns))


def _columns(image: Scalar, label: Scalar) -> Columns:
    given = {"image": image, "label": label}
    for key, value in given.items():
        if value is not None and not (isinstance(value, str) and value):
            raise SetupError(f"`dataset.{key}` must be the name of a column, but is {value!r}")
    return Columns(*(None if value is None else str(value) for value in given.values()))


def _from_disk(root: Path, path: Scalar, config: Scalar, columns: Columns) -> Path:
    """The folder of the images of a data set that is saved to disk. They are written if they are not there yet."""
    if not isinstance(path, str) or not path:
        given = "is missing" if path is None else f"is {path!r}"
        raise SetupError(
            f"`dataset.path` {given}: give a folder that `save_to_disk` wrote, or `hub` with a name of the hub"
        )
    if config is not None:
        raise SetupError("`dataset.config` must not be given with `dataset.path`: only a data set of the hub has one")
    folder = root / Path(path).expanduser()
    if not folder.is_dir():
        raise SetupError(
            f"`dataset.path`: there is no folder {folder}; a name is looked up in the folder of all data sets "
            f"({root}), a folder elsewhere needs its whole path"
        )
    datasets = library()
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # the library raises errors of all kinds
        raise SetupError(f"{folder}: is no data set that `save_to_disk` wrote ({reason(error)})") from error
    parts = found.values() if isinstance(found, dict) else [found]
    key = "-".join([*(part._fingerprint for part in parts), *columns.words()])
    target = root / FOLDER / f"{_safe(folder.name)}-{_digest(key)}"
    if not (target / INDEX).is_file():
        _write_once(target, lambda temporary: write_images(found, temporary, columns))
    return target


def _hub_folder(root: Path, hub: Scalar, config: Scalar, columns: Columns) -> Path:
    if not isinstance(hub, str) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", hub):
        raise SetupError(f"`dataset.hub` must be a name on the hub, such as AI-Lab-Makerere/beans, but is {hub!r}")
    words = [hub, *([] if config is None else [str(config)]), *columns.words()]
    return root / FOLDER / "hub" / _safe("--".join(words))


def _write_once(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a folder, unless another process has done so. A process that is killed leaves no folder `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.partial"
    with FileLock(target.parent / f".{target.name}.lock"):
        if (target / INDEX).is_file():
            return
        shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed
        temporary.mkdir()
        try:
            fill(temporary)
            temporary.rename(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _read(folder: Path, name: str, group: Scalar, options: SplitOptions) -> DataSet:
    """The data set whose images were written into a folder. `group` is the column of the groups, or None."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        others, classes, notes = index["others"], index["classes"], tuple(index["notes"])
        table = ImageTable(index["paths"], index["labels"], index["splits"], folder=folder)
    except (OSError, ValueError, KeyError) as error:
        raise SetupError(
            f"{folder / INDEX}: cannot be read ({reason(error)}); remove the folder, to have it anew"
        ) from error
    if group is not None:
        if group not in others:
            raise SetupError(
                f"`dataset.group` must be a column of text or whole numbers ({', '.join(others) or 'there is none'}), "
                f"but is {group!r}"
            )
        table = replace(table, groups=others[group])
    dataset = from_files(printable(name), table, classes=classes, options=options)
    return replace(dataset, notes=(*notes, *dataset.notes))


def _name(given: Scalar) -> str:
    return Path(str(given)).name


def _safe(name: str) -> str:
    """A name that a folder may have."""
    return re.sub(r"[^\w.-]+", "--", name)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]
