"""The data and weights that a task names: recorded when a study begins, and compared with the record later.

The record consists of plain values, so that it can be stored as JSON:

    dataset   a `Manifest`, or None if the task names no data set
    notes     what was done with rare classes and how many files are left out, in words for the user
    weights   for each model with pretrained weights: the path, size and hash of their file

Held-out files are checked to be readable, and compared by their bytes. Nothing is predicted for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from trainables.data import file_checks, manifest, merged_classes, part_counts, splits
from trainables.data.dataset import DataSet, Files, Source
from trainables.data.decoding import DecodingOptions
from trainables.data.manifest import Manifest, Recorded, RecordedFiles, RecordedPretraining
from trainables.data.merged_classes import MergedClasses
from trainables.data.preprocessing import Preprocessor, PretrainingSet
from trainables.errors import SetupError, printable

GetPart = Callable[[DataSet], Source | None]
"""Returns a part of a data set, such as `trainables.data.heldout.held_out`. None if there is no such part."""


class TaskData(Protocol):
    """The methods of an Assembly that are needed here."""

    @property
    def task(self) -> Any: ...
    @property
    def root(self) -> Path: ...
    def load_dataset(self, spec: Any) -> DataSet: ...
    def load_datasets(self) -> tuple[DataSet, PretrainingSet | None]: ...
    def split_dataset(self, dataset: DataSet, pretraining: PretrainingSet | None) -> Preprocessor: ...
    def weights_file(self, model: str) -> Path | None: ...


@dataclass(frozen=True)
class Change:
    """A file that is not as it was recorded."""

    path: Path
    what: str
    """removed, changed or moved."""
    now: str = ""
    """If it was moved: where it is now."""


@dataclass(frozen=True)
class Comparison:
    """How the data and weights of a task differ from a record."""

    files: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    """The changed files of each part: training, held_out and pretraining."""
    images: tuple[str, ...] = ()
    """The parts whose images are in memory and are not the recorded ones."""
    weights: tuple[Change, ...] = ()
    n_new: int = 0
    """The number of files of the data set that the record does not have."""


def record(
    data: TaskData,
    get_held_out: GetPart,
    models: Collection[str],
    *,
    check_with: DecodingOptions | None,
    skip_unreadable: bool = False,
) -> dict[str, Any]:
    """Return the record of the data that a task names now, and of the weights of its `models`.

    Raises SetupError if the data set cannot be split, or if a held-out file cannot be read as an image with the options
    `check_with`. With `skip_unreadable`, a note names such files instead. If `check_with` is None, none is checked.
    In both cases, such files are recorded like all others.
    """
    found: dict[str, Any] | None = None
    n_groups: int | None = None
    notes: list[str] = []
    if data.task.dataset is not None:
        # One listing, so that the files that are split are those that are recorded.
        dataset, pretraining = data.load_datasets()
        preprocessor = data.split_dataset(dataset, pretraining)
        whole = get_held_out(dataset)
        held_out = _without_unmerged(dataset, preprocessor.merged_classes, lambda _: whole)
        unmerged = merged_classes.describe_unmerged(
            (_training(dataset), whole), dataset.classes, data.task.dataset.merged_classes
        )
        n_folds = data.task.validation.folds
        assignment = preprocessor.assignment
        groups = part_counts.group_names(_without_unmerged(dataset, preprocessor.merged_classes, _training))
        notes.append(part_counts.line(dataset, assignment, held_out, n_folds, unmerged, groups))
        few_groups = part_counts.few_groups(assignment, groups, n_folds)
        notes += [] if few_groups is None else [few_groups]
        if check_with is not None and held_out is not None:
            notes += _check_readable(held_out, check_with, skip_unreadable=skip_unreadable)
        found = Manifest(
            name=dataset.name,
            classes=dataset.classes,
            training=_recorded_training(dataset, preprocessor.merged_classes, data.root),
            assignment=assignment,
            held_out_part=None if held_out is None else manifest.record(held_out, data.root),
            merged_classes=preprocessor.merged_classes,
            pretraining=None if pretraining is None else _recorded_pretraining(pretraining, data.root),
        ).to_plain()
        n_groups = _n_groups(dataset.training())
        notes += preprocessor.notes
    files = {name: data.weights_file(name) for name in models}
    weights = {name: _weights(path) for name, path in files.items() if path is not None}
    return {"dataset": found, "weights": weights, "notes": notes, "n_groups": n_groups}


def _n_groups(source: Source) -> int | None:
    """The number of groups of the images of a part. None without groups."""
    return len(set(source.groups)) if isinstance(source, Files) and source.groups else None


def compare(data: TaskData, earlier: Mapping[str, Any], get_held_out: GetPart | None) -> Comparison:
    """Compare the data and weights that a task names now with an `earlier` record.

    Without `get_held_out`, the held-out part is left out. Files that the record does not have are counted.
    They are no difference otherwise.

    Raises SetupError if the data set cannot be listed, and none of its recorded files is there.
    """
    weights = tuple(_changed_weights(data, earlier["weights"]))
    if earlier["dataset"] is None:
        return Comparison(weights=weights)
    recorded = Manifest.from_plain(earlier["dataset"])
    spec, merged = data.task.dataset, recorded.merged_classes
    parts: dict[str, tuple[manifest.Recorded, Any, MergedClasses | None, GetPart]] = {
        "training": (recorded.training, spec, merged, _training)
    }
    if get_held_out is not None and recorded.held_out_part is not None:
        parts["held_out"] = (recorded.held_out_part, spec, merged, get_held_out)
    listing = _Listing(data, recorded, get_held_out)
    files = {name: listing.changes(part) for name, (part, *_) in parts.items() if isinstance(part, RecordedFiles)}
    is_gone = len(files.get("training", ())) == len(recorded.assignment)
    if listing.error is not None and is_gone and all(change.what == "removed" for change in files["training"]):
        raise listing.error
    pretraining = recorded.pretraining
    if pretraining is not None:
        parts["pretraining"] = (
            pretraining.training,
            data.task.pretraining,
            data.task.pretraining.merged_classes,
            _training,
        )
        if isinstance(pretraining.training, RecordedFiles):
            found = manifest.changed_files(pretraining.training, data.root)
            files["pretraining"] = tuple(Change(path, what) for path, what in found.items())
    images = [
        name
        for name, (part, spec, merged, part_of) in parts.items()
        if not isinstance(part, RecordedFiles)
        and not manifest.is_unchanged(part, _without_unmerged(data.load_dataset(spec), merged, part_of))
    ]
    return Comparison(files, tuple(images), weights, len(listing.new))


class _Listing:
    """The files that a data set lists now, each with the name of its class. Empty if it cannot be listed or split."""

    def __init__(self, data: TaskData, recorded: Manifest, get_held_out: GetPart | None) -> None:
        self._root = data.root
        self._classes = recorded.classes
        self._class_of: dict[Path, str] = {}
        self._is_complete = get_held_out is not None
        self.error: SetupError | None = None
        merged = recorded.merged_classes
        try:
            dataset = data.load_dataset(data.task.dataset)
            for source in (
                _without_unmerged(dataset, merged, each) for each in (_training, get_held_out) if each is not None
            ):
                if isinstance(source, Files):
                    names = (dataset.classes[label] for label in source.labels.tolist())
                    self._class_of |= zip((path.absolute() for path in source.paths), names, strict=True)
        except SetupError as error:  # such as a new class with too few images, which the study does not have
            self._class_of, self.error = {}, error
        parts = (part for part in (recorded.training, recorded.held_out_part) if isinstance(part, RecordedFiles))
        known = {path for part in parts for path in part.paths(data.root)}
        self.new = [path for path in self._class_of if path not in known]
        """The files that are not in the record."""

    def changes(self, part: RecordedFiles) -> tuple[Change, ...]:
        """Return the files of a part that have another content or class than recorded, or that are gone.

        A file that lies in its folder but is no longer listed is gone, too. This is known only if the held-out part is
        listed as well. A file that is gone was moved if a new file has its content.
        """
        changed = manifest.changed_files(part, self._root)
        found, gone = [], {}
        for i, (path, label) in enumerate(zip(part.paths(self._root), part.labels, strict=True)):
            now = self._class_of.get(path)
            is_listed = now is not None or not self._class_of or not self._is_complete
            if changed.get(path) == "removed" or not is_listed:
                gone[path] = part.hashes[i]
            elif path in changed:
                found.append(Change(path, changed[path]))
            elif now is not None and now != self._classes[label]:
                found.append(Change(path, "moved", f"class {now}"))
        copies = dict(zip(file_checks.content_hashes(self.new), self.new, strict=True)) if gone else {}
        copies.pop(file_checks.MISSING, None)  # the contents of two files that cannot be opened may differ
        moved = {path: copies.get(content) for path, content in gone.items()}
        return (*found, *(Change(path, "moved" if to else "removed", str(to or "")) for path, to in moved.items()))


def _recorded_pretraining(pretraining: PretrainingSet, root: Path) -> RecordedPretraining:
    dataset, merged = pretraining
    return RecordedPretraining(dataset.name, dataset.classes, _recorded_training(dataset, merged, root))


def _check_readable(held_out: Source, options: DecodingOptions, *, skip_unreadable: bool) -> list[str]:
    """Raise SetupError if a held-out file cannot be read as an image with `options`.

    With `skip_unreadable`, returns a note about such files instead, if there are any.
    """
    unreadable = file_checks.unreadable(held_out.paths, options) if isinstance(held_out, Files) else []
    if not unreadable:
        return []
    path, reason = unreadable[0]
    if skip_unreadable:
        n = len(unreadable)
        files = f"{n} held-out file{'s' * (n > 1)}"
        return [f"{files} left out by `skip_unreadable`, such as {printable(str(path))}: {reason}"]
    others = f" (and {len(unreadable) - 1} other held-out files)" if len(unreadable) > 1 else ""
    raise SetupError(
        f"{printable(str(path))}: cannot be read as an image ({reason}){others}; mend or remove it, "
        "or set `skip_unreadable: true` to leave such files out"
    )


def _training(dataset: DataSet) -> Source:
    """The images that a search sees: those that train and those that validate."""
    return splits.search_images(dataset)[0]


def _without_unmerged(dataset: DataSet, merged: MergedClasses | None, part_of: GetPart) -> Source | None:
    """A part of a data set, without the images whose class is in no merged class. None if there is no such part."""
    part = part_of(dataset)
    return None if part is None else merged_classes.without_unmerged(part, dataset.classes, merged)


def _recorded_training(dataset: DataSet, merged: MergedClasses | None, root: Path) -> Recorded:
    return manifest.record(merged_classes.without_unmerged(_training(dataset), dataset.classes, merged), root)


def _weights(path: Path) -> dict[str, Any]:
    """The record of a weights file."""
    (content_hash,) = file_checks.content_hashes([path])
    return {"path": str(path), "size": path.stat().st_size, "hash": content_hash}


def _changed_weights(data: TaskData, recorded: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    for model, file in recorded.items():
        path = data.weights_file(model)
        if path is None:
            yield Change(Path(file["path"]), "removed")
        elif _weights(path)["hash"] != file["hash"]:
            yield Change(path, "changed")
