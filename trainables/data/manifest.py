"""The manifest of a study's data: which files, or images in memory, each part had when the study was begun.

A study takes its parts from its manifest and never splits its data set again. So no image moves from one part to
another, whatever happens to the data set. Files are known by their names, sizes and contents, images in memory by one
hash for each part.

The manifest of a study names its held-out files. A search gets one in which they are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trainables.data import file_checks, group_numbers, splits
from trainables.data.dataset import DataSet, Files, Part, Source
from trainables.data.fingerprint import fingerprint


@dataclass(frozen=True)
class RecordedFiles:
    """The files of one part, in order."""

    folder: str
    """The folder of the data set. It is relative to the folder of all data sets if it lies inside."""
    names: tuple[str, ...]
    """The path of each file, relative to `folder`."""
    labels: tuple[int, ...]
    sizes: tuple[int, ...]
    """In bytes."""
    hashes: tuple[str, ...]
    """See `file_checks.content_hashes`."""
    groups: tuple[int, ...] = ()
    """The number of the group of each file. Empty without groups, and in a study of an earlier version."""

    def paths(self, root: Path) -> tuple[Path, ...]:
        """Return the path of each file. `root` is the folder of all data sets."""
        folder = root / self.folder
        return tuple(folder / name for name in self.names)

    def files(self, root: Path) -> Files:
        """Return the files with their labels. `root` is the folder of all data sets."""
        groups = tuple(map(str, self.groups))
        return Files(self.paths(root), torch.tensor(self.labels), folder=root / self.folder, groups=groups)

    def take(self, indices: Sequence[int]) -> RecordedFiles:
        """Return the files at `indices`, in that order."""
        columns: dict[str, Any] = {key: tuple(getattr(self, key)[i] for i in indices) for key in _COLUMNS}
        return replace(self, **columns, groups=tuple(self.groups[i] for i in indices) if self.groups else ())


_COLUMNS = ("names", "labels", "sizes", "hashes")


@dataclass(frozen=True)
class RecordedImages:
    """The images of one part that are in memory."""

    n: int
    content_hash: str
    """A hash of the images and their labels."""


Recorded = RecordedFiles | RecordedImages


@dataclass(frozen=True)
class RecordedPretraining:
    """The data set to train on first."""

    name: str
    classes: tuple[str, ...]
    training: Recorded


@dataclass(frozen=True)
class Manifest:
    """The parts of a data set."""

    name: str
    """The name of the data set, for error messages."""
    classes: tuple[str, ...]
    """The names of the classes, in the order of the labels. They are not merged."""
    training: Recorded
    """All images that a search sees: those that train and those that validate. See `splits.search_images`.

    Images whose class is in no merged class are left out.
    """
    assignment: tuple[int, ...]
    """For each image of the training part, the fold that it validates, or 1 if it validates and 0 if not."""
    held_out_part: Recorded | None
    """The held-out part. None if nothing is held out, and in the manifest that a search gets."""
    merged_classes: Mapping[str, Sequence[str]] | None = None
    """The merged classes, without those that were left out as too rare. None or empty if none are merged."""
    pretraining: RecordedPretraining | None = None

    def without(self, paths: Collection[Path], root: Path) -> Manifest:
        """Return the manifest without some files."""
        training, held_out, pretraining = self.training, self.held_out_part, self.pretraining
        kept = _indices_without(training, paths, root)
        assignment = tuple(self.assignment[i] for i in kept)
        if isinstance(training, RecordedFiles):
            training = training.take(kept)
        if isinstance(held_out, RecordedFiles):
            held_out = held_out.take(_indices_without(held_out, paths, root))
        if pretraining is not None and isinstance(pretraining.training, RecordedFiles):
            kept = _indices_without(pretraining.training, paths, root)
            pretraining = replace(pretraining, training=pretraining.training.take(kept))
        return replace(self, training=training, assignment=assignment, held_out_part=held_out, pretraining=pretraining)

    def empty_parts(self, n_folds: int | None) -> list[str]:
        """Return the names of the parts that have no image. `n_folds` is that of the task."""
        n = {number: self.assignment.count(number) for number in range(n_folds or 2)}
        parts = (
            [(f"fold {number}", n[number]) for number in n] if n_folds else [("training", n[0]), ("validation", n[1])]
        )
        if isinstance(self.held_out_part, RecordedFiles):
            parts.append(("held-out", len(self.held_out_part.names)))
        if self.pretraining is not None and isinstance(self.pretraining.training, RecordedFiles):
            parts.append(("pretraining", len(self.pretraining.training.names)))
        return [name for name, n_images in parts if n_images == 0]

    def to_plain(self) -> dict[str, Any]:
        """Return the manifest as values that JSON can hold. A part without groups has no key `groups`."""
        return _without_empty_groups(asdict(self))

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Manifest:
        """Return the manifest that `to_plain` made.

        Raises KeyError, TypeError or ValueError if the content is damaged.
        """
        pretraining = content["pretraining"]
        found = cls(
            name=content["name"],
            classes=tuple(content["classes"]),
            training=_recorded(content["training"]),
            assignment=tuple(content["assignment"]),
            held_out_part=None if content["held_out_part"] is None else _recorded(content["held_out_part"]),
            merged_classes=content["merged_classes"],
            pretraining=None
            if pretraining is None
            else RecordedPretraining(
                pretraining["name"], tuple(pretraining["classes"]), _recorded(pretraining["training"])
            ),
        )
        n = found.training.n if isinstance(found.training, RecordedImages) else len(found.training.names)
        if n != len(found.assignment):
            raise ValueError(f"the manifest has {n} training images, but a split of {len(found.assignment)}")
        return found


class ManifestDataSet:
    """The data set of a manifest. It looks at no folder, so files that were added later are in no part of it."""

    def __init__(self, manifest: Manifest | RecordedPretraining, root: Path, build: Callable[[], DataSet]) -> None:
        """`root` is the folder of all data sets. `build` returns the data set anew, for images that are in memory."""
        self.name = manifest.name
        self.classes = manifest.classes
        self._training = manifest.training
        self._held_out = manifest.held_out_part if isinstance(manifest, Manifest) else None
        self._root = root
        self._build = build

    def training(self) -> Source:
        """Return all images that a search sees. The `assignment` of the manifest says which of them validate."""
        if isinstance(self._training, RecordedFiles):
            return self._training.files(self._root)
        return splits.search_images(self._build())[0]

    def held_out(self) -> Source | None:
        """Return the held-out files, or None without any. Held-out images in memory come from the data set itself."""
        return self._held_out.files(self._root) if isinstance(self._held_out, RecordedFiles) else None


def record(source: Source, root: Path) -> Recorded:
    """Record the files or images of a part. `root` is the folder of all data sets."""
    if isinstance(source, Part):
        return RecordedImages(len(source), _hash_images(source))
    assert source.folder is not None, "set when the files were made"
    folder = source.folder.absolute()
    inside = folder.is_relative_to(root.absolute())
    return RecordedFiles(
        folder=folder.relative_to(root.absolute()).as_posix() if inside else str(folder),
        names=source.names,
        labels=tuple(source.labels.tolist()),
        sizes=tuple(_size(path) for path in source.paths),
        hashes=tuple(file_checks.content_hashes(source.paths)),
        groups=group_numbers.numbers(source.groups),
    )


def is_unchanged(recorded: RecordedImages, source: Source | None) -> bool:
    """Return whether a part still holds the recorded images and labels."""
    return isinstance(source, Part) and record(source, Path()) == recorded


def changed_files(recorded: RecordedFiles, root: Path) -> dict[Path, str]:
    """Return the files that are not as they were recorded, in order: for each "removed" or "changed"."""
    paths = recorded.paths(root)
    sizes = [_size(path) for path in paths]
    same_size = [i for i, size in enumerate(sizes) if size == recorded.sizes[i] and size >= 0]
    hashes = dict(zip(same_size, file_checks.content_hashes([paths[i] for i in same_size]), strict=True))
    found = {}
    for i, path in enumerate(paths):
        if sizes[i] < 0 and recorded.sizes[i] >= 0:
            found[path] = "removed"
        elif hashes.get(i, file_checks.MISSING) != recorded.hashes[i]:
            found[path] = "changed"
    return found


def _indices_without(recorded: Recorded, paths: Collection[Path], root: Path) -> list[int]:
    """The indices of the images of a part that are not in `paths`: all of them if they are in memory."""
    if isinstance(recorded, RecordedImages):
        return list(range(recorded.n))
    return [i for i, path in enumerate(recorded.paths(root)) if path not in paths]


def _recorded(content: Mapping[str, Any]) -> Recorded:
    if "names" not in content:
        return RecordedImages(**content)
    columns: dict[str, Iterable[Any]] = {key: tuple(content[key]) for key in _COLUMNS}
    return RecordedFiles(content["folder"], **columns, groups=tuple(content.get("groups", ())))  # type: ignore[arg-type]


def _without_empty_groups(plain: dict[str, Any]) -> dict[str, Any]:
    """Return plain values of a manifest without empty `groups`, so that those of an earlier version stay the same."""
    return {
        name: _without_empty_groups(value) if isinstance(value, dict) else value
        for name, value in plain.items()
        if name != "groups" or value
    }


def _size(path: Path) -> int:
    """The size of a file in bytes, or -1 if there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _hash_images(part: Part) -> str:
    """A hash of the images and labels of a part."""
    return f"{fingerprint(part.pool, part.rows)}{fingerprint(part.labels)}"
