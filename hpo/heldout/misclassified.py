"""What `hpo test` left in a study's folder (floor 4), read for figures: the results, and the mistakes of the best."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import StudyError
from hpo.export import tested
from hpo.figures.charts import Spread
from hpo.folder import MISCLASSIFIED
from hpo.study import Study
from hpo.trial import Config

Array = NDArray[Any]


@dataclass(frozen=True)
class Result:
    """One tested trial."""

    trial: int
    config: Config
    loss: float
    """What the search found."""
    validation: Spread
    """The accuracy there."""
    test: Spread


@dataclass(frozen=True)
class Mistakes:
    """Held-out images that the first seed of the best tested trial takes for something else; the surest first."""

    trial: int
    seed: int
    n_wrong: int
    """Of which some are here."""
    n: int
    images: Array
    """uint8, (m, channels, height, width)."""
    true: list[str]
    """The class of each."""
    top: list[list[tuple[str, float]]]
    """The likeliest classes of each, with their probabilities."""


def results(study: Study) -> list[Result]:
    """The tested trials, the lowest loss of the search first; without those that gave no finite accuracy.

    A StudyError says what to type where nothing was tested.
    """
    entries = tested(study)["results"]
    if not entries:
        raise StudyError(f"nothing of study {study.name!r} was tested: run `hpo test {study.name} --top N` first")
    try:
        found = [_result(entry) for entry in entries if entry["test_accuracy"]["mean"] is not None]
    except (KeyError, TypeError) as error:
        raise _damaged(study, "test.json", error) from None
    if not found:
        raise StudyError(
            f"no tested trial of study {study.name!r} has a finite test accuracy: there is nothing to draw"
        )
    return sorted(found, key=lambda result: (result.loss, result.trial))


def mistakes(study: Study) -> Mistakes:
    """What the test kept of misclassified images; a StudyError where it was not run, or kept none."""
    path = study.folder / MISCLASSIFIED
    if not path.exists():
        able = "" if not tested(study)["results"] else "; where that writes none, its trainable has no `predict(part)`"
        raise StudyError(f"{path}: is not there: run `hpo test {study.name}` first, which writes it{able}")
    try:
        with np.load(path, allow_pickle=False) as file:
            content = dict(file)
        likeliest = zip(content["top"].tolist(), content["probabilities"].tolist(), strict=True)
        return Mistakes(
            trial=int(content["trial"]),
            seed=int(content["seed"]),
            n_wrong=int(content["n_wrong"]),
            n=int(content["n"]),
            images=content["images"],
            true=content["true"].tolist(),
            top=[list(zip(names, shares, strict=True)) for names, shares in likeliest],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(study, MISCLASSIFIED, error) from None


def _result(entry: Mapping[str, Any]) -> Result:
    validation, test = _spread(entry["val_accuracy"]), _spread(entry["test_accuracy"])
    return Result(entry["trial"], entry["config"], entry["searched_loss"], validation, test)


def _spread(spread: Mapping[str, Any]) -> Spread:
    mean = spread["mean"]
    return Spread(float("nan") if mean is None else mean, spread["std"] or 0.0)


def _damaged(study: Study, name: str, error: Exception) -> StudyError:
    return StudyError(f"{study.folder / name}: is damaged, or was written by another version: {error}")
