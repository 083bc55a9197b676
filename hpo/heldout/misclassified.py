"""The images that the best tested trial misclassifies: the test writes them, the figure `misclassified` reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import MachineError, StudyError
from hpo.heldout.protocols import CHECKPOINT, RETRAIN
from hpo.heldout.record import TestRecord
from hpo.record import MISCLASSIFIED, StudyFolder

Array = NDArray[Any]
ARRAYS = ("trial", "seed", "n_wrong", "n", "images", "true", "top", "probabilities")
"""The names of the arrays in the file."""


@dataclass(frozen=True)
class Misclassified:
    """Held-out images that one trained model misclassifies, the most confident wrong predictions first."""

    trial: int
    seed: int
    n_wrong: int
    """The number of misclassified images. `images` holds only the first of them."""
    n: int
    """The number of images that were classified."""
    images: Array
    """uint8, (m, channels, height, width)."""
    true: list[str]
    """The true class of each image."""
    top: list[list[tuple[str, float]]]
    """The most likely classes of each image, with their probabilities."""


def write(study: StudyFolder, arrays: Mapping[str, Array], *, trial: int, seed: int) -> None:
    """Write the arrays of `trainables.model_inspection.misclassified`. Raises MachineError if that fails."""
    from trainables.store import atomic

    path = study.folder / MISCLASSIFIED
    content = {**arrays, "trial": np.array(trial), "seed": np.array(seed)}

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **content)  # type: ignore[arg-type]  # its keyword comes before

    try:
        atomic.write(path, save)
    except OSError as error:
        raise MachineError(f"{path}: cannot be written: {error}") from None


def read(study: StudyFolder) -> Misclassified:
    """Read the misclassified images of a study. A StudyError if no test stored any, or if the file is damaged."""
    path = study.folder / MISCLASSIFIED
    if not path.exists():
        raise StudyError(f"{path}: is not there: {_reason(study)}")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in ARRAYS}
        predictions = zip(content["top"].tolist(), content["probabilities"].tolist(), strict=True)
        return Misclassified(
            trial=int(content["trial"]),
            seed=int(content["seed"]),
            n_wrong=int(content["n_wrong"]),
            n=int(content["n"]),
            images=content["images"],
            true=content["true"].tolist(),
            top=[list(zip(names, probabilities, strict=True)) for names, probabilities in predictions],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version: {error}") from None


def _reason(study: StudyFolder) -> str:
    """Why a study has no misclassified images, and what to type."""
    tested = TestRecord.read(study).ranked()
    if not tested:
        return f"run `hpo test {study.name}` first, which writes it"
    other = RETRAIN if tested[0].protocol == CHECKPOINT else CHECKPOINT
    return (
        "its trainable has no `predict(part)`, or the file was deleted. "
        f"`hpo test {study.name} --protocol {other}` writes it again, and is another look at held-out data"
    )
