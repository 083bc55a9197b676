"""What a fit says of its images: how many there are of each class, in which part, and what may go wrong with so few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hpo.errors import UserError
from hpo.fit.request import FitRequest
from hpo.heldout import study_data
from hpo.quantities import with_plural
from hpo.space import SearchSpace
from hpo.training import Job

FEW_VALIDATION = 100
"""With fewer validation images, the choice between trials is largely luck."""
IMBALANCED = 5.0
"""The classes are imbalanced if the largest has so many times the images of the smallest."""


@dataclass(frozen=True)
class DataSummary:
    """The numbers of images of a data set."""

    classes: int
    train: int
    validation: int
    held_out: int
    smallest: tuple[str, int]
    """The class with the fewest images outside the held-out part, and their number."""
    largest: tuple[str, int]
    notes: tuple[str, ...]
    """What the user should know, such as the number of files that are left out."""

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> DataSummary:
        """Return the summary that `to_dict` returned, as JSON holds it."""
        names = cls.__dataclass_fields__
        found: dict[str, Any] = {name: value for name, value in content.items() if name in names}
        for name in ("smallest", "largest", "notes"):
            found[name] = tuple(found[name])
        return cls(**found)


def summarise(space: SearchSpace, request: FitRequest) -> DataSummary:
    """List the images of a space that a fit searches, and check that its held-out files can be read.

    Raises a TaskError if they cannot be listed, split or read, and a UserError if nothing is held out.
    """
    record = study_data.record(Job(space, request.seed, request.data_folder))
    assert record is not None, "the task names a data set"
    manifest = record["dataset"]
    if manifest["held_out_part"] is None:
        raise UserError(f"{request.images}: no images are held out, so the model could not be tested")
    names = manifest["classes"]
    counts = Counter(names[label] for label in manifest["training"]["labels"])
    n_validation = sum(manifest["assignment"])
    ranked = counts.most_common()
    return DataSummary(
        classes=len(counts),
        train=len(manifest["assignment"]) - n_validation,
        validation=n_validation,
        held_out=len(manifest["held_out_part"]["labels"]),
        smallest=ranked[-1],
        largest=ranked[0],
        notes=tuple(record["notes"]),
    )


def lines(summary: DataSummary, metric: str) -> list[str]:
    """Say what was found, and what to do about it. `metric` is that of the request."""
    (smallest, fewest), (largest, most) = summary.smallest, summary.largest
    counts = f"from {fewest:,} ({smallest}) to {most:,} ({largest}) images" if fewest < most else f"{most:,} images"
    text = [*summary.notes, f"{summary.classes:,} classes, {counts} each to search with"]
    if summary.largest[1] >= IMBALANCED * summary.smallest[1] and metric in ("loss", "error"):
        text.append("the classes are imbalanced: --metric balanced_error lets each class count alike")
    if summary.validation < FEW_VALIDATION:
        text.append(
            f"only {with_plural(summary.validation, 'validation image')}: trials that are close cannot be told apart"
        )
    return text
