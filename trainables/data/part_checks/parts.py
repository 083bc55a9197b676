"""The parts of a data set by their names, as a search with the default validation split would have them."""

from __future__ import annotations

from collections.abc import Mapping

from trainables.data import splits
from trainables.data.dataset import DataSet, Files, Source


def parts_of(dataset: DataSet, held_out: Source | None, *, fraction: float, seed: int) -> dict[str, Source]:
    """Return the parts `training`, `validation` and `held-out` of a data set, without those that do not exist.

    If the data set has no validation part, `fraction` of the training part is cut off by `seed`, as a search does. If a
    class has too few images or groups for that, there is no validation part.
    """
    training: Source = dataset.training()
    validation: Source | None = getattr(dataset, "validation", lambda: None)()
    if validation is None:
        try:
            training, validation = splits.split(
                training, classes=dataset.classes, fraction=fraction, seed=seed, keep_rare=True
            )
        except ValueError:
            validation = None
    parts = {"training": training, "validation": validation, "held-out": held_out}
    return {name: part for name, part in parts.items() if part is not None}


def are_files(parts: Mapping[str, Source]) -> bool:
    """Return whether at least two parts consist of image files."""
    return sum(isinstance(part, Files) for part in parts.values()) >= 2
