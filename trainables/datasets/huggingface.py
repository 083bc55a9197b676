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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from trainables.data.dataset import DataSet
from trainables.data.file_sets import ImageTable, SplitOptions, from_files
from trainables.datasets._huggingface_images import INDEX, Columns, library, splits_of, write_images
from trainables.datasets._path_options import read_path
from trainables.errors import DownloadError, SetupError, printable, reason
from trainables.hyperparameters import Scalar

OPTIONS: dict[str, str | list[str]] = {
    "path": "the path of a folder that `save_to_disk` wrote; a relative one is looked up beside the space, in the "
    "working directory and in the folder of all data sets",
    "hub": "a name on the hub, such as `AI-Lab-Makerere/beans`; `hpo fetch` downloads it",
    "config": "the configuration of a data set of the hub that has several",
    "image": "the column of the images; default: the only one of the type Image",
    "label": "the column of the labels; default: the only one of the type ClassLabel, or `label`",
    "group": "the column of groups that stay in one part; default: no groups",
    "held_out": "share that is held out without a test split, above 0 and below 1, or `none`; default 0.2",
    "seed": "seed of the draw, a whole number of at least 0; default 0",
    "rare_classes": ["error", "keep", "leave_out"],
}
RANGES = {"held_out": "0 < float < 1 or none", "seed": "int >= 0"}
PATHS = ("path",)
FOLDER = "huggingface"
FETCH = "hpo fetch --dataset huggingface --option hub="


def build(root: Path | None, **options: Scalar) -> DataSet:
    """Return the images of a data set as files. `OPTIONS` explains the options.

    The first call writes the files of a data set that is saved to disk, which takes a while.

    Raises SetupError if an option is wrong, if the data set is missing or cannot be read, if the library is not
    installed, or if a column is missing or has another type.
    """
    given = Options(**options)
    if root is None:
        raise SetupError("`dataset`: huggingface needs the folder that data sets are kept in, and none is given")
    if given.hub is None:
        return _read(_from_disk(root, given), given)
    folder = _hub_folder(root, given)
    if not (folder / INDEX).is_file():
        raise SetupError(f"{folder}: there is no such data set; download it by: {FETCH}{given.hub}")
    return _read(folder, given)


def fetch(root: Path, **options: Scalar) -> None:
    """Download a data set of the hub, and write its images as files into `root`. An existing one is not changed.

    Raises DownloadError if that fails, and SetupError if an option is wrong or a column is missing.
    """
    given = Options(**options)
    if given.hub is None:
        _from_disk(root, given)
        return
    folder = _hub_folder(root, given)
    if (folder / INDEX).is_file():
        return
    datasets = library()
    try:
        found = datasets.load_dataset(given.hub, None if given.config is None else str(given.config))
    except Exception as error:  # the library raises errors of all kinds
        raise DownloadError(
            f"`dataset.hub`: {given.hub} cannot be downloaded: {type(error).__name__}: {reason(error)}"
        ) from error
    _write_once(folder, lambda temporary: write_images(found, temporary, given.columns))


@dataclass(frozen=True)
class Options:
    """The options of the data set: see `OPTIONS`. Raises SetupError if one of them is wrong."""

    path: Scalar = None
    hub: Scalar = None
    config: Scalar = None
    image: Scalar = None
    label: Scalar = None
    group: Scalar = None
    held_out: Scalar = None
    seed: Scalar = None
    rare_classes: Scalar = None

    def __post_init__(self) -> None:
        for option in ("image", "label", "group"):
            value = getattr(self, option)
            if value is not None and not (isinstance(value, str) and value):
                raise SetupError(f"`dataset.{option}` must be the name of a column, but is {value!r}")
        _ = self.split  # checks its options
        if self.hub is None:
            if self.config is not None:
                raise SetupError(
                    "`dataset.config` must not be given without `dataset.hub`: only a data set of the hub has one"
                )
        elif not isinstance(self.hub, str) or not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.hub):
            raise SetupError(
                f"`dataset.hub` must be a name on the hub, such as AI-Lab-Makerere/beans, but is {self.hub!r}"
            )
        elif self.path is not None:
            raise SetupError("`dataset.path` and `dataset.hub` must not both be given")

    @property
    def split(self) -> SplitOptions:
        """How the held-out part is cut."""
        return SplitOptions(held_out_fraction=self.held_out, seed=self.seed, rare_classes=self.rare_classes)

    @property
    def columns(self) -> Columns:
        """The columns of the images and labels, as far as they are given."""
        return Columns(*(None if name is None else str(name) for name in (self.image, self.label)))


def _from_disk(root: Path, options: Options) -> Path:
    """The folder of the images of a data set that is saved to disk. They are written if they are not there yet."""
    content = "a folder that `save_to_disk` wrote, or `hub` with a name of the hub"
    folder = read_path(root, "path", options.path, content)
    if not folder.is_dir():
        raise SetupError(f"`dataset.path`: there is no folder {folder}; give {content}")
    datasets = library()
    try:
        found = datasets.load_from_disk(str(folder))
    except Exception as error:  # the library raises errors of all kinds
        raise SetupError(f"{folder}: is no data set that `save_to_disk` wrote ({reason(error)})") from error
    splits = [[name, split._fingerprint] for name, split in splits_of(found).items()]
    target = root / FOLDER / f"{_safe(folder.name)}-{_digest([*splits, *options.columns.words()])}"
    if not (target / INDEX).is_file():
        _write_once(target, lambda temporary: write_images(found, temporary, options.columns))
    return target


def _hub_folder(root: Path, options: Options) -> Path:
    config = None if options.config is None else str(options.config)
    digest = _digest([str(options.hub), config, *options.columns.words()])
    return root / FOLDER / "hub" / f"{_safe(str(options.hub))}-{digest}"


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


def _read(folder: Path, options: Options) -> DataSet:
    """The data set whose images were written into a folder."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        others, classes, notes = index["others"], index["classes"], tuple(index["notes"])
        table = ImageTable(index["paths"], index["labels"], index["splits"], folder=folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(
            f"{folder / INDEX}: cannot be read ({reason(error)}); remove the folder, to have it anew"
        ) from error
    if options.group is not None:
        if options.group not in others:
            raise SetupError(
                f"`dataset.group` must be a column of text or whole numbers ({', '.join(others) or 'there is none'}), "
                f"but is {options.group!r}"
            )
        table = replace(table, groups=others[options.group])
    name = Path(str(options.path if options.hub is None else options.hub)).name
    dataset = from_files(printable(name), table, classes=classes, options=options.split)
    return replace(dataset, notes=(*notes, *dataset.notes))


def _safe(name: str) -> str:
    """A name that a folder may have."""
    return re.sub(r"[^\w.-]+", "--", name)


def _digest(parts: Sequence[object]) -> str:
    """A digest of the JSON text of a list, which differs for other splits and columns."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
