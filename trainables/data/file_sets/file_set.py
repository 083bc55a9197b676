"""FileSet, a data set of image files, and the cut of its held-out part."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast

import torch

from trainables.data import splits
from trainables.data.dataset import Files, LeftOut
from trainables.errors import SetupError


@dataclass(frozen=True)
class FileSet:
    """A data set of image files, with the parts that are given or cut."""

    name: str
    classes: tuple[str, ...]
    files: Files
    """The training part, for searches."""
    files_held_out: Files | None = None
    """None if nothing is held out."""
    files_validation: Files | None = None
    """The validation part, if the data set has one of its own. If None, it is cut out of `files`."""
    rare_classes: str | None = None
    """What to do with a class that has too few images to be split: one of `splits.RARE_CLASSES`.

    None if the data set has no such option. Then such a class is an error.
    """
    notes: tuple[str, ...] = ()
    """What was done with rare classes, in words for the user."""
    left_out: tuple[LeftOut, ...] = ()
    """What is left out, in all parts together."""
    part_folders: Mapping[str, str] = field(default_factory=dict)
    """For train, validation and test the folder that their images come from, in words for the user. May be empty."""

    def training(self) -> Files:
        return self.files

    def validation(self) -> Files | None:
        return self.files_validation

    def held_out(self) -> Files | None:
        return self.files_held_out


def hold_out(whole: FileSet, *, fraction: float, seed: int, rare_classes: str | None = None) -> FileSet:
    """Return the data set with a fraction of each class held out. The draw follows from `seed` and the files' names.

    If the data set has a validation part of its own, this fraction of it is held out too, so that the validation part
    keeps its share. Files that have groups are drawn by whole groups.

    `rare_classes` says what to do with a class of too few files: see `FileSet.rare_classes`. Raises SetupError if such
    a class is an error, if it has not even two files to be kept, or if fewer than two classes are left; the message
    names the class.
    """
    name, classes = whole.name, whole.classes
    parts = [whole.files] if whole.files_validation is None else [whole.files, whole.files_validation]
    needed = splits.n_needed(fraction, whole.files)
    rare: dict[str, int] = {}
    for part in reversed(parts):
        rare |= splits.rare(part, classes, needed)
    if rare and rare_classes == "leave_out":
        classes, parts = _without_classes(name, classes, parts, rare)
    notes = whole.notes
    if rare and rare_classes in ("keep", "leave_out"):
        notes += (splits.describe_rare(rare, rare_classes, needed, unit=splits.unit_of(whole.files)),)
    cut = [_cut(whole, part, classes, _Cut(fraction, seed, rare_classes)) for part in parts]
    held_out, _ = splits.concatenated([held for _, held in cut])
    return replace(
        whole,
        classes=classes,
        files=cut[0][0],
        files_validation=cut[1][0] if len(cut) > 1 else None,
        files_held_out=held_out,
        rare_classes=rare_classes,
        notes=notes,
    )


class _Cut(NamedTuple):
    """The arguments of `hold_out`."""

    fraction: float
    seed: int
    rare_classes: str | None


def _cut(whole: FileSet, part: Files, classes: tuple[str, ...], cut: _Cut) -> tuple[Files, Files]:
    """Split one part of a data set into the files that stay and those that are held out."""
    keep = cut.rare_classes == "keep"
    try:
        kept, held_out = splits.split(part, classes=classes, fraction=cut.fraction, seed=cut.seed, keep_rare=keep)
    except splits.TooFewSamples as error:
        given = "" if whole.files_validation is None else " in the training or the validation part"
        remedy = _held_out_remedy(error, cut, has_validation=bool(given))
        raise SetupError(f"data set {whole.name!r}: {error.first()}{given}; {remedy}") from None
    except ValueError as error:
        raise SetupError(f"data set {whole.name!r}: {error}") from None
    return cast(Files, kept), cast(Files, held_out)


def _held_out_remedy(error: splits.TooFewSamples, cut: _Cut, *, has_validation: bool) -> str:
    """Say how many images or groups of a class are needed to hold some out, and which settings need fewer."""
    least = 2 if has_validation else 3
    if cut.rare_classes == "keep":
        uses = "one that stays, one held out" if has_validation else "one to train, one to validate, one held out"
        return f"`dataset.rare_classes: keep` needs {least}: {uses}"
    if cut.rare_classes is None:
        return f"to hold out a share of {cut.fraction:g}, {error.needed} are needed"
    count = min(error.counts.values())
    stays = count - splits.n_second(cut.fraction, count) if count >= 2 else 0
    can_keep = error.unit == "image" and stays >= least - 1
    return f"`dataset.held_out: {cut.fraction:g}` needs {error.needed}{error.remedy(can_keep=can_keep)}"


def _without_classes(
    name: str, classes: tuple[str, ...], parts: Sequence[Files], left_out: Collection[str]
) -> tuple[tuple[str, ...], list[Files]]:
    """The classes and parts without the classes in `left_out`. Raises SetupError if fewer than two classes are left."""
    kept = tuple(each for each in classes if each not in left_out)
    if len(kept) < 2:
        raise SetupError(f"data set {name!r}: without its rare classes, {len(kept)} of {len(classes)} classes are left")
    new_label = torch.tensor([kept.index(each) if each in kept else -1 for each in classes])
    chosen = [(new_label[part.labels] >= 0).nonzero().squeeze(1).tolist() for part in parts]
    return kept, [
        part.take(own).relabelled(new_label[part.labels[own]]) for part, own in zip(parts, chosen, strict=True)
    ]
