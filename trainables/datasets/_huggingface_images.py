"""The images of a data set of the library `datasets`, written as files, with an index of their labels and splits."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from trainables.data.file_sets import in_order, part_of
from trainables.errors import SetupError

INDEX = "index.json"
"""The file that names the images, with their labels. It is written last."""
LABEL_NAMES = ("label", "labels", "class")
UNLABELLED = -1
"""The label that the library gives to images without one."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns that the user gave. None to find a column by its type."""

    image: str | None = None
    label: str | None = None

    def words(self) -> list[str]:
        """Return the names that were given, for the name of a folder."""
        return [f"{key}={value}" for key, value in vars(self).items() if value is not None]


@dataclass
class _Index:
    """The rows that were written."""

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=dict)
    """The other columns of text or whole numbers, any of which may hold the groups."""
    notes: list[str] = field(default_factory=list)


def library() -> Any:
    """Import the library `datasets`. Raises SetupError if it is not installed."""
    try:
        import datasets
    except ModuleNotFoundError as error:
        raise SetupError(
            "`dataset`: huggingface needs the library datasets; install it by: pip install 'hpo[huggingface]'"
        ) from error
    datasets.disable_progress_bars()
    return datasets


def splits_of(found: Any) -> dict[str, Any]:
    """Return the splits of a DatasetDict by their names. A Dataset is the split `train`."""
    return dict(found) if isinstance(found, dict) else {"train": found}


def write_images(found: Any, folder: Path, columns: Columns) -> None:
    """Write the images of a Dataset or a DatasetDict into `folder`, and then the index.

    Images that are stored as files keep their bytes. Splits that are neither train, validation nor test are left out,
    and so are those without labels; a note says so.

    Raises SetupError if a column is missing or has another type, or if a row has no image or no label.
    """
    splits = splits_of(found)
    known = {name: split for name, split in splits.items() if part_of(name) is not None}
    index = _Index()
    if not known and len(splits) == 1:  # a single split of any name, such as "full"
        known = splits
    if unused := [name for name in splits if name not in known]:
        index.notes.append(f"splits that are neither train, validation nor test are not used: {', '.join(unused)}")
    if not known:
        raise SetupError(f"`dataset`: none of the splits {', '.join(splits)} is train, validation or test")
    first = next(iter(known.values()))
    image = _image_column(first.features, columns.image)
    label = _label_column(first.features, columns.label)
    classes = getattr(first.features[label], "names", None)
    index.others = {name: [] for name, kind in first.features.items() if name not in (image, label) and _is_name(kind)}
    for name, split in known.items():
        _check_columns(name, split, first.features)
        _write_split(name, split, folder, (image, label), index)
    if classes is None:
        classes = in_order(set(index.labels))
    content = {
        "classes": [str(each) for each in classes],
        "paths": index.paths,
        "labels": index.labels,
        "splits": index.splits if len({part_of(name) for name in index.splits}) > 1 else None,
        "others": index.others,
        "notes": index.notes,
    }
    (folder / INDEX).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_split(name: str, split: Any, folder: Path, columns: tuple[str, str], index: _Index) -> None:
    datasets = library()
    image, label = columns
    names = getattr(split.features[label], "names", None)
    labels = split[label][:]
    if all(value in (None, UNLABELLED) for value in labels):
        index.notes.append(f"split {name} has no labels, and is not used")
        return
    inside = re.sub(r"[^\w.-]+", "-", name)
    (folder / inside).mkdir(exist_ok=True)
    for column, values in index.others.items():
        values += ["" if value is None else str(value) for value in split[column][:]]
    rows = split.select_columns([image]).cast_column(image, datasets.Image(decode=False))
    digits = len(str(max(len(rows) - 1, 1)))
    for i, row in enumerate(rows):
        value = labels[i]
        if value is None or (names is not None and value == UNLABELLED) or value == "":
            raise SetupError(f"split {name}, row {i}: has no label")
        content = _content(row[image], f"split {name}, row {i}")
        path = f"{inside}/{i:0{digits}}.{_suffix(content)}"
        (folder / path).write_bytes(content)
        index.paths.append(path)
        index.labels.append(str(value if names is None else names[value]))
        index.splits.append(name)


def _content(image: Mapping[str, Any] | None, place: str) -> bytes:
    """The bytes of an image file."""
    if image is None or (image["bytes"] is None and not image["path"]):
        raise SetupError(f"{place}: has no image")
    if image["bytes"] is not None:
        return bytes(image["bytes"])
    try:
        return Path(image["path"]).read_bytes()
    except OSError as error:
        raise SetupError(f"{place}: {image['path']} cannot be read ({error.strerror})") from error


def _suffix(content: bytes) -> str:
    """The suffix of an image file. Content that is no image gets one too, so that reading the file is an error."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return str(image.format).lower()
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return "img"


def _image_column(features: Mapping[str, Any], given: str | None) -> str:
    """The name of the column of images. Raises SetupError if it is missing or unclear."""
    return _column("image", "Image", features, given, lambda each: type(each).__name__ == "Image")


def _label_column(features: Mapping[str, Any], given: str | None) -> str:
    """The name of the column of labels. Raises SetupError if it is missing or unclear, or holds several labels."""
    if given is None and not any(type(each).__name__ == "ClassLabel" for each in features.values()):
        given = next((name for name in LABEL_NAMES if name in features), None)
    name = _column("label", "ClassLabel", features, given, lambda each: type(each).__name__ == "ClassLabel")
    kind = features[name]
    if type(kind).__name__ in ("List", "Sequence", "LargeList", "list"):
        raise SetupError(
            f"`dataset.label`: the column {name!r} has several labels for an image; a class each is needed"
        )
    if type(kind).__name__ != "ClassLabel" and not _is_name(kind):
        raise SetupError(
            f"`dataset.label`: the column {name!r} must hold class labels, text or whole numbers, but holds "
            f"{_kind(kind)}"
        )
    return name


def _column(key: str, wanted: str, features: Mapping[str, Any], given: str | None, fits: Callable[[Any], bool]) -> str:
    listed = ", ".join(f"{name} ({_kind(each)})" for name, each in features.items())
    if given is not None:
        if given not in features:
            raise SetupError(f"`dataset.{key}`: there is no column {given!r}; the columns are {listed}")
        if key == "image" and not fits(features[given]):
            raise SetupError(
                f"`dataset.{key}`: the column {given!r} must be of the type {wanted}; the columns are {listed}"
            )
        return given
    found = [name for name, each in features.items() if fits(each)]
    if len(found) == 1:
        return found[0]
    what = "no column is" if not found else "several columns are"
    raise SetupError(f"`dataset.{key}` must name the column: {what} of the type {wanted}; the columns are {listed}")


def _is_name(kind: Any) -> bool:
    """Whether a column holds text, whole numbers, truth values or class labels."""
    is_value = type(kind).__name__ == "Value" and re.match(r"string|large_string|u?int|bool", kind.dtype)
    return bool(is_value) or type(kind).__name__ == "ClassLabel"


def _check_columns(name: str, split: Any, features: Mapping[str, Any]) -> None:
    """Raise SetupError if a split has other columns than the first one."""
    if dict(split.features) != dict(features):
        first, own = (
            ", ".join(f"{key} ({_kind(each)})" for key, each in kinds.items()) for kinds in (features, split.features)
        )
        raise SetupError(
            f"split {name}: its columns or classes differ from those of the first split: {own}, but {first}"
        )


def _kind(feature: Any) -> str:
    """The type of a column, in one word."""
    return str(feature.dtype) if type(feature).__name__ == "Value" else type(feature).__name__
