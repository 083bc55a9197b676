"""The parts of a data set by their names, as a search with the default validation split would have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trainables.data import splits
from trainables.data.dataset import DataSet, Files, Source
from trainables.errors import reason


@dataclass(frozen=True)
class NamedParts:
    """The parts of a data set by their names."""

    parts: Mapping[str, Source]
    """`training`, `validation` and `held-out`, without those that do not exist."""
    note: str | None = None
    """Why there is no validation part, in words for the user. None if there is one."""


def parts_of(dataset: DataSet, held_out: Source | None, *, fraction: float, seed: int) -> NamedParts:
    """Return the parts of a data set. `held_out` is its held-out part.

    If the data set has no validation part, `fraction` of the training part is cut off by `seed`. A class with few
    images is cut as with `rare_classes: keep`, so that all classes are shown. If a class cannot be in both parts, there
    is no validation part, and a note gives the reason.
    """
    training: Source = dataset.training()
    validation: Source | None = getattr(dataset, "validation", lambda: None)()
    note = None
    if validation is None:
        try:
            training, validation = splits.split(
                training, classes=dataset.classes, fraction=fraction, seed=seed, keep_rare=True
            )
        except ValueError as error:
            note = f"no validation part can be cut off by the default split: {reason(error)}"
    parts = {"training": training, "validation": validation, "held-out": held_out}
    return NamedParts({name: part for name, part in parts.items() if part is not None}, note)


def are_files(parts: Mapping[str, Source]) -> bool:
    """Return whether at least two parts consist of image files."""
    return sum(isinstance(part, Files) for part in parts.values()) >= 2
